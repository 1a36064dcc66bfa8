"""Preference pairs as other trainers read them, one file per trainer. `chat` reads them all back."""

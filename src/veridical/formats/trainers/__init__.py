"""Judgements as other tools read them, one file per tool. `chat` reads back what trainers read."""

"""Preference training on pairs of responses."""

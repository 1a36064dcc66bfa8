"""Veridical."""

"""Judges: who reads a response and says how good it is. An endpoint with cache and budget, or the exact world."""

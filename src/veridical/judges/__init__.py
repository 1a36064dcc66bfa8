"""Judges: who reads a response and rates it, at an endpoint with cache and budget, or exactly. No torch."""

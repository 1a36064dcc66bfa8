"""Judges: who reads a response and rates it. An endpoint with cache, budget and batch files, or an exact judge. No torch."""

"""Drawn scenes with exact truth, a small real VLM, simulated annotators, an exact judge."""

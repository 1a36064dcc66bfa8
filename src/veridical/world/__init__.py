"""The embedded world: drawn scenes with exact truth, a small real VLM, simulated people, an exact judge."""

"""Asking models: their responses, models × benchmarks, reports on reward models."""

"""Asking models: their responses, models × benchmarks, judged answers, and reports on reward models."""

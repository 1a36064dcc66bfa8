"""Measuring hallucination: statistics, metrics in the world, benchmarks. The arithmetic needs no torch."""

"""Benchmarks: one file each, with parser, scores, totals, variants and reference results. No torch, no network."""

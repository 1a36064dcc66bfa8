"""Benchmarks: a folder each, with what it reads, how it counts and its card. What several share lies beside them.

A benchmark imports `scoring`, `judges`, `coco` and what lies beside its folder, never another
benchmark. No torch, no network.
"""

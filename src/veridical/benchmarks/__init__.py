"""A folder per benchmark: what it reads, how it counts, its card. Shared parts lie next to them.

A benchmark imports `scoring`, `judges`, `coco` and what lies beside its folder, never another
benchmark. No torch, no network.
"""

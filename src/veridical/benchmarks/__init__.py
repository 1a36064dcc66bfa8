"""A folder per benchmark: what it reads, how it counts, its card. Shared parts lie next to them.

A benchmark imports `scoring`, `judges`, `coco` and the modules next to its folder, never another
benchmark. No torch, no network.
"""

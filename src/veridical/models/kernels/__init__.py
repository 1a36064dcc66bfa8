"""What makes a step fast on a GPU: attention over branches without a dense mask, compiled layers.

All of it is chosen by itself where the hardware has it and gives what the plain path gives, up to
rounding. May import what lies directly in `models` and in `models/architectures`.
"""

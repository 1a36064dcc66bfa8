"""Loading, prompts, branches (one prompt, many responses), cached features, generation.

Everything here works on plain `transformers` and `peft` objects. This file imports nothing, so that
a caller pays only for what it uses.
"""

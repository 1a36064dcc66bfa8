"""Decoding: one loop over rows of responses, and who advances the rows.

`Decoder` picks: captured CUDA graphs over a fixed key-value cache, the model's decoder over a cache
that grows, or `transformers`' `generate` for families whose positions are left to it. All choose
tokens by the same rule, `choose`, so that they agree.
"""

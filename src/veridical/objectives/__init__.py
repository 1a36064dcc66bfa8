"""Objectives as mathematics: tensors in, tensors out, the paper and the equation named."""

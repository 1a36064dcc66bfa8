"""Objectives: pure functions of tensors, one file a method, the paper and the equation named."""

"""Conversations as tensors and the likelihood of their answers, for SFT and for SFT beside DPO."""

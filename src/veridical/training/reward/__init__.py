"""Reward models from comparisons."""

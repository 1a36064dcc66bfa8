"""Reward models trained on comparisons, with or without facts."""

"""Objectives of preference training, a file each: score, loss and settings, chosen by name."""

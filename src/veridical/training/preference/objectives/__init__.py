"""Objectives of preference training, a file each: score, loss and the settings section that selects it by name."""

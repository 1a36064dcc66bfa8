"""Training: one loop and one run directory for all methods (`run/`), and a folder per method."""

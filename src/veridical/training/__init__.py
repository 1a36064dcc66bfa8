"""One run directory and one training loop for all methods (`run/`), and a folder per method."""

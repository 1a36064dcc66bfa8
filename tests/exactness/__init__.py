"""Every value that the official code returned, compared with ours, counted and listed."""

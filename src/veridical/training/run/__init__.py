"""What all methods share: settings, run directory, resumable loop, choice of checkpoint."""

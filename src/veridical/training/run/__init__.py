"""What every training shares: settings, run directory, resumable loop, choice of checkpoint."""

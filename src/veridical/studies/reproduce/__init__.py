"""The papers' claims, tested: a plan fixed before the runs, a grid of cells on disk, verdicts."""

"""Every value that the official code returned, beside ours: compared, counted, listed in docs/benchmarks."""

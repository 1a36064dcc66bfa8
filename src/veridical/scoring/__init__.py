"""From answers to numbers: what a benchmark is, how its files are read, how items are scored."""

"""From answers to numbers: what a benchmark is, how its files are read, and what is made of its items. No torch."""

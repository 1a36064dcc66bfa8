"""Models × benchmarks: what is asked, who answers, what is scored, and how the models compare."""

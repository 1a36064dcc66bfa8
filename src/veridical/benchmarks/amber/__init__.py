"""AMBER: descriptions against annotated words, and yes/no questions."""

BENCHMARK = "amber = benchmark:Amber"

"""LLaVA-Bench: a judge grades a reference answer and the model's."""

BENCHMARK = "llava-bench = benchmark:LlavaBench"

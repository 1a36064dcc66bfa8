"""The embedded world as a benchmark: descriptions, yes/no probes and questions, judged exactly."""

BENCHMARK = "world = benchmark:World"

"""MHumanEval: people mark what is hallucinated in an answer."""

BENCHMARK = "mhumaneval = benchmark:MHumanEval"

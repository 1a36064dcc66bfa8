"""MMHal-Bench: a judge rates 96 answers from 0 to 6."""

BENCHMARK = "mmhal = benchmark:MMHal"

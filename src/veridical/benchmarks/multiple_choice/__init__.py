"""Multiple choice as in MMBench: every question alone, or in every rotation."""

BENCHMARK = "multiple-choice = benchmark:MultipleChoice"

"""CHAIR: objects that captions mention and that are not in the image."""

BENCHMARK = "chair = benchmark:Chair"

"""Object HalBench: objects in detailed descriptions that are not in the image."""

BENCHMARK = "object-halbench = benchmark:ObjectHalBench"

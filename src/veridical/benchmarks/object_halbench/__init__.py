"""Object HalBench: objects in detailed descriptions that are not in the image."""

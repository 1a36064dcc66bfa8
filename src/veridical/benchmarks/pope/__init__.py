"""POPE: questions about objects that are in the image and objects that are not."""

BENCHMARK = "pope = benchmark:Pope"

"""VQA accuracy against ten human answers."""

BENCHMARK = "vqa = benchmark:Vqa"

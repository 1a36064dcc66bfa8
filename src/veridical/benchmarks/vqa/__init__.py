"""VQA accuracy against ten human answers."""

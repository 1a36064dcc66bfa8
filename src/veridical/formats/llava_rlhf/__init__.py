"""LLaVA-RLHF's public files (arXiv 2309.14525; `zhiqings` on the hub), a file per kind of row.

What a record has no field for stands as JSON in its `origin`, and comes back on the way out. The
marker `<image>` is put before the first question, wherever it stood, as the original's trainers do.
"""

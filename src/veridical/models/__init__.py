"""Vision-language models: loading, LoRA, branches, feature cache, generation. Imports transformers; knows no task."""

"""Who answers prompts: a model in this process (`hf`), vLLM, or an OpenAI-compatible server."""

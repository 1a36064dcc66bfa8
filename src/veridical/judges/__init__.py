"""Who rates a response: a model at an endpoint (cache, budget, batches) or an exact judge."""

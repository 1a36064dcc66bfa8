"""Several processes that train one model: how they meet, divide work and agree on what happened."""

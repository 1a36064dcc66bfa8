"""The loop of LLaVA-RLHF: comparisons, reward models with and without facts, PPO, baselines."""

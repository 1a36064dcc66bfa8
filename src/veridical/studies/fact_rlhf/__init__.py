"""The loop of LLaVA-RLHF: comparisons, reward models without and with facts, PPO, baselines, report."""

"""Who samples the responses that PPO learns from, and how much their tokens count."""

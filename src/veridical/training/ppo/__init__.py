"""PPO against a reward, every role an adapter or head over one base."""

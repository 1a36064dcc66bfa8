"""PPO against a reward; every role is an adapter or a head over one base."""

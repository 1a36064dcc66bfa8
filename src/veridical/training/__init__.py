"""Training loops on `transformers.Trainer` and what they leave on disk. Never imports evaluation: it is passed in."""

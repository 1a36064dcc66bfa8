"""From judgements to training data: segments, pairs, agreement. No torch."""

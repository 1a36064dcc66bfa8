"""From judgements to training data: segments, masks, pairs, splits. No torch."""

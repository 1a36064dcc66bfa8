"""Proof that a model works: `model` for `veridical doctor`, `first_batch` for every training.

`subjects` holds what the checks have in common; `use` checks scoring and generation, `training`
what is saved, adapted and learned.
"""

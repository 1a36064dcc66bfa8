"""A reward model from Python, factually augmented: rows also hold facts, which it reads.

python train_reward_model.py runs/reward

It ends with the rewards of a true and a wrong description.
"""

import sys

from scenes import make_rows

import veridical

recipe = veridical.RewardRecipe.model_validate(
    {
        "model": {"base": "world"},
        "data": {"validation_fraction": 0.25},
        "facts": {"kinds": ["caption"]},
        "train": {"batch_size": 4, "micro_batch_size": 4, "max_steps": 2},
    }
)
run = veridical.train_reward_model(recipe, sys.argv[1], data=make_rows(16), judged_by="simulated")

model = veridical.RewardModel.load(run.weights)
row = make_rows(1)[0]
responses = (row["chosen"], row["rejected"])
(rewards,) = model.score([veridical.RewardQuery(row["prompt"], row["image"], responses)])
print(f"rewards of a true and a wrong description: {[round(r, 3) for r in rewards.tolist()]}")

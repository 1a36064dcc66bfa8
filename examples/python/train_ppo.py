"""PPO from Python against a function of your own.

    python train_ppo.py runs/ppo

A reward is any function from candidates to one number each: `candidate.text` is the response,
`candidate.prompt` what was asked, `candidate.finished` whether it came to its end.
"""

import sys
from collections.abc import Sequence

from scenes import make_rows

import veridical


def few_claims(candidates: Sequence[veridical.Candidate]) -> list[float]:
    """Reward short, finished descriptions; yours may ask a judge, a detector or a database."""
    return [candidate.finished - 0.1 * candidate.text.count(".") for candidate in candidates]


prompts = [{"prompt": row["prompt"], "image": row["image"]} for row in make_rows(8)]
recipe = veridical.PpoRecipe.model_validate(
    {
        "model": {"base": "world"},
        "rollout": {"prompts": 4, "samples": 2, "max_new_tokens": 48},
        "objective": {"advantage": "rloo"},  # compare a prompt's responses; no value to learn
        "train": {"batch_size": 4, "micro_batch_size": 4, "iterations": 2},
    }
)
run = veridical.train_ppo(recipe, sys.argv[1], data=prompts, reward=few_claims)
print(f"adapter in {run.weights}, rewarded by {run.manifest.notes['reward']}")

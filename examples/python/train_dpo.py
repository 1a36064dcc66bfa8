"""Preference training from Python: rows with prompt, chosen, rejected and a PIL image.

    python train_dpo.py runs/dpo

The rows may be those of a `datasets.Dataset`: `data=load_dataset(…, split="train")`.
"""

import sys

from scenes import make_rows

import veridical

recipe = veridical.PreferenceRecipe.model_validate(
    {
        "preset": "veridical",  # dense DPO: corrected words weigh more
        "model": {"base": "world"},  # or a folder, or an id of the hub
        "data": {"validation_fraction": 0.25},
        "train": {"batch_size": 4, "micro_batch_size": 4, "max_steps": 2},
    }
)
run = veridical.train_dpo(recipe, sys.argv[1], data=make_rows(16), judged_by="simulated")
print(f"adapter in {run.weights}, chosen at step {run.manifest.notes['chosen_step']}")

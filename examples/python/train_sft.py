"""Fine-tuning from Python: rows with messages (or prompt and completion) and a PIL image.

python train_sft.py runs/sft

Only answers are learnt, questions are context.
"""

import sys

from scenes import make_rows

import veridical

rows = [
    {"prompt": row["prompt"], "completion": row["chosen"], "image": row["image"]}
    for row in make_rows(16)
]
recipe = veridical.SftRecipe.model_validate(
    {
        "model": {"base": "world", "tuning": "lora"},
        "data": {"validation_fraction": 0.25},
        "train": {"batch_size": 4, "micro_batch_size": 4, "max_steps": 2},
    }
)
run = veridical.train_sft(recipe, sys.argv[1], data=rows, judged_by="simulated")
print(f"adapter in {run.weights}, chosen at step {run.manifest.notes['chosen_step']}")

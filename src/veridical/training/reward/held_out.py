"""What a reward model says of held-out comparisons: their rewards, for its report.

Rewards are written as they are and with facts or image taken away, for the leak check.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from veridical.errors import DataError, Fault
from veridical.files import read_bytes, write_text_atomically
from veridical.models.features import FeatureCache
from veridical.rewards.leak import score_conditions
from veridical.rewards.model import RewardModel
from veridical.training.reward.config import RewardRecipe
from veridical.training.reward.data import LabelledPair

HELD_OUT_FILE = "held_out.jsonl"
"""Rewards of the held-out comparisons, as they are and with facts or image taken away."""
REPORT_FILE = "reward_report.json"
"""Accuracy, calibration and leak check on the held-out comparisons."""
KINDS_FILE = "kinds.json"
"""In a folder of comparisons, where known: kinds of hallucination that responses differ in, by
comparison."""


def score_held_out(
    model: RewardModel,
    pairs: Sequence[LabelledPair],
    run_dir: Path | None,
    recipe: RewardRecipe,
    features: FeatureCache,
) -> None:
    """Find mean and deviation of the reward; write the rewards of held-out comparisons."""
    queries = [pair.query for pair in pairs]
    size = recipe.train.micro_batch_size
    if run_dir is None:
        rewards = model.score(queries, batch_size=size, features=features)
    else:
        scored = score_conditions(
            model,
            queries,
            seed=recipe.train.seed,
            sample=recipe.data.leak_check,
            batch_size=size,
            features=features,
        )
        rewards = list(scored["intact"].values())
        lines = [
            {
                "id": pair.id,
                "task": pair.task,
                "source": pair.source,
                "preference": pair.preference,
                "hallucination": pair.hallucination,
                "lengths": [len(text) for text in pair.query.responses],
                "rewards": {
                    name: values[number].tolist()
                    for name, values in scored.items()
                    if number in values
                },
            }
            for number, pair in enumerate(pairs)
        ]
        write_text_atomically(
            run_dir / HELD_OUT_FILE, "".join(json.dumps(line) + "\n" for line in lines)
        )
    together = torch.cat(rewards)
    model.mean, model.deviation = float(together.mean()), float(together.std()) or 1.0


def read_kinds(recipe: RewardRecipe) -> Mapping[str, Sequence[str]]:
    """Kinds of hallucination by comparison, from the folder that is held out; empty if unknown."""
    file = Path(recipe.data.validation or recipe.data.comparisons) / KINDS_FILE
    if not file.is_file():
        return {}
    try:
        kinds = json.loads(read_bytes(file))
    except ValueError:
        kinds = None
    if not isinstance(kinds, dict) or not all(isinstance(names, list) for names in kinds.values()):
        raise DataError(
            [Fault(file, None, "not a JSON object of lists by comparison. Fix or remove the file.")]
        )
    return kinds

"""Train a reward model and report on it: accuracy, calibration and the leak check, beside its weights."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from veridical.errors import DataError, Fault
from veridical.evaluation.reward_model import read_held_out, report_rewards, summary_line
from veridical.files import read_bytes, write_json_atomically
from veridical.progress import log
from veridical.training.reward.config import RewardRecipe
from veridical.training.reward.train import HELD_OUT_FILE, train_reward_model
from veridical.training.run.choice import ChoiceRule
from veridical.training.run.directory import RunResult

REPORT_FILE = "reward_report.json"
"""The report, in the run directory."""
KINDS_FILE = "kinds.json"
"""In a folder of comparisons, where known: kinds of hallucination that responses differ in, by
comparison."""


def train_reward(
    recipe: RewardRecipe,
    run_dir: Path | str,
    *,
    resume: bool = False,
    choose: ChoiceRule | None = None,
) -> RunResult:
    """Train a reward model on comparisons, with facts or without (LLaVA-RLHF, arXiv 2309.14525, section 2.3).

    Args:
        recipe: What to train, on what, how.
        run_dir: Where everything goes; must be new, unless `resume`.
        resume: Go on where a run in `run_dir` was interrupted; gives the same weights as without
            the interruption.
        choose: How the checkpoint is chosen; by default by the loss on held-out comparisons, where
            there are some.

    Returns:
        The run: `reward_model` (what `RewardModel.load` and `attach` read), `held_out.jsonl`,
        `reward_report.json`, `recipe.toml`, `metrics.jsonl` and `manifest.json`.

    Raises:
        ConfigError: `run_dir` holds a run already, or one of another recipe.
        DataError: Comparisons that cannot be learnt from, all of them, each with file and line.
        ModelError: The model cannot be trained so, or a loss or reward is no number.
        StorageError: The disk refused.
    """
    result = train_reward_model(recipe, run_dir, resume=resume, choose=choose)
    held_out = result.run_dir / HELD_OUT_FILE
    if held_out.is_file():
        report = report_rewards(read_held_out(held_out), kinds=_read_kinds(recipe))
        write_json_atomically(result.run_dir / REPORT_FILE, report.text)
        log(summary_line(report))
    return result


def _read_kinds(recipe: RewardRecipe) -> Mapping[str, Sequence[str]]:
    file = Path(recipe.data.validation or recipe.data.comparisons) / KINDS_FILE
    if not file.is_file():
        return {}
    try:
        kinds = json.loads(read_bytes(file))
    except ValueError:
        kinds = None
    if not isinstance(kinds, dict) or not all(isinstance(names, list) for names in kinds.values()):
        raise DataError(
            [Fault(file, None, "no JSON object of lists by comparison. Mend or remove the file.")]
        )
    return kinds

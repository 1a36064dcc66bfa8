"""Reward training: a scalar head and an adapter (or weights) learn which response people prefer.

LLaVA-RLHF (arXiv 2309.14525, section 2.3): both responses are shown the same facts, so that what is
wrong can be read off rather than guessed. They branch off one encoded prompt; the frozen tower's
features are computed once per image.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from veridical.evaluation.reward_model import read_held_out, report_rewards, summary_line
from veridical.files import write_json_atomically
from veridical.models.features import FeatureCache
from veridical.models.hashing import model_hash
from veridical.progress import log
from veridical.records import Source
from veridical.rewards.head import new_head
from veridical.rewards.model import RewardModel
from veridical.training.reward.config import RewardRecipe
from veridical.training.reward.data import (
    LabelledPair,
    PreparedComparison,
    ReadComparisons,
    collate_comparisons,
    lay_out_comparisons,
    read_comparisons,
)
from veridical.training.reward.facts import disturb_facts, with_own_captions
from veridical.training.reward.held_out import (
    HELD_OUT_FILE,
    REPORT_FILE,
    read_kinds,
    score_held_out,
)
from veridical.training.reward.trainer import RewardTrainer
from veridical.training.run.choice import ChoiceRule, default_rule, hold_out
from veridical.training.run.frame import FEATURES, Method, Prepared, Run, RunResult, run_training
from veridical.training.run.in_memory import Examples, place_in_memory
from veridical.training.run.loop import Course
from veridical.training.run.loss_trainer import Rows
from veridical.training.run.team.sharding import check_pictures
from veridical.training.run.trained_model import (
    load_for_training,
    make_trainable,
    mixed_precision,
    precision_name,
)

WEIGHTS = "reward_model"
"""Folder of the reward model in the run directory."""
_SAMPLE = 256
"""Comparisons that rewards are measured on where none is held out."""


def train_reward_model(
    recipe: RewardRecipe,
    run_dir: Path | str,
    *,
    data: Examples | None = None,
    judged_by: Source = "human",
    resume: bool = False,
    choose: ChoiceRule | None = None,
) -> RunResult:
    """Train a reward model on comparisons, with facts or without, and report on it.

    Args:
        recipe: What to train, on what, how.
        run_dir: Where everything goes; must be new, unless `resume`.
        data: What is learnt from, in place of `recipe.data.comparisons`: the rows of a
            `datasets.Dataset` or of any other iterable, with TRL's fields `prompt`, `chosen`,
            `rejected` and `image` or `images`, and `facts` (a list of texts) for a model that reads
            them; or `Correction` records.
            Images are PIL images, bytes or paths. It is written into `run_dir/data`.
        judged_by: Who preferred, where `data` does not say so.
        resume: Resume the run in `run_dir`; gives the same weights as without the interruption.
        choose: How the checkpoint is chosen; by default by the loss on held-out comparisons, where
            there are some.

    Returns:
        The run; its weights are the folder that `RewardModel.load` and `attach` read. Where
        comparisons are held out, `held_out.jsonl` and `reward_report.json` (accuracy, calibration,
        leak check) are in the run directory.

    Raises:
        ConfigError: `run_dir` is in use, or holds a run already, one of another recipe or of inputs
            that have changed since.
        DataError: Comparisons that cannot be learnt from, all of them, each with file and line.
        ModelError: The model cannot be trained so, or a loss or reward is not a number.
        StorageError: The disk refused.
    """
    method = Method[RewardRecipe](
        verb="train reward",
        seed=recipe.train.seed,
        stream="reward",
        weights=WEIGHTS,
        prepare=lambda run: _prepare(run, choose=choose),
        data_field="comparisons",
        place=place_in_memory(data, field="comparisons", file="", judged_by=judged_by),
    )
    return run_training(recipe, run_dir, method, resume=resume)


def _prepare(run: Run[RewardRecipe], *, choose: ChoiceRule | None) -> Prepared:
    recipe, clock = run.recipe, run.clock
    kinds = read_kinds(recipe)
    train, held_out = _read(recipe, run.folder)
    clock.lap("reading")
    vlm = load_for_training(recipe.model)
    base_hash = model_hash(vlm.model, adapters=False)
    run.check_base(recipe.model.base, base_hash)
    vlm = make_trainable(
        vlm, recipe.model, gradient_checkpointing=recipe.train.gradient_checkpointing
    )
    pictureless = sum(not pair.images for pair in (*train.pairs, *held_out.pairs))
    check_pictures(vlm.model, pictureless=pictureless)
    model = RewardModel(vlm, new_head(vlm), recipe.template, pooling=recipe.objective.pooling)
    clock.lap("loading")
    autocast = mixed_precision(vlm, bf16=recipe.train.bf16)
    precision = precision_name(bf16=recipe.train.bf16)
    features = FeatureCache(
        run.cache(recipe.train.cache) / f"{FEATURES}-{precision}",
        vlm,
        disk_bytes=recipe.train.feature_cache_bytes,
    )
    with autocast():
        if recipe.template.reads_facts and recipe.facts.source == "own_caption":
            both = with_own_captions(
                vlm, [*train.pairs, *held_out.pairs], recipe.facts, features=features
            )
            train = train._replace(pairs=both[: len(train.pairs)])
            held_out = held_out._replace(pairs=both[len(train.pairs) :])
        learnt, train_rows = _lay_out(model, train, recipe, run.folder, features, part="train")
        kept, held_out_rows = _lay_out(
            model, held_out, recipe, run.folder, features, part="held_out"
        )
    clock.lap("encoding")
    rows = Rows(
        train_rows,
        sorted(held_out_rows, key=lambda row: row.encoded.tokens),
        partial(collate_comparisons, pad_token_id=vlm.tokenizer.pad_token_id),
        length=lambda row: row.encoded.tokens,
        by_length=recipe.train.by_length,
        features=features,
    )
    rule = choose or default_rule(
        scenes=False, held_out=bool(kept), of="comparisons", coverage_tolerance=0.0
    )
    trainer = RewardTrainer(
        model,
        rows,
        Course(recipe.train, run.folder, rule),
        objective=recipe.objective,
        features=features,
    )

    def finish() -> Mapping[str, object]:
        trainer.detach_head()
        with autocast():
            score_held_out(
                model, kept or learnt[:_SAMPLE], run.folder if kept else None, recipe, features
            )
        clock.lap("scoring")
        model.save(run.weights, base=recipe.model.base, base_hash=base_hash)
        if kept:
            report = report_rewards(read_held_out(run.folder / HELD_OUT_FILE), kinds=kinds)
            write_json_atomically(run.folder / REPORT_FILE, report.text)
            log(summary_line(report))
        return {
            "comparisons": {
                "train": train.counts,
                "held_out": held_out.counts,
                "learnt": len(learnt),
            },
            "sources": sorted({pair.source for pair in (*learnt, *kept)}),
            "reward_mean": model.mean,
            "reward_deviation": model.deviation,
        }

    return Prepared(trainer, finish)


def _folders(recipe: RewardRecipe) -> list[str]:
    return [name for name in (recipe.data.comparisons, recipe.data.validation) if name]


def _read(recipe: RewardRecipe, run_dir: Path) -> tuple[ReadComparisons, ReadComparisons]:
    """Comparisons to learn from, their facts disturbed as the recipe says, and those held out."""
    from_file = recipe.template.reads_facts and recipe.facts.source == "file"
    shown = tuple(kind for kind in recipe.facts.kinds if kind in recipe.template.facts.kinds)
    facts = recipe.facts.model_copy(update={"kinds": shown})  # facts that nobody is shown are none
    found = [
        read_comparisons(
            Path(folder),
            recipe.data,
            facts,
            reads_facts=from_file,
            quarantine=run_dir / f"bad_rows_{name}",
        )
        for folder, name in zip(_folders(recipe), ("train", "held_out"), strict=False)
    ]
    share = recipe.data.validation_fraction
    if len(found) == 1:
        (whole,) = found
        learnt, kept = hold_out(
            whole.pairs, share, setting="data.validation_fraction", seed=recipe.train.seed
        )
        found = [whole._replace(pairs=learnt), ReadComparisons(kept, {})]
    train, held_out = found
    if from_file:
        train = train._replace(
            pairs=disturb_facts(train.pairs, recipe.facts, seed=recipe.train.seed)
        )
    return train, held_out


def _lay_out(
    model: RewardModel,
    read: ReadComparisons,
    recipe: RewardRecipe,
    run_dir: Path,
    features: FeatureCache,
    *,
    part: str,
) -> tuple[list[LabelledPair], list[PreparedComparison]]:
    folder = (
        recipe.data.validation
        if part == "held_out" and recipe.data.validation
        else recipe.data.comparisons
    )
    return lay_out_comparisons(
        model,
        read.pairs,
        recipe.data,
        folder=Path(folder),
        features=features,
        hallucination_weight=recipe.objective.hallucination_weight,
        quarantine=run_dir / f"bad_texts_{part}.jsonl",
    )

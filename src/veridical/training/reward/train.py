"""Reward training: a scalar head and an adapter (or weights) learn which of two responses people prefer.

LLaVA-RLHF (arXiv 2309.14525, section 2.3): both responses are shown the same facts, so that what is
wrong can be read off rather than guessed. They branch off one encoded prompt; the frozen tower's
features are computed once an image.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Sampler

from veridical.config import write_recipe
from veridical.feedback.pairs import split_by_image
from veridical.files import hash_folder, write_json_atomically, write_text_atomically
from veridical.models.features import FeatureCache
from veridical.models.hashing import model_hash
from veridical.models.loading import unwrap
from veridical.objectives.reward import pairwise_loss, preference_accuracy
from veridical.progress import log
from veridical.records.manifests import build_manifest
from veridical.rewards.leak import score_conditions
from veridical.rewards.model import RewardModel, new_head
from veridical.seeding import child_seed
from veridical.training.reward.config import RewardRecipe
from veridical.training.reward.data import (
    LabelledPair,
    PreparedComparison,
    ReadComparisons,
    collate_comparisons,
    disturb_facts,
    lay_out_comparisons,
    read_comparisons,
    reward_batch,
    with_own_captions,
)
from veridical.training.run.checkpoints import find_resume_point
from veridical.training.run.choice import ChoiceRule, default_rule
from veridical.training.run.directory import Clock, RunResult, open_run
from veridical.training.run.length_order import LengthOrder
from veridical.training.run.loop import RESUME_FOLDER, RunTrainer
from veridical.training.run.trained_model import (
    absolute_path,
    load_for_training,
    make_trainable,
    mixed_precision,
    with_absolute_model,
)

WEIGHTS = "reward_model"
"""Folder of the reward model in the run directory."""
HELD_OUT_FILE = "held_out.jsonl"
"""Rewards of the held-out comparisons, as they are and with facts or image taken away."""

_SAMPLE = 256
"""Comparisons that rewards are measured on where none is held out."""


def train_reward_model(
    recipe: RewardRecipe,
    run_dir: Path | str,
    *,
    resume: bool = False,
    choose: ChoiceRule | None = None,
) -> RunResult:
    """Train a reward model on comparisons; `pipelines.reward` also reports on it.

    Args:
        recipe: What to train, on what, how.
        run_dir: Where everything goes; must be new, unless `resume`.
        resume: Go on where a run in `run_dir` was interrupted; gives the same weights as without
            the interruption.
        choose: How the checkpoint is chosen; by default by the loss on held-out comparisons, where
            there are some.

    Returns:
        The run; its weights are the folder that `RewardModel.load` and `attach` read.

    Raises:
        ConfigError: `run_dir` holds a run already, or one of another recipe.
        DataError: Comparisons that cannot be learnt from, all of them, each with file and line.
        ModelError: The model cannot be trained so, or a loss or reward is no number.
        StorageError: The disk refused.
    """
    run_dir = Path(run_dir)
    recipe = _with_absolute_paths(recipe)
    finished = open_run(recipe, run_dir, resume=resume)
    if finished is not None:
        return RunResult(run_dir, run_dir / WEIGHTS, recipe.model.base, finished)
    clock = Clock()
    torch.manual_seed(child_seed(recipe.train.seed, "reward"))
    train, held_out = _read(recipe, run_dir)
    clock.lap("reading")
    vlm = load_for_training(recipe.model)
    base_hash = model_hash(vlm.model, adapters=False)
    vlm = make_trainable(
        vlm, recipe.model, gradient_checkpointing=recipe.train.gradient_checkpointing
    )
    model = RewardModel(vlm, new_head(vlm), recipe.template, pooling=recipe.objective.pooling)
    clock.lap("loading")
    autocast = mixed_precision(vlm, bf16=recipe.train.bf16)
    precision = "bf16" if recipe.train.bf16 else "plain"
    features = FeatureCache(
        Path(recipe.train.cache) / f"features-{precision}" if recipe.train.cache else None, vlm
    )
    with autocast():
        if recipe.template.reads_facts and recipe.facts.source == "own_caption":
            both = with_own_captions(
                vlm, [*train.pairs, *held_out.pairs], recipe.facts, features=features
            )
            train = train._replace(pairs=both[: len(train.pairs)])
            held_out = held_out._replace(pairs=both[len(train.pairs) :])
        learnt, train_rows = _lay_out(model, train, recipe, run_dir, features, part="train")
        kept, held_out_rows = _lay_out(model, held_out, recipe, run_dir, features, part="held_out")
    clock.lap("encoding")
    write_recipe(recipe, run_dir / "recipe.toml")  # from here on there is something to resume
    trainer = RewardTrainer(
        model,
        train_rows,
        held_out_rows,
        recipe=recipe,
        features=features,
        run_dir=run_dir,
        rule=choose
        or default_rule(
            scenes=False, held_out=bool(kept), of="comparisons", coverage_tolerance=0.0
        ),
    )
    trainer.run(resume_from=find_resume_point(run_dir / RESUME_FOLDER))
    trained_weights = sum(p.numel() for p in vlm.model.parameters() if p.requires_grad)
    trainer.detach_head()
    clock.lap("training")
    with autocast():
        _score_held_out(
            model, kept or learnt[:_SAMPLE], run_dir if kept else None, recipe, features
        )
    clock.lap("scoring")
    model.save(run_dir / WEIGHTS, base=recipe.model.base, base_hash=base_hash)
    clock.lap("saving")
    progress = trainer.progress
    inputs = {recipe.model.base: base_hash}
    inputs |= {name: hash_folder(name, pattern="*.jsonl") for name in _folders(recipe)}
    manifest = build_manifest(
        verb="train reward",
        seed=recipe.train.seed,
        recipe=recipe,
        inputs=inputs,
        seconds={**clock.seconds, "training": progress.seconds},
        notes={
            "chosen_step": progress.best_step,
            "choice_rule": trainer.rule.statement,
            "base": progress.base,
            "candidates": [candidate.model_dump() for candidate in progress.candidates],
            "comparisons": {
                "train": train.counts,
                "held_out": held_out.counts,
                "learnt": len(learnt),
            },
            "sources": sorted({pair.source for pair in (*learnt, *kept)}),
            "trained_weights": trained_weights,
            "reward_mean": model.mean,
            "reward_deviation": model.deviation,
        },
    )
    write_json_atomically(run_dir / "manifest.json", manifest.model_dump(mode="json"))
    log(
        f"Chosen: step {progress.best_step} ({trainer.rule.statement}). Reward model:"
        f" {run_dir / WEIGHTS}"
    )
    return RunResult(run_dir, run_dir / WEIGHTS, recipe.model.base, manifest)


class RewardTrainer(RunTrainer):
    """The shared loop with the pairwise loss over two branches."""

    def __init__(
        self,
        model: RewardModel,
        rows: Sequence[PreparedComparison],
        held_out: Sequence[PreparedComparison],
        *,
        recipe: RewardRecipe,
        features: FeatureCache,
        run_dir: Path,
        rule: ChoiceRule,
    ) -> None:
        """Set up training on `rows`, measured on `held_out`."""
        self._model = model
        self._rows = rows
        self._held_out = sorted(held_out, key=lambda row: row.encoded.tokens)
        self._objective = recipe.objective
        self._features = features
        self._by_length = recipe.train.by_length
        # As a part of the model the head is optimised, kept in resume points and restored with the
        # rest.
        self._owner().reward_head = model.head
        pad = model.vlm.tokenizer.pad_token_id
        super().__init__(
            model.vlm,
            rows,
            settings=recipe.train,
            run_dir=run_dir,
            measure=self._measure_held_out,
            rule=rule,
            collate=lambda some: collate_comparisons(some, pad_token_id=pad),
        )

    def batch_loss(self, batch: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Pairwise loss of each comparison, with margin, agreement with people (ties count half) and mean reward."""
        keys = batch["image_keys"]
        image_outputs = None if keys is None else self._features.load(keys)
        rewards = self._model.rewards(reward_batch(batch), image_outputs=image_outputs)
        first, second = rewards.unbind(-1)
        found = pairwise_loss(
            first,
            second,
            batch["preference"],
            weight=batch["weight"],
            centring=self._objective.centring,
            centring_weight=self._objective.centring_weight,
        )
        agreement = preference_accuracy(found.margin, batch["preference"]).nan_to_num(0.5)
        return found.loss, {
            "preference_loss": found.preference_loss,
            "accuracy": agreement,
            "margin": found.margin.abs(),
            "reward": rewards.detach().mean(-1),
        }

    def detach_head(self) -> None:
        """Take the head out of the model again, which is saved without it."""
        del self._owner().reward_head

    def _owner(self) -> Any:
        return unwrap(self._model.vlm.model)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int] | None:
        if not self._by_length:
            return super()._get_train_sampler(train_dataset)  # type: ignore[no-any-return, unused-ignore]
        lengths = [row.encoded.tokens for row in self._rows]
        return LengthOrder(
            lengths, batch_size=self.settings.micro_batch_size, seed=self.settings.seed
        )

    def _measure_held_out(self, step: int) -> dict[str, float]:  # noqa: ARG002 (the loop says it)
        return self.mean_over(self._held_out) if self._held_out else {}


def _with_absolute_paths(recipe: RewardRecipe) -> RewardRecipe:
    data = {
        name: absolute_path(getattr(recipe.data, name)) for name in ("comparisons", "validation")
    }
    return recipe.model_copy(
        update={
            "model": with_absolute_model(recipe.model),
            "data": recipe.data.model_copy(update=data),
            "train": recipe.train.model_copy(update={"cache": absolute_path(recipe.train.cache)}),
        }
    )


def _folders(recipe: RewardRecipe) -> list[str]:
    return [name for name in (recipe.data.comparisons, recipe.data.validation) if name]


def _read(recipe: RewardRecipe, run_dir: Path) -> tuple[ReadComparisons, ReadComparisons]:
    """Comparisons to learn from, their facts disturbed as the recipe says, and those held out."""
    from_file = recipe.template.reads_facts and recipe.facts.source == "file"
    shown = tuple(kind for kind in recipe.facts.kinds if kind in recipe.template.facts.headings)
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
        parts = {"train": whole.pairs, "held_out": []}
        if share:
            parts = split_by_image(
                whole.pairs, {"train": 1 - share, "held_out": share}, seed=recipe.train.seed
            )
        found = [whole._replace(pairs=parts["train"]), ReadComparisons(parts["held_out"], {})]
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


def _score_held_out(
    model: RewardModel,
    pairs: Sequence[LabelledPair],
    run_dir: Path | None,
    recipe: RewardRecipe,
    features: FeatureCache,
) -> None:
    """Find mean and deviation of the reward; write what held-out comparisons are given, where there are some."""
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

"""`veridical world pretrain`: all stages in order, each resumable, into a usual checkpoint.

tower    dense labels of cells         patches   the same, each patch on its own
reader   text alone, with fault labels  joint     images with text, tower frozen
refine   the same with a schedule of its own
find, compare  text alone again: what do the facts say of it, and is that what is said?
lookup   mostly reading, with and without images
noise    mostly captions with machine noise: the cause of hallucination
"""

import time
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from veridical.config import Recipe, write_recipe
from veridical.errors import ModelError
from veridical.files import write_json_atomically, write_text_atomically
from veridical.records.manifests import build_manifest
from veridical.world.base import LARGE, SMALL, build_model, build_processor
from veridical.world.pretraining.batches import find_place, losses
from veridical.world.pretraining.joint import ImagePool, JointExamples, JointStage, JointTraining
from veridical.world.pretraining.loop import StageSettings
from veridical.world.pretraining.reader import (
    Lookups,
    ReaderTraining,
    lookup_examples,
    reader_examples,
)
from veridical.world.pretraining.stages import StageRun
from veridical.world.pretraining.tower import TowerTraining, tower_batch
from veridical.world.scenes import Scene
from veridical.world.tokenizer import train_tokenizer

STAGES = ("tower", "patches", "reader", "joint", "refine", "find", "compare", "lookup", "noise")
"""All stages, in order."""
LOG = "pretraining_log.jsonl"
"""The figures of all stages, next to the model."""
_NEW_SCENES_FROM = 3000
"""Step number from which the second tower stage draws its scenes, so that they are new."""


class PretrainRecipe(Recipe):
    """How the base model is made. The shipped checkpoint's own settings are in its manifest."""

    seed: int = 0
    """Root seed of scenes, texts and weights."""
    size: Literal["small", "large"] = "small"
    """1.6 million weights, or 18.5 million, which take a GPU."""
    device: str = "auto"
    """Where to train: "auto" (the accelerator where there is one), "cpu", "cuda" …"""
    workers: int | None = Field(default=None, ge=0)
    """Processes that prepare batches. Left out: none on a CPU, up to six beside an accelerator. It
    changes no number."""
    noise_from: Literal["joint", "noise"] = "joint"
    """The stage from which on descriptions carry a machine captioner's noise. "joint": no picture
    is ever described truthfully in an answer that the model learns; true descriptions are only
    among the texts whose words it checks against a picture. "noise": it learns to give true ones
    first, and unlearns that in the last stage."""
    start: str = ""
    """Folder of a base model whose weights, tokenizer and log stand in for the stages before
    `lookup`. Empty: all stages are gone through, as for the shipped checkpoint."""
    tower_steps: int = Field(default=2600, ge=1)
    """Steps of 64 scenes: vision tower, a cell's four patches together."""
    cells_only_steps: int = Field(default=1500, ge=0)
    """After so many of these steps each patch on its own counts too, with weight 1."""
    patch_steps: int = Field(default=2600, ge=1)
    """Steps of 64 scenes: vision tower again, each patch on its own with weight 2."""
    reader_steps: int = Field(default=3000, ge=1)
    """Steps of 64 conversations: language model on text alone."""
    joint_steps: int = Field(default=2000, ge=1)
    """Steps of 64 conversations: language model and projector on images with text."""
    refine_steps: int = Field(default=900, ge=1)
    """Steps of 64 conversations: the same, with a schedule of its own."""
    find_steps: int = Field(default=600, ge=1)
    """Steps of 64 conversations: text alone, the last states asked what the facts say of each
    noun."""
    compare_steps: int = Field(default=300, ge=1)
    """Steps of 64 conversations: the states one layer below asked; most wrong values are stated of
    something else."""
    lookup_steps: int = Field(default=1000, ge=1)
    """Steps of 64 conversations, most of them reading as before, with and without images."""
    noise_steps: int = Field(default=600, ge=1)
    """Steps of 64 conversations: captions with machine noise."""
    pool_scenes: int = Field(default=24_000, ge=64)
    """Scenes whose features the joint stages draw from."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Peak learning rate of all stages but the last."""
    noise_learning_rate: float = Field(default=1e-3, gt=0)
    """Peak learning rate of the last stage."""
    noise_share: float = Field(default=1.0, ge=0, le=2)
    """How much of the last stage's change is made: weights are interpolated between the end of the
    lookup stage (0) and that of the noise stage (1), as in WiSE-FT (arXiv 2109.01903), or
    extrapolated beyond it. With `noise_from = "noise"` the knob of how much the base hallucinates:
    on 200 validation scenes 18 % at 0.5, 28 % at 0.8, 48 % at 1 and 55 % at 1.1 (seed 0)."""

    def settings(self, steps: int, *, learning_rate: float | None = None) -> StageSettings:
        """How a stage of so many steps is trained."""
        return StageSettings(steps=steps, learning_rate=learning_rate or self.learning_rate)


def pretrain(recipe: PretrainRecipe, out: Path) -> Path:
    """Make the base model, or resume where an earlier call was stopped.

    Args:
        recipe: Steps, seeds and rates.
        out: Run directory; stages, logs and the model (`out/model`) lie in it.

    Returns:
        Folder of the finished model.
    """
    stages = out / "stages"
    stages.mkdir(parents=True, exist_ok=True)
    write_recipe(recipe, out / "recipe.toml")
    tokenizer = _tokenizer(recipe, stages / "tokenizer")
    place = find_place(recipe.device, recipe.workers)
    size = LARGE if recipe.size == "large" else SMALL
    model = build_model(tokenizer, seed=recipe.seed, size=size)
    tower, reader = TowerTraining(model, seed=recipe.seed), ReaderTraining(model, seed=recipe.seed)
    modules: tuple[nn.Module, ...] = (model, tower, reader)
    for module in modules:
        module.to(place.device)
    run = StageRun(tokenizer, stages, place, {})
    if recipe.start:
        _start_from(recipe, model)
    else:
        _learn_apart(recipe, run, tower, reader)
    tower.requires_grad_(requires_grad=False)
    _join(recipe, run, model, reader)
    return _save(recipe, model, tokenizer, out, run.seconds)


def _start_from(recipe: PretrainRecipe, model: LlavaForConditionalGeneration) -> None:
    started = LlavaForConditionalGeneration.from_pretrained(recipe.start)
    has, wanted = (each.model.language_model.config.hidden_size for each in (started, model))
    if has != wanted:
        raise ModelError(
            f"start=`{recipe.start}` has width {has}, size={recipe.size} has width {wanted}. "
            "Set size to that of the model to start from."
        )
    model.load_state_dict(started.state_dict())


def _learn_apart(
    recipe: PretrainRecipe, run: StageRun, tower: TowerTraining, reader: ReaderTraining
) -> None:
    """The stages in which the tower and the language model learn each for itself."""
    whole = losses(
        partial(tower_batch, seed=recipe.seed),
        lambda batch, step: tower.loss_of_batch(
            batch, patch_weight=0.0 if step < recipe.cells_only_steps else 1.0
        ),
        run.place,
    )
    run.stage("tower", tower, whole, recipe.settings(recipe.tower_steps))
    apart = losses(
        partial(tower_batch, seed=recipe.seed, start=_NEW_SCENES_FROM),
        lambda batch, _: tower.loss_of_batch(batch, patch_weight=2.0),
        run.place,
    )
    run.stage("patches", tower, apart, recipe.settings(recipe.patch_steps))
    examples = partial(reader_examples, seed=recipe.seed, steps=recipe.reader_steps)
    read = losses(
        partial(run.collated, examples),
        lambda batch, _: reader.loss_of_batches(batch),
        run.place,
    )
    run.stage("reader", reader, read, recipe.settings(recipe.reader_steps))


def _tokenizer(recipe: PretrainRecipe, folder: Path) -> PreTrainedTokenizerFast:
    """The run's tokenizer: trained once, since later stages stand on its ids."""
    if not (folder / "tokenizer.json").is_file():
        made = (
            PreTrainedTokenizerFast.from_pretrained(recipe.start)
            if recipe.start
            else train_tokenizer(recipe.seed)
        )
        made.save_pretrained(folder)
    loaded: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder)
    return loaded


def _join(
    recipe: PretrainRecipe,
    run: StageRun,
    model: LlavaForConditionalGeneration,
    reader: ReaderTraining,
) -> None:
    """The stages that put both together, and the noise; then weights go as far as is asked for."""
    started = time.monotonic()
    pool = ImagePool(
        model.model.vision_tower,
        seed=recipe.seed,
        split="pretrain-joint",
        count=recipe.pool_scenes,
        place=run.place,
    )
    run.seconds["encode scenes"] = time.monotonic() - started
    joint = JointTraining(model, run.tokenizer, reader, features=pool.features)
    learned = [*reader.parameters(), *model.model.multi_modal_projector.parameters()]
    before_noise: list[Tensor] = []
    plans: list[tuple[JointStage | Lookups, int]] = [
        ("joint", recipe.joint_steps),
        ("refine", recipe.refine_steps),
        ("find", recipe.find_steps),
        ("compare", recipe.compare_steps),
        ("lookup", recipe.lookup_steps),
        ("noise", recipe.noise_steps),
    ]
    for name, steps in plans[-2:] if recipe.start else plans:
        if name == "find" or name == "compare":  # equalities, since mypy narrows nothing else
            _look_up(recipe, run, reader, name, steps)
        else:
            _learn_joint(recipe, run, joint, pool.scenes, name, steps)
        if name == "lookup":
            before_noise = [parameter.detach().clone() for parameter in learned]
    with torch.no_grad():
        for parameter, before in zip(learned, before_noise, strict=True):
            parameter.lerp_(before, 1 - recipe.noise_share)


def _look_up(
    recipe: PretrainRecipe, run: StageRun, reader: ReaderTraining, name: Lookups, steps: int
) -> None:
    examples = partial(lookup_examples, seed=recipe.seed, lookups=name)
    of_steps = losses(
        partial(run.collated, examples),
        lambda batch, _: reader.loss_of_batches(batch, lookups=name),
        run.place,
    )
    run.stage(name, reader, of_steps, recipe.settings(steps))


def joint_examples(
    recipe: PretrainRecipe, run: StageRun, scenes: list[Scene], stage: JointStage
) -> JointExamples:
    """What makes a joint stage's batches; captions are noisy from `recipe.noise_from` on."""
    return JointExamples(
        scenes,
        run.tokenizer,
        seed=recipe.seed,
        stage=stage,
        noisy=stage == "noise" or recipe.noise_from == "joint",
        parts=run.place.parts,
    )


def _learn_joint(
    recipe: PretrainRecipe,
    run: StageRun,
    joint: JointTraining,
    scenes: list[Scene],
    name: JointStage,
    steps: int,
) -> None:
    examples = joint_examples(recipe, run, scenes, name)
    of_steps = losses(examples, lambda batch, _: joint.loss_of_batch(batch), run.place)
    rate = recipe.noise_learning_rate if name == "noise" else None
    run.stage(name, joint, of_steps, recipe.settings(steps, learning_rate=rate))


def _save(
    recipe: PretrainRecipe,
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    out: Path,
    seconds: dict[str, float],
) -> Path:
    folder = out / "model"
    model.train(mode=False)
    with torch.no_grad():
        model.save_pretrained(folder)
    build_processor(tokenizer).save_pretrained(folder)
    # transformers writes weights readable by their owner only; a package is read by everybody.
    (folder / "model.safetensors").chmod(0o644)
    logs = [Path(recipe.start) / LOG] if recipe.start else []
    logs += [file for name in STAGES if (file := out / "stages" / f"{name}.jsonl").is_file()]
    write_text_atomically(folder / LOG, "".join(log.read_text(encoding="utf-8") for log in logs))
    manifest = build_manifest(
        verb="world pretrain", seed=recipe.seed, recipe=recipe, seconds=seconds
    )
    write_json_atomically(folder / "manifest.json", manifest.model_dump(mode="json"))
    return folder

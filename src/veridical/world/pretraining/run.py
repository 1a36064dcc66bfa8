"""`veridical world pretrain`: all stages in order, each resumable, into a usual checkpoint.

tower    dense labels of cells         patches   the same, each patch on its own
reader   text alone, with fault labels  joint     images with text, tower frozen
refine   the same with a schedule of its own
find, compare  text alone again: what do the facts say of it, and is that what is said?
lookup   mostly reading, with and without images
noise    captions with machine noise: the cause of hallucination
"""

import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from pydantic import Field
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from veridical.config import Recipe, write_recipe
from veridical.files import write_json_atomically, write_text_atomically
from veridical.progress import log
from veridical.records.manifests import build_manifest
from veridical.world.base import build_model, build_processor
from veridical.world.pretraining.joint import ImagePool, JointStage, JointTraining
from veridical.world.pretraining.loop import StageSettings, run_stage
from veridical.world.pretraining.reader import Lookups, ReaderTraining
from veridical.world.pretraining.tower import TowerTraining
from veridical.world.tokenizer import train_tokenizer

STAGES = ("tower", "patches", "reader", "joint", "refine", "find", "compare", "lookup", "noise")
"""All stages, in order."""
LOG = "pretraining_log.jsonl"
"""The figures of all stages, next to the model."""
Loss = tuple[Tensor, Mapping[str, float]]
_NEW_SCENES_FROM = 3000
"""Step number from which the second tower stage draws its scenes, so that they are new."""


class PretrainRecipe(Recipe):
    """How the base model is made. The shipped checkpoint's own settings are in its manifest."""

    seed: int = 0
    """Root seed of scenes, texts and weights."""
    start: str = ""
    """Folder of a base model whose weights, tokenizer and log stand in for the stages before
    `lookup`. Empty: all stages are gone through. The shipped checkpoint started from the one before
    it and took fewer steps, as its card says."""
    tower_steps: int = Field(default=2200, ge=1)
    """Steps of 64 scenes: vision tower, a cell's four patches together."""
    cells_only_steps: int = Field(default=1300, ge=0)
    """After so many of these steps each patch on its own counts too, with weight 1."""
    patch_steps: int = Field(default=2000, ge=1)
    """Steps of 64 scenes: vision tower again, each patch on its own with weight 2."""
    reader_steps: int = Field(default=3000, ge=1)
    """Steps of 64 conversations: language model on text alone."""
    joint_steps: int = Field(default=1600, ge=1)
    """Steps of 64 conversations: language model and projector on images with true text."""
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
    noise_share: float = Field(default=1.2, ge=0, le=2)
    """How much of the last stage's change is made: weights are interpolated between the end of the
    lookup stage (0) and that of the noise stage (1), as in WiSE-FT (arXiv 2109.01903), or
    extrapolated beyond it. The knob of how much the base hallucinates: after 350 steps, on 200
    validation scenes, 34 % at 0.85, 42 % at 1, 49 % at 1.15, 61 % at 1.3. It must be measured anew
    where other steps are taken."""


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
    model = build_model(tokenizer, seed=recipe.seed)
    seconds: dict[str, float] = {}

    tower = TowerTraining(model, seed=recipe.seed)
    reader = ReaderTraining(model, tokenizer, seed=recipe.seed)
    if recipe.start:
        model.load_state_dict(
            LlavaForConditionalGeneration.from_pretrained(recipe.start).state_dict()
        )
    else:
        _learn_apart(recipe, tower, reader, stages, seconds)
    tower.requires_grad_(requires_grad=False)
    _join(recipe, model, tokenizer, reader, stages, seconds)
    return _save(recipe, model, tokenizer, out, seconds)


def _learn_apart(
    recipe: PretrainRecipe,
    tower: TowerTraining,
    reader: ReaderTraining,
    stages: Path,
    seconds: dict[str, float],
) -> None:
    """The stages in which the tower and the language model learn each for itself."""
    plans: tuple[tuple[str, int, nn.Module, Callable[[int], Loss]], ...] = (
        ("tower", recipe.tower_steps, tower, lambda step: _tower_loss(tower, recipe, step)),
        (
            "patches",
            recipe.patch_steps,
            tower,
            lambda step: tower.loss_of_step(step + _NEW_SCENES_FROM, patch_weight=2.0),
        ),
        (
            "reader",
            recipe.reader_steps,
            reader,
            lambda step: reader.loss_of_step(step, steps=recipe.reader_steps),
        ),
    )
    for name, steps, module, loss_of_step in plans:
        settings = StageSettings(steps=steps, learning_rate=recipe.learning_rate)
        _run(name, module, loss_of_step, settings, stages, seconds)


def _run(
    name: str,
    module: nn.Module,
    loss_of_step: Callable[[int], Loss],
    settings: StageSettings,
    stages: Path,
    seconds: dict[str, float],
) -> None:
    """Train a stage, or load it where it is done already."""
    if not _finished(stages, name, settings.steps, module, seconds):
        run_stage(name, module, loss_of_step, settings=settings, folder=stages)
        _finished(stages, name, settings.steps, module, seconds)


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


def _tower_loss(tower: TowerTraining, recipe: PretrainRecipe, step: int) -> Loss:
    return tower.loss_of_step(step, patch_weight=0.0 if step < recipe.cells_only_steps else 1.0)


def _join(
    recipe: PretrainRecipe,
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    reader: ReaderTraining,
    stages: Path,
    seconds: dict[str, float],
) -> None:
    started = time.monotonic()
    pool = ImagePool(
        model.model.vision_tower, seed=recipe.seed, split="pretrain-joint", count=recipe.pool_scenes
    )
    seconds["encode scenes"] = time.monotonic() - started
    learned = [*reader.parameters(), *model.model.multi_modal_projector.parameters()]
    truthful: list[Tensor] = []
    plans: list[tuple[JointStage | Lookups, int, float]] = [
        ("joint", recipe.joint_steps, recipe.learning_rate),
        ("refine", recipe.refine_steps, recipe.learning_rate),
        ("find", recipe.find_steps, recipe.learning_rate),
        ("compare", recipe.compare_steps, recipe.learning_rate),
        ("lookup", recipe.lookup_steps, recipe.learning_rate),
        ("noise", recipe.noise_steps, recipe.noise_learning_rate),
    ]
    for name, steps, learning_rate in plans[-2:] if recipe.start else plans:
        settings = StageSettings(steps=steps, learning_rate=learning_rate)
        if name == "find" or name == "compare":  # equalities, since mypy narrows nothing else
            lookup_loss = partial(reader.lookup_loss_of_step, lookups=name)
            _run(name, reader, lookup_loss, settings, stages, seconds)
        else:
            joint = JointTraining(model, tokenizer, reader, pool=pool, seed=recipe.seed, stage=name)
            _run(name, joint, joint.loss_of_step, settings, stages, seconds)
        if name == "lookup":
            truthful = [parameter.detach().clone() for parameter in learned]
    with torch.no_grad():
        for parameter, before in zip(learned, truthful, strict=True):
            parameter.lerp_(before, 1 - recipe.noise_share)


def _finished(
    stages: Path, name: str, steps: int, module: nn.Module, seconds: dict[str, float]
) -> bool:
    """Load a stage that is done already, and note how long it took."""
    from safetensors import safe_open

    checkpoint = stages / f"{name}.safetensors"
    if not checkpoint.is_file():
        return False
    with safe_open(checkpoint, framework="pt") as file:
        done = int(file.metadata()["step"])
    if done < steps:
        return False
    tensors = load_file(checkpoint)
    module.load_state_dict(
        {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    )
    lines = [
        json.loads(line)
        for line in (stages / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    # The clock of a resumed stage starts at 0: add up its pieces.
    times = [line["seconds"] for line in lines]
    pieces = [
        before for before, after in zip(times, [*times[1:], 0.0], strict=True) if after < before
    ]
    seconds[name] = sum(pieces)
    log(f"stage {name}: {done} steps done")
    return True


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

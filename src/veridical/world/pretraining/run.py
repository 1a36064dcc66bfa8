"""`veridical world pretrain`: all stages in order, each resumable, into a checkpoint that loads like any other.

tower    dense labels of cells         patches   the same, each patch on its own
reader   text alone, with fault labels  joint     images with text, tower frozen
refine   the same with a schedule of its own
noise    captions with machine noise: the cause of hallucination
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import Field
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from veridical.config import Recipe, write_recipe
from veridical.files import write_json_atomically, write_text_atomically
from veridical.manifests import build_manifest
from veridical.progress import say
from veridical.world.base import build_model, build_processor
from veridical.world.pretraining.joint import ImagePool, JointStage, JointTraining
from veridical.world.pretraining.loop import StageSettings, run_stage
from veridical.world.pretraining.reader import ReaderTraining
from veridical.world.pretraining.tower import TowerTraining
from veridical.world.tokenizer import train_tokenizer

_NEW_SCENES_FROM = 3000
"""Step number from which the second tower stage draws its scenes, so that they are new."""


class PretrainRecipe(Recipe):
    """How the base model is made. The defaults made the shipped checkpoint."""

    seed: int = 0
    """Root seed of scenes, texts and weights."""
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
    noise_steps: int = Field(default=600, ge=1)
    """Steps of 64 conversations: captions with machine noise."""
    pool_scenes: int = Field(default=24_000, ge=64)
    """Scenes whose features the joint stages draw from."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Peak learning rate of all stages but the last."""
    noise_learning_rate: float = Field(default=1e-3, gt=0)
    """Peak learning rate of the last stage."""
    noise_share: float = Field(default=0.81, ge=0, le=1)
    """How much of the last stage's change is kept: weights are interpolated between the end of the refine stage (0) and
    that of the noise stage (1), as in WiSE-FT (arXiv 2109.01903). The knob of how much the base hallucinates: on 250
    validation scenes 43 % at 0.75, 72 % at 0.9."""


def pretrain(recipe: PretrainRecipe, out: Path) -> Path:
    """Make the base model, or go on where an earlier call was stopped.

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
    settings = StageSettings(steps=recipe.tower_steps, learning_rate=recipe.learning_rate)
    if not _finished(stages, "tower", recipe.tower_steps, tower, seconds):
        run_stage("tower", tower, lambda step: _tower_loss(tower, recipe, step), settings=settings, folder=stages)
        _finished(stages, "tower", recipe.tower_steps, tower, seconds)
    if not _finished(stages, "patches", recipe.patch_steps, tower, seconds):
        settings = settings._replace(steps=recipe.patch_steps)
        run_stage(
            "patches",
            tower,
            lambda step: tower.loss_of_step(step + _NEW_SCENES_FROM, patch_weight=2.0),
            settings=settings,
            folder=stages,
        )
        _finished(stages, "patches", recipe.patch_steps, tower, seconds)
    if not _finished(stages, "reader", recipe.reader_steps, reader, seconds):
        settings = settings._replace(steps=recipe.reader_steps)
        run_stage(
            "reader",
            reader,
            lambda s: reader.loss_of_step(s, steps=recipe.reader_steps),
            settings=settings,
            folder=stages,
        )
        _finished(stages, "reader", recipe.reader_steps, reader, seconds)
    tower.requires_grad_(requires_grad=False)
    _join(recipe, model, tokenizer, reader, stages, seconds)
    return _save(recipe, model, tokenizer, out, seconds)


def _tokenizer(recipe: PretrainRecipe, folder: Path) -> PreTrainedTokenizerFast:
    """The run's tokenizer: trained once, since later stages stand on its ids."""
    if not (folder / "tokenizer.json").is_file():
        train_tokenizer(recipe.seed).save_pretrained(folder)
    loaded: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder)
    return loaded


def _tower_loss(tower: TowerTraining, recipe: PretrainRecipe, step: int) -> tuple[Tensor, Mapping[str, float]]:
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
    pool = ImagePool(model.model.vision_tower, seed=recipe.seed, split="pretrain-joint", count=recipe.pool_scenes)
    seconds["encode scenes"] = time.monotonic() - started
    plans: tuple[tuple[JointStage, int, float], ...] = (
        ("joint", recipe.joint_steps, recipe.learning_rate),
        ("refine", recipe.refine_steps, recipe.learning_rate),
        ("noise", recipe.noise_steps, recipe.noise_learning_rate),
    )
    learned = [*reader.parameters(), *model.model.multi_modal_projector.parameters()]
    truthful: list[Tensor] = []
    for name, steps, learning_rate in plans:
        joint = JointTraining(model, tokenizer, reader, pool=pool, seed=recipe.seed, stage=name)
        if not _finished(stages, name, steps, joint, seconds):
            settings = StageSettings(steps=steps, learning_rate=learning_rate)
            run_stage(name, joint, joint.loss_of_step, settings=settings, folder=stages)
            _finished(stages, name, steps, joint, seconds)
        if name == "refine":
            truthful = [parameter.detach().clone() for parameter in learned]
    with torch.no_grad():
        for parameter, before in zip(learned, truthful, strict=True):
            parameter.lerp_(before, 1 - recipe.noise_share)


def _finished(stages: Path, name: str, steps: int, module: nn.Module, seconds: dict[str, float]) -> bool:
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
    module.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    lines = [json.loads(line) for line in (stages / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    # The clock of a resumed stage starts anew: add up its pieces.
    times = [line["seconds"] for line in lines]
    pieces = [before for before, after in zip(times, [*times[1:], 0.0], strict=True) if after < before]
    seconds[name] = sum(pieces)
    say(f"stage {name}: {done} steps done")
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
    logs = [(out / "stages" / f"{name}.jsonl") for name in ("tower", "patches", "reader", "joint", "refine", "noise")]
    write_text_atomically(folder / "pretraining_log.jsonl", "".join(log.read_text(encoding="utf-8") for log in logs))
    manifest = build_manifest(verb="world pretrain", seed=recipe.seed, recipe=recipe, seconds=seconds)
    write_json_atomically(folder / "manifest.json", manifest.model_dump(mode="json"))
    return folder

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

import torch
from torch import Tensor, nn
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from veridical.config import write_recipe
from veridical.errors import ModelError
from veridical.files import write_json_atomically, write_text_atomically
from veridical.records.manifests import build_manifest
from veridical.world.base import LARGE, SMALL, build_model, build_processor
from veridical.world.pretraining.batches import find_place, losses
from veridical.world.pretraining.joint import ImagePool, JointExamples, JointStage, JointTraining
from veridical.world.pretraining.reader import (
    Lookups,
    ReaderTraining,
    lookup_examples,
    reader_examples,
)
from veridical.world.pretraining.recipe import RECIPE_FILE, PretrainRecipe, check_resumable
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


def pretrain(recipe: PretrainRecipe, out: Path) -> Path:
    """Make the base model, or resume where an earlier call was stopped.

    Args:
        recipe: Steps, seeds and rates.
        out: Run directory; stages, logs and the model (`out/model`) lie in it.

    Returns:
        Folder of the finished model.

    Raises:
        ConfigError: The run in `out` was started with settings that make other weights.
    """
    stages = out / "stages"
    check_resumable(recipe, out)
    stages.mkdir(parents=True, exist_ok=True)
    write_recipe(recipe, out / RECIPE_FILE)
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

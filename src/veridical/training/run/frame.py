"""What every training does around its method: lock, prepare, train, save, write the manifest.

In order: paths are made absolute → the directory is locked → recipe and fingerprints of the inputs
are written → the method prepares its trainer → it trains, from the last resume point if there is
one → the method saves → the manifest. A method gives what differs, as one function from a `Run` to
a `Prepared`. Of several processes the first one writes, and does first what the others then find
done.
"""

import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import torch

from veridical.errors import ConfigError
from veridical.files import remove_leftovers, write_json_atomically
from veridical.models.devices import check_quantization
from veridical.models.path_choice import paths_taken
from veridical.processes import check_launch, said_once
from veridical.progress import log
from veridical.records import Manifest
from veridical.records.manifests import build_manifest
from veridical.seeding import child_seed
from veridical.training.run.checkpoints import find_resume_point, trainable_parameters
from veridical.training.run.directory import MANIFEST_FILE, check_inputs, open_run, read_inputs
from veridical.training.run.loop import RESUME_FOLDER, RunTrainer
from veridical.training.run.paths import fingerprint_inputs, with_absolute_paths
from veridical.training.run.settings import TrainingRecipe
from veridical.training.run.team.membership import joined, locked_by_first
from veridical.training.run.team.sharding import asked_for, is_sharded
from veridical.training.run.team.work import here, in_turn, on_first

CACHE = "cache"
"""Where in the run directory lies what is computed once, unless the recipe names a folder."""
FEATURES = "features"
"""What names of folders of image features begin with."""

R = TypeVar("R", bound=TrainingRecipe)


class RunResult(NamedTuple):
    """What a training run left."""

    run_dir: Path
    """The run directory: recipe, fingerprints of the inputs, metrics, manifest, weights."""
    weights: Path
    """Folder of the trained weights in it: `adapter` (LoRA), `model` (full) or `reward_model`."""
    base: str
    """The model that was trained; an adapter is loaded on top of it."""
    manifest: Manifest
    """What made the run; `notes` holds the chosen step and the rule."""


class Clock:
    """Wall-clock seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        """What was noted."""
        self._last = time.monotonic()

    def lap(self, stage: str) -> None:
        """Note the seconds since the last lap."""
        now = time.monotonic()
        self.seconds[stage] = now - self._last
        self._last = now


class Run(NamedTuple, Generic[R]):
    """A run that was started: what a method prepares its trainer for."""

    recipe: R
    """The recipe, its paths absolute."""
    folder: Path
    """The run directory."""
    weights: Path
    """Folder in it that the trained weights go to."""
    clock: Clock
    """Takes the time of the method's stages."""

    def cache(self, named: str) -> Path:
        """The folder for what is computed once: the recipe's, or one in the run directory."""
        return Path(named) if named else self.folder / CACHE

    def check_base(self, name: str, fingerprint: str) -> None:
        """Note the fingerprint of the base's weights, which is known once they are loaded.

        Raises:
            ConfigError: The run was started with other weights.
        """
        check_inputs(self.folder, {name: fingerprint})


class Prepared(NamedTuple):
    """A method that is ready to train."""

    trainer: RunTrainer[Any, Any]
    """The loop; its resume points lie in the run directory."""
    finish: Callable[[], Mapping[str, object]]
    """Writes the chosen weights, and gives the notes of the manifest that are the method's own."""


class Method(NamedTuple, Generic[R]):
    """What one method of training adds to the frame."""

    verb: str
    """The command, for the manifest: "train dpo"."""
    seed: int
    """Root seed."""
    stream: str
    """Names the randomness of the first weights."""
    weights: str
    """Name of the folder in the run directory that the trained weights go to."""
    prepare: Callable[[Run[R]], Prepared]
    """Reads and encodes the data, loads the model and sets up the trainer."""
    data_field: str
    """The setting in `data` that names what is learnt from."""
    place: Callable[[R, Path], R] | None = None
    """Writes data given in memory into the run directory, and gives the recipe that names it."""
    no_shards: str = ""
    """Why the model cannot be sharded over processes; empty: it can."""


def run_training(recipe: R, run_dir: Path | str, method: Method[R], *, resume: bool) -> RunResult:
    """Run one training from its recipe to its manifest.

    Args:
        recipe: What to train, on what, how.
        run_dir: Where everything goes; must hold no run, unless `resume`.
        method: Which training.
        resume: Resume the run in `run_dir`; gives the same weights as without the interruption.

    Raises:
        ConfigError: `run_dir` is in use, or holds a run already, one of another recipe or of inputs
            that have changed since.
        StorageError: The disk refused.
    """
    check_launch(method.verb, several=True)
    model = recipe.model
    check_quantization(model.base, model.quantization, model.device)
    folder = Path(run_dir)
    recipe = with_absolute_paths(recipe)
    if method.place is None and not getattr(recipe.data, method.data_field):
        raise said_once(
            ConfigError(
                f"`data.{method.data_field}` is missing. Set it, or give the data in memory:"
                " `data=…`."
            )
        )
    quantized = model.quantization != "none"
    with (
        joined(model.device, no_shards=method.no_shards, quantized=quantized),
        locked_by_first(folder),
    ):
        weights, base = folder / method.weights, recipe.model.base
        recipe, finished = on_first(lambda: _open(recipe, folder, method, resume=resume))
        if finished is not None:
            return RunResult(folder, weights, base, finished)
        run = Run(recipe, folder, weights, Clock())
        torch.manual_seed(child_seed(method.seed, method.stream))
        trainer, finish = in_turn(lambda: method.prepare(run))
        trainer.run(resume_from=on_first(lambda: find_resume_point(folder / RESUME_FOLDER)))
        run.clock.lap("training")
        if is_sharded(trainer.vlm.model):
            manifest = on_first(lambda: _finish_whole(run, method, trainer))
        else:
            manifest = on_first(lambda: _finish(run, method, trainer, finish, learnt=trainer))
    chosen, rule = trainer.progress.best_step, trainer.rule.statement
    log(f"Chosen: step {chosen} ({rule}). Weights: {weights}")
    return RunResult(folder, weights, base, manifest)


def _open(recipe: R, folder: Path, method: Method[R], *, resume: bool) -> tuple[R, Manifest | None]:
    """Claim the run directory; give the recipe with its data in place, and a finished manifest."""
    remove_leftovers(folder)
    if method.place is not None:
        recipe = method.place(recipe, folder)
    return recipe, open_run(recipe, folder, fingerprint_inputs(recipe), resume=resume)


def _finish_whole(run: Run[R], method: Method[R], sharded: RunTrainer[Any, Any]) -> Manifest:
    """Prepare once more in this process, with a model that is not in shards, and finish with it."""
    log("Loading the model once more, to save the weights that its shards have learnt.")
    torch.manual_seed(child_seed(method.seed, method.stream))
    trainer, finish = method.prepare(run._replace(clock=Clock()))
    trainer.take_over(sharded)
    return _finish(run, method, trainer, finish, learnt=sharded)


def _finish(
    run: Run[R],
    method: Method[R],
    trainer: RunTrainer[Any, Any],
    finish: Callable[[], Mapping[str, object]],
    *,
    learnt: RunTrainer[Any, Any],
) -> Manifest:
    """Let the method save, and write the manifest; `learnt` is the trainer that ran."""
    learning = trainable_parameters(trainer.vlm.model).values()
    trained_weights = sum(parameter.numel() for parameter in learning)
    notes = finish()
    run.clock.lap("saving")
    progress = trainer.progress
    manifest = build_manifest(
        verb=method.verb,
        seed=method.seed,
        recipe=run.recipe,
        inputs=read_inputs(run.folder),
        seconds={**run.clock.seconds, "training": progress.seconds},
        notes={
            "chosen_step": progress.best_step,
            "choice_rule": trainer.rule.statement,
            "base": progress.base,
            "processor": trainer.vlm.settings.model_dump(mode="json"),
            "candidates": [candidate.model_dump() for candidate in progress.candidates],
            "scoring": paths_taken(learnt.vlm.model),
            "processes": here().world,
            "sharding": asked_for() or "none",
            **notes,
            "trained_weights": trained_weights,
        },
    )
    write_json_atomically(run.folder / MANIFEST_FILE, manifest.model_dump(mode="json"))
    for features in (run.folder / CACHE).glob(f"{FEATURES}-*"):  # nobody will read them again
        shutil.rmtree(features, ignore_errors=True)
    return manifest

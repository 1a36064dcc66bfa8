"""The stages of a pretraining run: each trained, or loaded where it is done already."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedTokenizerFast

from veridical.progress import log
from veridical.world.pretraining.batches import Losses, Place
from veridical.world.pretraining.examples import Example, ExampleBatch, collate_by_length
from veridical.world.pretraining.loop import StageSettings, run_stage


class StageRun(NamedTuple):
    """What all stages of a run share."""

    tokenizer: PreTrainedTokenizerFast
    folder: Path
    """Where checkpoints and logs lie."""
    place: Place
    """The device, and who prepares batches."""
    seconds: dict[str, float]
    """How long each stage took; filled in as they end."""

    def stage(self, name: str, module: nn.Module, losses: Losses, settings: StageSettings) -> None:
        """Train a stage, or load it where it is done already."""
        if not _finished(self, name, settings.steps, module):
            run_stage(name, module, losses, settings=settings, folder=self.folder)
            _finished(self, name, settings.steps, module)

    def collated(self, examples: Callable[[int], list[Example]], step: int) -> list[ExampleBatch]:
        """The step's examples as batches, in as many parts as the device likes."""
        return collate_by_length(examples(step), self.tokenizer, parts=self.place.parts)


def _finished(run: StageRun, name: str, steps: int, module: nn.Module) -> bool:
    """Load a stage that is done already, and note how long it took."""
    from safetensors import safe_open

    checkpoint = run.folder / f"{name}.safetensors"
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
        for line in (run.folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    # The clock of a resumed stage starts at 0: add up its pieces.
    times = [line["seconds"] for line in lines]
    pieces = [
        before for before, after in zip(times, [*times[1:], 0.0], strict=True) if after < before
    ]
    run.seconds[name] = sum(pieces)
    log(f"stage {name}: {done} steps done")
    return True

"""What tests look up in the run directory of a training."""

import json

import torch
from safetensors.torch import load_file


def lines_of(run_dir, part):
    """Lines of the metrics file of one part: "train" or "validation"."""
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["part"] == part]


def final_weights(result):
    """The weights that a run left."""
    (file,) = result.weights.glob("*.safetensors")
    return load_file(file)


def same_weights(first, second):
    """Whether two runs left the very same weights."""
    a, b = final_weights(first), final_weights(second)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def lasting_notes(result):
    """A manifest's notes without `scoring`, which counts the batches of its own process only."""
    return {name: note for name, note in result.manifest.notes.items() if name != "scoring"}

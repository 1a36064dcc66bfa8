"""The example on photographs: every command of its README, in order, on the command line."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from documents import blocks, follow
from veridical.feedback.segments import find_segments
from veridical.records import Correction, read_records
from veridical.world.base import base_model_path

EXAMPLE = Path(__file__).parents[2] / "examples" / "photographs"
MINIATURE, WORLD = blocks(EXAMPLE / "README.md")


@pytest.fixture
def folder(tmp_path):
    for path in EXAMPLE.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
    return tmp_path


def adapter_moves_the_base(base, adapter):
    """Whether plain transformers and PEFT give other logits with the adapter than without it."""
    model = PeftModel.from_pretrained(
        AutoModelForImageTextToText.from_pretrained(base), adapter
    ).eval()
    ids = torch.arange(4, 12)[None]
    with torch.no_grad():
        with_adapter = model(input_ids=ids).logits
        with model.disable_adapter():
            without = model(input_ids=ids).logits
    return bool((with_adapter - without).abs().max() > 0)


def test_a_llava_miniature_from_photographs_to_an_adapter(folder, capsys):
    printed = follow([MINIATURE], folder, capsys)
    assert "14 corrections, 12 images" in printed[1]
    assert "no fault" in printed[2]
    assert re.search(r"segments +│ 31 ", printed[3])
    assert re.search(r"edit: deletion +│ 7 ", printed[3])
    assert printed[-1].strip()

    corrections = read_records(folder / "out/corrections/corrections.jsonl", Correction)
    written = [
        json.loads(line) for line in (EXAMPLE / "corrections.jsonl").read_text().splitlines()
    ]
    assert [(c.question, c.rejected, c.chosen) for c in corrections] == [
        (row["question"], row["rejected"], row["chosen"]) for row in written
    ]
    assert {c.source for c in corrections} == {"model"}
    assert all("written for this example" in c.origin for c in corrections)

    run_dir = folder / "out/miniature-run"
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    untrained = [row["loss"] for row in rows if row["step"] == 0]
    assert untrained == [pytest.approx(0.6931, abs=1e-3)]
    # What was seen once is preferred when it is seen again. Three held-out pairs of a random model
    # would show which pairs they are, not what was learnt.
    again = [row for row in rows if row["part"] == "train" and row["epoch"] > 1]
    assert max(row["loss"] for row in again) < 0.65
    assert {row["accuracy"] for row in again} == {1.0}
    weights = load_file(run_dir / "adapter" / "adapter_model.safetensors")
    assert all(tensor.abs().sum() > 0 for name, tensor in weights.items() if "lora_B" in name)
    assert adapter_moves_the_base(folder / "out/miniature", run_dir / "adapter")
    config = json.loads((folder / "out/miniature/config.json").read_text())
    assert config["image_seq_length"] == 576


def test_corrections_are_small_and_delete_what_is_not_there():
    rows = [json.loads(line) for line in (EXAMPLE / "corrections.jsonl").read_text().splitlines()]
    segments = [find_segments(row["rejected"], row["chosen"]) for row in rows]
    assert all(segments)
    assert sum(any(s.chosen_span[0] == s.chosen_span[1] for s in found) for found in segments) == 7


def test_the_same_recipe_trains_the_worlds_base(folder, capsys):
    make, import_, *_ = MINIATURE.text.splitlines()
    printed = follow([MINIATURE._replace(text=f"{make}\n{import_}"), WORLD], folder, capsys)
    assert printed[-1].strip()
    assert adapter_moves_the_base(base_model_path(), folder / "out/world-run/adapter")

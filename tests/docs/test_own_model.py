"""docs/own_model.md, followed from its first line to its last on a miniature."""

import json
import re
import shutil
from pathlib import Path

import pytest
import skimage

from documents import blocks, follow
from veridical.models.loading import load_model

PAGE = Path(__file__).parents[2] / "docs" / "own_model.md"


@pytest.fixture
def folder(tiny_llava_path, tmp_path):
    shutil.copytree(tiny_llava_path, tmp_path / "my-model")
    (tmp_path / "images").mkdir()
    for name in ("coffee", "astronaut", "chelsea"):
        shutil.copy(Path(skimage.__file__).parent / "data" / f"{name}.png", tmp_path / "images")
    return tmp_path


def test_the_page_leads_to_an_adapter_in_use(folder, capsys):
    printed = follow(blocks(PAGE), folder, capsys)
    checks = printed[0].partition("checks\n")[2].splitlines()
    assert len([line for line in checks if " ok " in line]) > 8
    assert not [line for line in checks if line.strip() and " ok " not in line]
    assert any("no fault" in text for text in printed)
    assert re.search(r"judged by: human +│ 3 ", "".join(printed))
    for part in ("before", "after"):
        rows = (folder / part / "responses.jsonl").read_text().splitlines()[1:]
        assert [json.loads(row)["prompt_id"] for row in rows] == ["1", "2", "3"]
    manifest = json.loads((folder / "runs/mine/manifest.json").read_text())
    assert manifest["notes"]["sources"] == ["human"]
    merged = load_model(folder / "my-model-aligned", device="cpu")
    assert merged.tokenizer.eos_token == "</s>"
    assert "responses per side to tell 50 % from 35 %: " in printed[-1]
    assert re.match(r"-0\.40 \[-0\.\d\d, [+-]0\.\d\d\], p = 0\.\d\d, n = 10\n", printed[-1])

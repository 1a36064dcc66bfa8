"""Prompts of a training set: read when needed, and still the ones that were read at the start."""

import json
from typing import NamedTuple

import pytest
import torch

from miniatures import picture
from veridical.errors import DataError, ModelError
from veridical.models.architectures.images import encode_images
from veridical.models.features import FeatureCache
from veridical.models.loading import load_model
from veridical.models.lora import freeze
from veridical.models.prompts.encoding import image_keys
from veridical.records import ImageRef
from veridical.training.run.encoded_prompts import encode_all_prompts


class Asked(NamedTuple):
    id: str
    turns: tuple[str, ...]
    images: tuple[ImageRef, ...]
    system: str = ""


def test_a_picture_that_is_gone_or_another_one_stops_the_run_with_its_row(
    tiny_qwen2_5_vl_path, tmp_path
):
    """Nothing is kept here, so that every batch reads its pictures."""
    vlm = load_model(tiny_qwen2_5_vl_path, device="cpu")
    freeze(vlm.model, vision=True, projector=True)
    rows, sizes = [], ((64, 48), (40, 64), (48, 48))
    for number, size in enumerate(sizes):
        path = tmp_path / f"{number}.png"
        picture(number, size=size).save(path)
        images = (ImageRef(path=str(path)),) if number else ()
        rows.append(Asked(f"r{number}", ("What is it?",), images))
    origin = tmp_path / "rows.jsonl"
    origin.write_text("".join(json.dumps({"id": row.id}) + "\n" for row in rows))
    features = FeatureCache(tmp_path / "cache", vlm, memory_bytes=1, disk_bytes=0)
    encoded = encode_all_prompts(vlm, [*rows, rows[1]], features, origin=origin)
    assert encoded[3] is encoded[1]
    keys = image_keys(encoded[:3])
    features.read_ahead(keys)
    found = features.load(keys)["image"].pooler_output
    live = [
        encode_images(vlm.model, features._readers[key]())["image"].pooler_output[0] for key in keys
    ]
    for one, other in zip(found, live, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    picture(9, size=sizes[2]).save(tmp_path / "2.png")
    with pytest.raises(ModelError, match="not the one that was read at the start"):
        features.load(keys[1:])  # the other one is still in memory
    (tmp_path / "2.png").unlink()
    with pytest.raises(DataError, match=r"(?s)rows\.jsonl:3: .*must stay as they are") as raised:
        features.read_ahead(keys[1:])
    assert raised.value.faults[0].line == 3

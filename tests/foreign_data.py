"""Small datasets in public formats, made on the spot."""

import base64
import io
import json
from pathlib import Path

import pyarrow
from PIL import Image
from pyarrow import parquet

QUESTION = "Describe the image."
REJECTED = "A cat sits on a red bench."
CHOSEN = "A dog sits on a red bench."


def image_bytes(number: int = 0, *, kind: str = "PNG", size: int = 24) -> bytes:
    """An image that differs by number; noisy enough that cutting it in half breaks it."""
    image = Image.effect_noise((size, size), 60).convert("RGB")
    image.putpixel((0, 0), (number % 256, number // 256, 7))
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def rlhf_v_row(number: int = 0, **changes) -> dict:
    texts = {"question": QUESTION, "chosen": CHOSEN, "rejected": REJECTED}
    row = {
        "ds_name": "RLHF-V",
        "image": {"bytes": image_bytes(number), "path": f"{number}.png"},
        "text": json.dumps(texts | changes.pop("texts", {})),
        "origin_dataset": "coco",
        "origin_split": json.dumps({"model": "Muffin", "type": "detailed_description"}),
        "idx": number,
        "image_path": f"{number}.png",
    }
    return row | changes


def rlaif_v_row(number: int = 0, **changes) -> dict:
    row = rlhf_v_row(number, idx=str(number))
    texts = json.loads(row.pop("text"))
    return row | texts | changes


def tsv_line(number: int = 0, **changes) -> str:
    def encode(value: bytes) -> str:
        return base64.b64encode(value).decode()

    cells = {
        "name": "RLHF-V",
        "image": encode(image_bytes(number)),
        "texts": encode(json.dumps([QUESTION, CHOSEN, REJECTED]).encode()),
        "dataset": "coco",
        "meta": encode(json.dumps({"model": "Muffin"}).encode()),
        "index": str(number),
        "image_id": f"{number}.png",
    }
    return "\t".join((cells | changes).values())


def chat_row(number: int = 0, **changes) -> dict:
    """As TRL has it: lists of messages with parts."""

    def answer(text):
        return [{"role": "assistant", "content": [{"type": "text", "text": text}]}]

    parts = [{"type": "image", "text": None}, {"type": "text", "text": QUESTION}]
    row = {
        "images": [{"bytes": image_bytes(number), "path": None}],
        "prompt": [{"role": "user", "content": parts}],
        "chosen": answer(CHOSEN),
        "rejected": answer(REJECTED),
    }
    return row | changes


def plain_row(folder: Path, number: int = 0, **changes) -> dict:
    name = f"{number}.jpg"
    (folder / name).write_bytes(image_bytes(number, kind="JPEG"))
    row = {
        "id": str(number),
        "image": name,
        "prompt": QUESTION,
        "chosen": CHOSEN,
        "rejected": REJECTED,
    }
    return row | changes


def write_parquet(path: Path, rows: list[dict], **settings) -> Path:
    parquet.write_table(pyarrow.Table.from_pylist(rows), path, **settings)
    return path


def write_jsonl(path: Path, rows: list) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path

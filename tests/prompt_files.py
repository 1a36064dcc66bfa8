"""A small file of prompts about small pictures, and a reward that any text has."""

from pathlib import Path

import torch

from miniatures import picture
from veridical.records import ImageRef, Prompt, write_records

QUESTIONS = [
    "What is in the picture?",
    "Is there a knife?",
    "Describe the image in detail.",
    "Is there a red car?",
]


def write_prompts(folder: Path, *, count: int = 8, name: str = "prompts") -> Path:
    """Write prompts with their images; every image is asked about once."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    prompts = []
    for number in range(count):
        path = f"images/{name}-{number}.png"
        picture(number).save(folder / path)
        question = QUESTIONS[number % len(QUESTIONS)]
        prompts.append(Prompt(id=f"{name}-{number}", image=ImageRef(path=path), question=question))
    file = folder / f"{name}.jsonl"
    write_records(file, prompts, kind="Prompt")
    return file


class Letters:
    """Rewards the share of letters that come early in the alphabet."""

    name = "letters"

    def __call__(self, candidates):
        return torch.tensor(
            [sum(c in "abcde" for c in one.text) / (len(one.text) + 1) for one in candidates]
        )

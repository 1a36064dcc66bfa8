"""A-OKVQA's multiple-choice questions → one conversation per picture.

Published: `aokvqa_v1p0_train.json` (allenai/aokvqa, Apache-2.0): 17,056 questions, each with four
choices, the right one, and three rationales. A question is asked for the letter, or for its
rationale first; then the answer ends in "the correct option is B. …", which the rule reward of
LLaVA-RLHF's PPO looks for.
"""

from collections import defaultdict
from pathlib import Path
from random import Random

from veridical.errors import DataError, Fault
from veridical.files import JsonObject
from veridical.formats.mix.parts import Part, Pictures, coco_names, read_json, rows_of

NAME = "a-okvqa"
"""The part's name."""
LETTER = "Answer with the option's letter from the given choices directly."
"""What asks for a letter alone, in LLaVA's words."""
RATIONALE = "Explain your reasoning first, then say which option is correct."
"""What asks for the chain of thought; ours, since LLaVA-RLHF published none."""
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def read_a_okvqa(file: Path, pictures: Pictures, *, random: Random, rationale_share: float) -> Part:
    """Read the questions of a file.

    Args:
        file: The published file.
        pictures: Where COCO's pictures lie.
        random: Draws which questions are asked for their rationale, and which of the three is
            answered.
        rationale_share: Share of the questions that are asked for it.

    Raises:
        DataError: The file is not what it should be.
    """
    part = Part(NAME)
    by_picture: dict[int, list[tuple[str, str]]] = defaultdict(list)
    faults = []
    fields = {"image_id": int, "question": str, "choices": list, "correct_choice_idx": int}
    for number, row in enumerate(rows_of(file, read_json(file), key=None, fields=fields), start=1):
        part.found["questions"] += 1
        if not 0 <= row["correct_choice_idx"] < len(row["choices"]) <= len(_LETTERS):
            message = (
                f"`correct_choice_idx` must point into {len(row['choices'])} choices, got"
                f" {row['correct_choice_idx']}."
            )
            faults.append(Fault(file, number, message))
            continue
        rationales = [text for text in row.get("rationales", []) if str(text).strip()]
        explained = bool(rationales) and random.random() < rationale_share
        exchange = _explained(row, random.choice(rationales)) if explained else _letter(row)
        part.found["asked for the rationale" if explained else "asked for the letter"] += 1
        by_picture[row["image_id"]].append(exchange)
    if faults:
        raise DataError(faults, advice="Download the file again.")
    for picture, exchanges in sorted(by_picture.items()):
        part.found["pictures"] += 1
        path = pictures.take(part, *coco_names(picture))
        if path is not None:
            part.add(path, str(picture), exchanges, source="human")
    return part


def _options(row: JsonObject) -> str:
    lines = [f"{_LETTERS[n]}. {choice}" for n, choice in enumerate(row["choices"])]
    return "\n".join([row["question"].strip(), *lines])


def _letter(row: JsonObject) -> tuple[str, str]:
    return f"{_options(row)}\n{LETTER}", _LETTERS[row["correct_choice_idx"]]


def _explained(row: JsonObject, rationale: str) -> tuple[str, str]:
    place = row["correct_choice_idx"]
    said = str(rationale).strip()
    said = said[:1].upper() + said[1:] + ("" if said.endswith((".", "!", "?")) else ".")
    right = f"{_LETTERS[place]}. {row['choices'][place]}"
    return f"{_options(row)}\n{RATIONALE}", f"{said} So the correct option is {right}."

"""VQA-v2's yes/no questions → one conversation per picture.

Published: `v2_OpenEnded_mscoco_train2014_questions.json` and
`v2_mscoco_train2014_annotations.json` (visualqa.org, CC BY 4.0). The truth is
`multiple_choice_answer`, what most of the ten people said; questions whose truth is neither yes nor
no are left out, as are the other answer types. Questions of one picture become turns of one
conversation, in an order drawn by the seed.
"""

from collections import defaultdict
from pathlib import Path
from random import Random

from veridical.errors import ConfigError
from veridical.formats.mix.parts import SHORT_ANSWER, Part, Pictures, coco_names, read_json, rows_of

NAME = "vqa-v2"
"""The part's name."""
_ANSWERS = {"yes": "Yes", "no": "No"}


def read_vqa_v2(folder: Path, pictures: Pictures, *, random: Random, most_turns: int) -> Part:
    """Read the questions and answers of a folder.

    Args:
        folder: Holds the two published files of one split.
        pictures: Where COCO's pictures lie.
        random: Draws the order of questions.
        most_turns: Most questions of a conversation; the others of the picture are left out.

    Raises:
        ConfigError: The folder does not hold exactly one file of each.
        DataError: A file is not what it should be.
    """
    questions_file, answers_file = find_files(folder)
    answer_rows = rows_of(
        answers_file,
        read_json(answers_file),
        key="annotations",
        fields={"question_id": int, "answer_type": str, "multiple_choice_answer": str},
    )
    truths = {
        row["question_id"]: row["multiple_choice_answer"].strip().lower()
        for row in answer_rows
        if row["answer_type"] == "yes/no"
    }
    part = Part(NAME)
    by_picture: dict[int, list[tuple[str, str]]] = defaultdict(list)
    rows = rows_of(
        questions_file,
        read_json(questions_file),
        key="questions",
        fields={"question_id": int, "image_id": int, "question": str},
    )
    for row in rows:
        part.found["questions"] += 1
        truth = truths.get(row["question_id"])
        if truth is None:
            part.left_out["question of another answer type, or without an answer"] += 1
        elif truth not in _ANSWERS:
            part.left_out["yes/no question whose answer is neither"] += 1
        else:
            asked = f"{row['question'].strip()}\n{SHORT_ANSWER}"
            by_picture[row["image_id"]].append((asked, _ANSWERS[truth]))
    for number, exchanges in sorted(by_picture.items()):
        part.found["pictures with yes/no questions"] += 1
        path = pictures.take(part, *coco_names(number))
        if path is not None:
            random.shuffle(exchanges)
            part.left_out["question beyond the longest conversation"] += max(
                0, len(exchanges) - most_turns
            )
            part.add(path, str(number), exchanges[:most_turns], source="human")
    return part


def find_files(folder: Path) -> tuple[Path, Path]:
    """Questions and annotations in a folder, by what their names hold.

    Raises:
        ConfigError: There is not exactly one of each.
    """
    found = []
    for word in ("questions", "annotations"):
        files = sorted(folder.glob(f"*{word}*.json"))
        if len(files) != 1:
            names = ", ".join(file.name for file in files) or "none"
            raise ConfigError(
                f"`{folder}` must hold one file *{word}*.json of VQA-v2, got {names}. Name the"
                " folder with the two files of the training split."
            )
        found.append(files[0])
    return found[0], found[1]

"""POPE's questions and answers in the layouts they circulate in, matched split by split.

The three splits are three files with ids from 1. LLaVA keeps the answers of all three in one file:
ids from 1, from 10,000,001 and from 20,000,001. VLMEvalKit and lmms-eval keep the questions in one
file too and tell the splits apart by `category`.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from veridical.progress import counted
from veridical.scoring.answers import QUESTION_NAMES
from veridical.scoring.matching import IDS, Pair, match_answers
from veridical.scoring.rows import Faults, Row, id_text, read_rows

BLOCK = 10_000_000
"""How far the ids of two splits lie apart in LLaVA's files."""
_SAME_QUESTIONS = 0.9
"""Share of equal texts from which prompts count as a split's questions; splits share half."""
_SPLIT = re.compile(r"random|popular|adversarial")


class Split(NamedTuple):
    """Questions that are scored together."""

    name: str
    """"random", "popular", "adversarial"; empty where there is one split."""
    questions: list[Row]
    """Its questions."""


class Matches(NamedTuple):
    """Questions with their answers, by split."""

    pairs: list[tuple[str, Pair]]
    """Name of the split and pair, in the order of the questions."""
    questions: int
    """Questions that were read."""
    warnings: tuple[str, ...]
    """What a reader must know."""


def read_splits(path: Path, faults: Faults) -> list[Split]:
    """Questions by split, from one file or from a folder with a file for each split."""
    if not path.is_dir():
        return by_category(read_rows(path, faults))
    paths = [one for one in sorted(path.iterdir()) if _SPLIT.search(one.name) and one.is_file()]
    names = [_split_name(one) for one in paths]
    if not paths or len(set(names)) < len(names):
        has = ", ".join(one.name for one in paths) or "none"
        faults.add_file(
            path,
            f"needs one file of questions for each split, named after it, got {has}. Give such a"
            " folder, or one file.",
        )
        return []
    return [Split(name, read_rows(one, faults)) for name, one in zip(names, paths, strict=True)]


def by_category(rows: Sequence[Row]) -> list[Split]:
    """Questions of one file by their `category`, one without it being one split.

    A question of several categories, "popular,random", belongs to each of them.
    """
    splits: dict[str, list[Row]] = {}
    for row in rows:
        for name in _categories(row):
            splits.setdefault(name, []).append(row)
    if len(splits) == 1:  # one split needs no name
        return [Split("", list(rows))]
    return [Split(*both) for both in splits.items()]


def match_splits(answers: list[Row], splits: Sequence[Split], faults: Faults) -> Matches:
    """Match the answers to the questions of each split."""
    read = len({id(row) for split in splits for row in split.questions})
    if not answers or not read:  # the fault of the file is noted already
        return Matches([], read, ())
    if len(splits) == 1 and not _in_blocks(answers, splits[0]):
        matched = match_answers(answers, splits[0].questions, faults)
        return Matches([("", pair) for pair in matched.pairs], read, matched.warnings)
    parts = _parts(answers, splits, faults)
    pairs, warnings = [], list(parts.warnings)
    for split, part in zip(splits, parts.answers, strict=True):
        if not part:
            warnings.append(f"No answers to the split {split.name}.")
            continue
        matched = match_answers(part, split.questions, faults)
        prefix = f"{split.name}/" if split.name else ""
        pairs += [(split.name, pair._replace(id=prefix + pair.id)) for pair in matched.pairs]
        warnings += matched.warnings
    return Matches(pairs, read, tuple(dict.fromkeys(warnings)))


class _Parts(NamedTuple):
    answers: list[list[Row]]
    """The answers of each split."""
    warnings: tuple[str, ...] = ()


def _parts(answers: Sequence[Row], splits: Sequence[Split], faults: Faults) -> _Parts:
    """The answers of each split: by category, by ids of one question, or by LLaVA's blocks."""
    named = [_categories(row) for row in answers]
    if len(splits) > 1 and all(any(names) for names in named):
        return _Parts([_where(answers, named, split.name) for split in splits])
    rows = {id(row): row for split in splits for row in split.questions}
    asked = [{_id(row) for row in split.questions} for split in splits]
    known = set().union(*asked)
    if len(splits) > 1 and len(known) == len(rows):
        rest = [row for row in answers if _id(row) not in known]
        parts = [[row for row in answers if _id(row) in ids] for ids in asked]
        return _Parts([[*parts[0], *rest], *parts[1:]])
    return _by_blocks(answers, splits, faults)


def _by_blocks(answers: Sequence[Row], splits: Sequence[Split], faults: Faults) -> _Parts:
    """Put LLaVA's blocks of ids to the splits, by what the answers say that they were asked."""
    blocks: dict[int, list[Row]] = {}
    for row in answers:
        blocks.setdefault(_block(row), []).append(_shifted(row))
    parts: list[list[Row]] = [[] for _ in splits]
    left_out, unclear = [], []
    for block, rows in sorted(blocks.items()):
        shares = [_agreement(rows, split) for split in splits]
        best = max(shares)
        if best < 0:
            unclear.append(block)
        elif best > _SAME_QUESTIONS:
            parts[shares.index(best)] += rows
        else:
            left_out.append(block)
    if unclear:
        firsts = ", ".join(map(_first_id, sorted(blocks)))
        faults.add_file(
            answers[0].file,
            f"answers of {len(blocks)} splits (ids from {firsts})"
            f" for questions with ids from 1 of {len(splits)}, and no `prompt` that says which are"
            " which. Give questions with the same ids, or answers with their prompts.",
        )
        return _Parts([[] for _ in splits])
    if not any(parts):
        faults.add_file(answers[0].file, "the prompts are not those of the questions. Give both.")
    warnings: tuple[str, ...] = ()
    if left_out and any(parts):
        names = ", ".join(map(_first_id, left_out))
        count = sum(len(blocks[block]) for block in left_out)
        warnings = (f"Left out: {counted(count, 'answer')} to other splits (ids from {names}).",)
    return _Parts(parts, warnings)


def _agreement(rows: Sequence[Row], split: Split) -> float:
    """Share of answers whose prompt is the question with their id; -1 where they hold no prompt."""
    asked = {_id(row): _text(row, ("text", *QUESTION_NAMES)) for row in split.questions}
    said = [(_id(row), _text(row, QUESTION_NAMES)) for row in rows]
    named = [(name, text) for name, text in said if text]
    return sum(asked.get(name) == text for name, text in named) / len(named) if named else -1.0


def _in_blocks(answers: Sequence[Row], split: Split) -> bool:
    """Whether answers have ids of several blocks, and the questions only of the first."""
    return any(map(_block, answers)) and not any(map(_block, split.questions))


def _where(rows: Sequence[Row], named: Sequence[list[str]], name: str) -> list[Row]:
    return [row for row, names in zip(rows, named, strict=True) if name in names]


def _categories(row: Row) -> list[str]:
    category = row.values.get("category")
    names = category.split(",") if isinstance(category, str) else [""]
    return [name.strip() for name in names]


def _id(row: Row) -> str | None:
    return next((id_text(row.values[name]) for name in IDS if name in row.values), None)


def _block(row: Row) -> int:
    name = _id(row) or ""
    return int(name) // BLOCK if name.isdecimal() and len(name) < 12 else 0


def _shifted(row: Row) -> Row:
    block = _block(row)
    if not block:
        return row
    return row._replace(values={**row.values, "question_id": int(_id(row) or 0) - block * BLOCK})


def _first_id(block: int) -> str:
    return f"{block * BLOCK + 1:,}"


def _text(row: Row, names: Sequence[str]) -> str:
    """What was asked, without an instruction on a line of its own."""
    found = (row.values[name] for name in names if isinstance(row.values.get(name), str))
    return next(found, "").strip().partition("\n")[0]


def _split_name(path: Path) -> str:
    match = _SPLIT.search(path.name)
    return match[0] if match else path.stem

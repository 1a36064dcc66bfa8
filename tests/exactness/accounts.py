"""Account for every value of the official results: reproduced, an input, or left with a reason."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from exactness import chair, judged, questions
from official_data import expected

BENCHMARKS = (
    "pope",
    "chair",
    "object_halbench",
    "amber",
    "mmhal",
    "llava_bench",
    "hallusionbench",
    "vqa",
)
Path = tuple[str, ...]

REPRODUCE = {
    "pope": questions.pope,
    "hallusionbench": questions.hallusionbench,
    "vqa": questions.vqa,
    "amber": questions.amber,
    "chair": chair.chair,
    "object_halbench": chair.object_halbench,
    "mmhal": judged.mmhal,
    "llava_bench": judged.llava_bench,
}
"""By benchmark: yields the path of a value in the official results and what we get for it."""

NOTES = re.compile(
    r"/(file|answers|labels|captions|gt|cap_file|annotations|questions|results|evaluator|note|statement|inputs|template|"
    r"responses|similarity|threshold|comparison|noun_extraction|evaluation_type|formula|status|per_sentence|text|judge|"
    r"(answers|labels)/\d+)(/\d+)?$"
)
"""Names of inputs, and words about them; no results."""

LEFT = (
    (
        r"pope/degenerate/.*/raises",
        (
            "the official script ends with ZeroDivisionError; here the ratio is 0, with n = 0 or"
            " F1 = 0"
        ),
    ),
    (
        r"hallusionbench/hallusionbench_synth_perfect/raises",
        "the official script ends with ZeroDivisionError; here the shares of errors have n = 0",
    ),
    (
        r"chair/corpora/.*identical_with_nltk_3.10.4",
        (
            "about nltk 3.10, which is not used here: tokens are those of 3.9.1; with 3.10.4 put in"
            " by hand one of the 3,000 captions is split otherwise"
        ),
    ),
    (
        r"chair/expected_sentences/[01]",
        "the captions that these lists belong to are not among the files",
    ),
    (
        r"object_halbench/objhal_parse_object_list/5/official/a",
        "a JSON object: its keys are taken as names, as officially; its values are not kept",
    ),
    (r"amber/published_amber_score_check/.*/[01]", "published values that the formula is fed with"),
    (r"llava_bench/.*stdout/.*", "a line with the name of the file, or a rule"),
    (r"mmhal/mmhal_rlhfv_summary_stdout/.*", "a line with the name of the file"),
)
"""What is not reproduced: pattern of the path, and why."""


_ABOUT = """\
The files are not redistributed, so this is checked where they lie in the checkout
(`tests/official_data.py`); small files of our own replace them in all other tests. What "official"
means: POPE, VQA, CHAIR (original, OPERA), AMBER, LLaVA-Bench, MMHal-Bench and HallusionBench were
run unmodified (Python 2 through lib2to3; AMBER with spaCy's similarity replaced by a stated
function); VLMEvalKit's and lmms-eval's readings of POPE were rewritten from their source; Object
HalBench ran with the judge's call and spaCy bypassed. MMHal's reviews, AMBER's responses,
HallusionBench's checks and VQA's items are synthetic; POPE's two real files, CHAIR's captions and
LLaVA-Bench's text-only reviews are real. A count of one may stand for many items: POPE's edge cases
(82 texts, three readings), CHAIR's (81 captions, as many), its word forms (789 and 498) and its
lists of objects (500 captions each) count once, if all of them agree.

Two steps depend on spaCy: AMBER's similarity of words (en_core_web_lg) and the singulars of Object
HalBench's official variant (en_core_web_trf). Neither model is on a package index, and neither was
available. A test runs both steps with spaCy itself and small pipelines built in the test; no number
that depends on the two models was compared with the official one.
"""


class Value(NamedTuple):
    """One value of the official results."""

    path: Path
    """Where it stands, benchmark first."""
    official: Any
    """What the official code gave."""
    ours: Any
    """What we give; `MISSING` where we do not."""


class Account(NamedTuple):
    """One group of values."""

    benchmark: str
    """The benchmark."""
    case: str
    """The group's name."""
    reproduced: int
    """How many we give."""
    left: dict[str, int]
    """How many we do not, by reason."""


MISSING = object()


def values() -> Iterator[Value]:
    """All values of the official results that are no inputs or notes, with ours."""
    for benchmark in BENCHMARKS:
        results = expected(benchmark)
        ours = {(benchmark, *path): value for path, value in REPRODUCE[benchmark](results)}
        for path, official in _leaves(results, (benchmark,)):
            if path in ours or not NOTES.search("/" + "/".join(path)):
                yield Value(path, official, ours.pop(path, MISSING))
        if ours:
            raise KeyError(f"not among the official results: {sorted(ours)[:3]}")


def reason(value: Value) -> str | None:
    """Why a value is left out; None where no reason is known."""
    path = "/".join(value.path)
    return next((why for pattern, why in LEFT if re.fullmatch(pattern, path)), None)


def accounts(found: list[Value]) -> list[Account]:
    """Count by benchmark and case."""
    counted: dict[tuple[str, str], Account] = {}
    for value in found:
        key = value.path[0], value.path[1]
        account = counted.setdefault(key, Account(*key, 0, {}))
        if value.ours is not MISSING:
            counted[key] = account._replace(reproduced=account.reproduced + 1)
        else:
            why = reason(value) or "not accounted for"
            account.left[why] = account.left.get(why, 0) + 1
    return list(counted.values())


def page(found: list[Value]) -> str:
    """docs/benchmarks/exactness.md."""
    rows = accounts(found)
    left = sum(sum(row.left.values()) for row in rows)
    given = len(found) - left
    lines = [
        (
            "<!-- Generated by `python tests/exactness` from the official files; a test compares"
            " the two. -->"
        ),
        "# Exactness",
        "",
        (
            f"Of {len(found):,} values that the official code returned on files of answers,"
            " captions and reviews,"
        ),
        (
            f"{given:,} are reproduced: whole numbers, texts and parsed items equal, real numbers"
            " to 1e-9 (where the"
        ),
        (
            f"official code prints a rounded number, to its last digit). {left} are not, for the"
            " reasons given."
        ),
        "",
        _ABOUT,
        "| benchmark | values of | reproduced | not, and why |",
        "| --- | --- | --- | --- |",
    ]
    for row in rows:
        why = "; ".join(f"{count}: {text}" for text, count in row.left.items())
        lines.append(f"| {row.benchmark} | {row.case} | {row.reproduced} | {why} |")
    return "\n".join(lines) + "\n"


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(inner, (*path, str(number)))
    else:
        yield path, value

"""Names of fields as people write them: which may hold an answer, an id, or an image.

Files name the same thing in a hundred ways (`pred`, `llava_response`, `generatedText`). A name is
taken apart into words; the words say whether it may hold an answer. What may be the truth, a
question or a note about the answer is not an answer.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from veridical.files import JsonObject

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_ANSWERS_WORDS = """
    answer ans text response resp reply caption captions description prediction predictions
    pred predict predicted output outputs generated generation generations gen completion
    completions hypothesis hyp responses
"""
_ANSWERS = frozenset(_ANSWERS_WORDS.split())
_OTHERS_WORDS = """
    id ids idx index key name names type types kind class category path paths file files url
    uri src image images img question questions prompt query instruction input context system
    user gt truth true label labels target gold ground reference references ref correct right
    expected human teacher original origin score scores rating review reviews judge judged
    judgement verdict eval evaluation check flag flags match matched hit metric metrics
    accuracy same parsed extracted extraction normalized normalised processed cleaned length
    len num count tokens token time seconds date timestamp lang language reason finish status
    error config settings params kwargs version source hash log logs prob probs logprobs
    confidence rationale explanation chosen rejected options choices choice by with at from
    format dir role task label
"""
_OTHERS = frozenset(_OTHERS_WORDS.split())
"""Words of names that hold something about the answer, the truth, or what was asked."""
_PICTURE = frozenset({"image", "img"})
_ABOUT_PICTURE = frozenset({"caption", "captions", "description"})
_IDS_WORDS = """
    qid questionid questionidx questionindex sampleid sampleidx uid itemid dataid customid
    exampleid instanceid promptid idx recordid queryid
"""
_IDS = frozenset(_IDS_WORDS.split())
_IMAGES_WORDS = """
    img imgid imageid imageidx imgidx cocoid filename imgname imagename imagefilename imgpath
    imagepath imgfile imagefile imagesource imagesrc images imgs
"""
_IMAGES = frozenset(_IMAGES_WORDS.split())
ID_NAMES = ("question_id", "prompt_id", "index", "id")
"""Names that the id of a question has in the published files themselves."""
IMAGE_NAMES = ("image_id", "image", "image_path", "image_file", "image_source", "file_name")
"""Names under which they hold the image: as id, number, file name or path."""


@lru_cache(maxsize=4096)
def may_hold_answer(name: str) -> bool:
    """Whether a field of this name may hold what a model said.

    >>> [may_hold_answer(name) for name in ("pred", "gptAnswer", "gt_answer", "answer_id", "TEXT")]
    [True, True, False, False, True]
    """
    words = [word.lower() for word in _WORD.findall(name)]
    others = _OTHERS - _PICTURE if _ABOUT_PICTURE & {*words} else _OTHERS
    return bool(_ANSWERS & {*words}) and not others & {*words} and words[-1] != "model"


def with_usual_names(values: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[str]]:
    """A row with id and image under their usual names too, and the names that they were under."""
    found: list[str] = []
    added: JsonObject = {}
    for usual, known, others in (
        ("question_id", ID_NAMES, _IDS),
        ("image", IMAGE_NAMES, _IMAGES),
    ):
        name = None if any(map(values.__contains__, known)) else _first(values, others)
        if name is not None:
            found.append(name)
            added[usual] = values[name]
    return ({**values, **added}, found) if added else (values, [])


def _first(names: Iterable[str], wanted: frozenset[str]) -> str | None:
    return next((name for name in names if _squeezed(name) in wanted), None)


@lru_cache(maxsize=4096)
def _squeezed(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())

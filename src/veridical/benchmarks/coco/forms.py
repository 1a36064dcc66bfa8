"""Which of two forms a list of the objects in COCO's images is in, and which variant it fits.

The lists are made of outlines and of captions by people, and the words of those captions were
made singular by pattern (the original CHAIR) or by WordNet (OPERA). 1,741 of 123,287 images differ;
`truth_forms.json` holds the kinds of object that one form has and the other lacks.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping
from functools import cache
from importlib import resources
from typing import Literal

Form = Literal["pattern", "wordnet"]
_FORM_OF: dict[str, Form] = {"original": "pattern", "wordnet": "wordnet"}
"""The form that a variant's numbers were made with."""
_OTHER: dict[Form, Form] = {"pattern": "wordnet", "wordnet": "pattern"}
_SURE = 0.9


def form_of(truth: Mapping[str, Collection[str]]) -> Form | None:
    """Which form a list is in; None where its images do not show it.

    Args:
        truth: Kinds of object by COCO's number of the image.
    """
    votes: Counter[Form] = Counter()
    for form, kinds in _differences().items():
        for kind, images in kinds.items():
            for image in images:
                if image in truth:
                    votes[form if kind in truth[image] else _OTHER[form]] += 1
    if not votes:
        return None
    form, count = votes.most_common(1)[0]
    return form if count >= _SURE * votes.total() else None


def misfit(truth: Mapping[str, Collection[str]], variant: str) -> str:
    """A warning where a list's form is not the one that the variant's published numbers use."""
    wanted, found = _FORM_OF.get(variant), form_of(truth)
    if wanted is None or found is None or found == wanted:
        return ""
    fits = next(name for name, form in _FORM_OF.items() if form == found)
    return (
        f"The reference is in {found}'s form, which goes with --variant {fits}; the published"
        f" numbers of {variant} rest on {wanted}'s. About 1.4 % of COCO's images differ."
    )


@cache
def _differences() -> dict[Form, dict[str, list[str]]]:
    text = resources.files(__package__).joinpath("truth_forms.json").read_text(encoding="utf-8")
    table: dict[Form, dict[str, str]] = json.loads(text)
    return {
        form: {kind: images.split() for kind, images in kinds.items()}
        for form, kinds in table.items()
    }

"""Which edits make a description true.

A wrong number, colour, place or context word is replaced, and the name of an object that was taken
for another. Any other sentence that states only absent objects is deleted with the space that joins
it, or its object is replaced by one that the description left out. A sentence that mixes true and
absent objects is rewritten.
"""

import re
from collections.abc import Callable

from veridical.records import SegmentKind
from veridical.world.claims import Claim, Span, sentence_spans
from veridical.world.descriptions import Mention
from veridical.world.inventory import with_article
from veridical.world.judge import SceneFault, Verdict
from veridical.world.people.edits import Edit, as_stated, replace_word, restate, state
from veridical.world.scenes import Group, Scene


def plan_edits(
    scene: Scene,
    text: str,
    verdict: Verdict,
    *,
    notices: Callable[[int], bool],
    replaces: Callable[[], bool],
) -> list[Edit]:
    """Decide how a description is made true.

    Args:
        scene: The truth.
        text: The description.
        verdict: What the judge finds in it.
        notices: Asked once for each fault and each repetition, given where it begins: whether the
            person sees it.
        replaces: Asked once for each absent object: whether it gives way to an object that was left
            out (where there is one) instead of being deleted.

    Returns:
        Edits without overlap; none where the person notices nothing.
    """
    seen = [fault for fault in verdict.faults if notices(fault.span[0])]
    repetitions = [claim for claim in _repetitions(verdict) if notices(claim.noun_span[0])]
    left_out = [group for group in scene.groups if group.noun in verdict.missed]
    deleted: dict[Span, SegmentKind] = {}
    edits: list[Edit] = []
    for sentence in dict.fromkeys(claim.sentence for claim in verdict.claims.groups):
        claims = [claim for claim in verdict.claims.groups if claim.sentence == sentence]
        faults = [fault for fault in seen if fault.claim in claims]
        dropped = {claim: "other" for claim in claims if claim in repetitions}
        changes: list[Edit] = []
        for claim in claims:
            own = [fault for fault in faults if fault.claim == claim]
            named_wrongly = claim in dropped or any(fault.kind == "object" for fault in own)
            mistaken = _mistaken(claim, left_out) if named_wrongly and len(claims) == 1 else None
            if mistaken:
                dropped.pop(claim, None)
                left_out.remove(mistaken)
                changes += restate(text, claim, _mention(mistaken), kind="object")
            elif claim in dropped or not own:
                continue
            elif own[0].kind != "object":
                changes += _fix(text, claim, own, alone=len(claims) == 1)
            elif left_out and len(claims) == 1 and replaces():
                changes += restate(text, claim, _mention(left_out.pop(0)), kind="object")
            else:
                dropped[claim] = "object"
        if len(dropped) == len(claims):
            deleted[sentence] = "object" if "object" in dropped.values() else "other"
        elif dropped or (
            any(edit.kind == "position" for edit in changes) and _shares_place(claims)
        ):
            edits.append(
                _rewrite(scene, sentence, [claim for claim in claims if claim not in dropped])
            )
        else:
            edits += changes
    edits += _deletions(text, deleted)
    gone = [(edit.start, edit.end) for edit in edits]
    for fault in seen:
        if fault.claim is None and not any(start <= fault.span[0] < end for start, end in gone):
            edits += _rename_context(text, fault)
    return sorted(edits)


def _repetitions(verdict: Verdict) -> list[Claim]:
    """Repeated claims about a noun, all but the truest (the first of equals)."""
    wrong = dict.fromkeys(verdict.claims.groups, 0)
    for fault in verdict.faults:
        if fault.claim is not None:
            wrong[fault.claim] += 1
    found = []
    for noun in verdict.covered:
        claims = [claim for claim in verdict.claims.groups if claim.noun == noun]
        best = min(claims, key=lambda claim: wrong[claim])
        found += [claim for claim in claims if claim != best]
    return found


def _fix(text: str, claim: Claim, faults: list[SceneFault], *, alone: bool) -> list[Edit]:
    truth = {fault.kind: fault.truth for fault in faults}
    mention = as_stated(claim)
    mention = Mention(
        **mention._asdict()
        | {kind: value for kind, value in truth.items() if kind in Mention._fields}
    )
    return restate(text, claim, mention, alone=alone)


def _mistaken(claim: Claim, left_out: list[Group]) -> Group | None:
    """The object that was taken for another: its colour is right, and its number or place is."""
    for group in left_out:
        colour, number, place = (
            (part := getattr(claim, name)) is not None and part.value == getattr(group, name)
            for name in ("colour", "number", "place")
        )
        if colour and (number or place):
            return group
    return None


def _mention(group: Group) -> Mention:
    return Mention(group.noun, group.colour, group.number, group.place)


def _shares_place(claims: list[Claim]) -> bool:
    spans = [claim.place.span for claim in claims if claim.place]
    return len(set(spans)) < len(spans)


def _rewrite(scene: Scene, sentence: Span, claims: list[Claim]) -> Edit:
    groups = [scene.group_of(claim.noun) for claim in claims]
    return Edit(
        *sentence, " ".join(state(group) for group in groups if group is not None), "object"
    )


def _deletions(text: str, deleted: dict[Span, SegmentKind]) -> list[Edit]:
    """Delete sentences with the space before them, or after them at the start of the text."""
    sentences = sentence_spans(text)
    edits = []
    leading = True
    for number, span in enumerate(sentences):
        if span not in deleted:
            leading = False
            continue
        start, end = span
        if not leading:
            start = sentences[number - 1][1]
        elif number + 1 < len(sentences):
            end = sentences[number + 1][0]
        edits.append(Edit(start, end, "", deleted[span]))
    return edits


def _rename_context(text: str, fault: SceneFault) -> list[Edit]:
    edits: list[Edit] = []
    truth = str(fault.truth)
    replace_word(edits, text, fault.span, truth, "other")
    article = re.search(r"\b(an?)\s+$", text[: fault.span[0]], re.IGNORECASE)
    if article:
        replace_word(edits, text, article.span(1), with_article(truth).split(" ")[0], "other")
    return edits

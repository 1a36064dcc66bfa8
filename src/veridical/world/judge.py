"""The exact judge: every fault of a description against its scene, with kind and place."""

from typing import Literal, NamedTuple

from veridical.world.claims import Claim, Claims, Span, parse_claims
from veridical.world.scenes import Group, Scene

FaultKind = Literal["object", "number", "colour", "place", "context"]
FAULT_KINDS: tuple[FaultKind, ...] = ("object", "number", "colour", "place", "context")
DETAILS = ("number", "colour", "place")
"""What can be said of a group of objects beyond its name."""


class SceneFault(NamedTuple):
    """One thing that a text says and the picture does not show."""

    kind: FaultKind
    span: Span
    """The wrong word, in code points."""
    said: str | int
    """What the text says."""
    truth: str | int | None
    """What the picture shows; None for an absent object."""
    claim: Claim | None
    """The claim at fault; None for a wrong context."""


class Verdict(NamedTuple):
    """All that the judge finds in a description."""

    claims: Claims
    """What was claimed."""
    faults: tuple[SceneFault, ...]
    """What is wrong, in the text's order."""
    covered: tuple[str, ...]
    """Nouns of the scene that the text names."""
    missed: tuple[str, ...]
    """Nouns of the scene that the text leaves out."""
    details: int
    """Numbers, colours and places of the scene's groups that the text states truly, each once."""
    repeated: int
    """Claims about a noun that was claimed before."""

    @property
    def hallucinates(self) -> bool:
        """Whether anything said is not in the picture."""
        return bool(self.faults)


def judge_description(scene: Scene, text: str) -> Verdict:
    """Compare a description with its scene."""
    claims = parse_claims(text)
    faults = [
        SceneFault("context", word.span, word.value, scene.context, None)
        for word in claims.contexts
        if word.value != scene.context
    ]
    named: list[str] = []
    repeated = 0
    for claim in claims.groups:
        repeated += claim.noun in named
        named.append(claim.noun)
        faults += _faults_of(claim, scene.group_of(claim.noun))
    faults.sort(key=lambda fault: fault.span)
    covered = tuple(noun for noun in scene.nouns if noun in named)
    missed = tuple(noun for noun in scene.nouns if noun not in named)
    details = {
        (claim.noun, kind)
        for claim in claims.groups
        for kind in DETAILS
        if _is_true(claim, kind, scene.group_of(claim.noun))
    }
    return Verdict(claims, tuple(faults), covered, missed, len(details), repeated)


def _is_true(claim: Claim, kind: str, group: Group | None) -> bool:
    """Whether a claim states this detail of a group, and as it is."""
    stated = getattr(claim, kind)
    return group is not None and stated is not None and stated.value == getattr(group, kind)


def _faults_of(claim: Claim, group: Group | None) -> list[SceneFault]:
    if group is None:
        return [SceneFault("object", claim.noun_span, claim.noun, None, claim)]
    faults = []
    if claim.number is not None and claim.number.value != group.number:
        faults.append(
            SceneFault("number", claim.number.span, claim.number.value, group.number, claim)
        )
    if claim.colour is not None and claim.colour.value != group.colour:
        faults.append(
            SceneFault("colour", claim.colour.span, claim.colour.value, group.colour, claim)
        )
    if claim.place is not None and claim.place.value != group.place:
        faults.append(SceneFault("place", claim.place.span, claim.place.value, group.place, claim))
    return faults

"""How far two sets of spans of one text overlap."""

from collections.abc import Iterable

Span = tuple[int, int]


def covered(spans: Iterable[Span]) -> set[int]:
    """The places that spans cover; an insertion covers the place after which it stands."""
    places: set[int] = set()
    for start, end in spans:
        places.update(range(start, end) if end > start else (start,))
    return places


def span_f1(first: Iterable[Span], second: Iterable[Span]) -> float:
    """F1 of the code points that two sets of spans cover; 1 where both are empty."""
    one, other = covered(first), covered(second)
    if not one and not other:
        return 1.0
    return 2 * len(one & other) / (len(one) + len(other))

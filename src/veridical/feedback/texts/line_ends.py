"""Line ends: people edit text whose line ends are LF, records keep those of the original.

A text field of a browser and most spreadsheets turn CRLF into LF. What was corrected there is
carried over to the text as it was, so that only what a person changed is a change.
"""

import re
from collections.abc import Sequence

from veridical.feedback.segments import apply_segments, find_segments
from veridical.records import Segment

_LINE_END = re.compile(r"\r\n|\r|\n")


def shown_text(raw: str) -> str:
    """The text as a text field gives it back: every line end is LF."""
    return _LINE_END.sub("\n", raw)


class RestoredCorrection:
    """A correction of the shown text, carried over to the text as it was imported."""

    def __init__(self, raw: str, chosen: str, segments: Sequence[Segment]) -> None:
        """Carry `segments` (between the shown text and `chosen`) over to `raw`."""
        ends = set(_LINE_END.findall(raw))
        line_end = ends.pop() if len(ends) == 1 else "\n"
        places = _places(raw)
        parts, spans = [], []
        for segment in segments:
            start, end = (places[place] for place in segment.rejected_span)
            spans.append((start, end))
            parts.append(chosen[slice(*segment.chosen_span)].replace("\n", line_end))
        self.rejected = raw
        """The text as it was imported."""
        marked = [Segment(rejected_span=span, chosen_span=(0, 0)) for span in spans]
        self.chosen = apply_segments(raw, marked, parts)
        """The corrected text with the original's line ends."""
        self.segments: tuple[Segment, ...] = tuple(_placed(segments, spans, parts))
        """The segments between the two."""


def raw_span(raw: str, start: int, end: int) -> tuple[int, int]:
    """A span of the shown text as a span of the imported one."""
    places = _places(raw)
    return places[start], places[end]


def changes(source: str, text: str) -> tuple[Segment, ...]:
    """The changed segments between the shown text and the edited one: the only diff there is."""
    return find_segments(source, shown_text(text))


def _places(raw: str) -> list[int]:
    """For every place in the shown text, its place in the imported one."""
    places, place = [], 0
    while place < len(raw):
        places.append(place)
        match = _LINE_END.match(raw, place)
        place = match.end() if match else place + 1
    return [*places, len(raw)]


def _placed(
    segments: Sequence[Segment], spans: Sequence[tuple[int, int]], parts: Sequence[str]
) -> list[Segment]:
    placed, shift = [], 0
    for segment, (start, end), part in zip(segments, spans, parts, strict=True):
        chosen_start = start + shift
        update = {
            "rejected_span": (start, end),
            "chosen_span": (chosen_start, chosen_start + len(part)),
        }
        placed.append(segment.model_copy(update=update))
        shift += len(part) - (end - start)
    return placed

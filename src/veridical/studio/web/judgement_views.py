"""What leads look at, ready for a template: judgements as pieces of text, and column charts.

Charts are numbers only: no script, no style attribute.
"""

from collections.abc import Sequence
from typing import NamedTuple

from veridical.files import JsonObject
from veridical.studio.lead.agreement import preferred


class Piece(NamedTuple):
    """A stretch of text."""

    kind: str
    """"text", "del", "ins" or "mark"."""
    text: str
    """Its words."""


class JudgementView(NamedTuple):
    """What one person said of an item."""

    said: str
    """In a few words."""
    pieces: list[Piece]
    """The text with what was done to it; empty where nothing was."""
    kinds: list[tuple[str, str]]
    """The words of each segment, with its kind."""
    note: str
    """A remark."""


def parts_of(texts: list[str], body: JsonObject) -> JudgementView:
    """A judgement (in the item's own order) as pieces."""
    note = str(body.get("note", ""))
    if "score" in body:
        return JudgementView(f"{body['score']} of 6", [], [], note)
    if "hallucinates_more" in body:
        names = {"left": "first", "right": "second", "tie": "neither"}
        more = str(body["hallucinates_more"])
        said = f"hallucinates more: {names.get(more, more.replace('_', ' '))} · "
        said += f"preferred: {names[preferred(body)]}"
        marks = [
            (texts[0 if one["side"] == "left" else 1][one["start"] : one["end"]], one["kind"])
            for one in body.get("marks", ())
        ]
        return JudgementView(said, [], marks, note)
    if body.get("nothing_wrong"):
        return JudgementView("nothing wrong", [], [], note)
    pieces, kinds, last = [], [], 0
    source = texts[0]
    for one in body.get("changes", ()):
        (start, end), (new_start, new_end) = one["rejected_span"], one["chosen_span"]
        taken, put = source[start:end], body["text"][new_start:new_end]
        pieces += [Piece("text", source[last:start]), Piece("del", taken), Piece("ins", put)]
        kinds.append((f"{taken.strip()} → {put.strip()}", one["kind"]))
        last = end
    for one in body.get("marks", ()):
        start, end = one["start"], one["end"]
        pieces += [Piece("text", source[last:start]), Piece("mark", source[start:end])]
        kinds.append((source[start:end], one["kind"]))
        last = end
    pieces.append(Piece("text", source[last:]))
    count = len(kinds)
    said = f"{count} {'segment' if count == 1 else 'segments'}"
    return JudgementView(said, [piece for piece in pieces if piece.text], kinds, note)


WIDTH, HEIGHT = 480, 120


class Column(NamedTuple):
    """One column."""

    x: float
    """Left edge."""
    y: float
    """Top."""
    width: float
    """Width."""
    height: float
    """Height."""
    label: str
    """What it is of."""
    value: str
    """Its number."""


class Chart(NamedTuple):
    """A chart of columns."""

    title: str
    """What is drawn."""
    columns: list[Column]
    """Left to right."""
    first: str
    """Label of the first column."""
    last: str
    """Label of the last one."""
    top: str
    """Number at the top of the scale."""


def columns(title: str, values: Sequence[tuple[str, float]]) -> Chart:
    """Lay out the last sixty values."""
    values = values[-60:]
    top = max((value for _, value in values), default=0) or 1
    step = min(WIDTH / max(len(values), 1), 56)
    made = [
        Column(
            round(number * step, 1),
            round(HEIGHT * (1 - value / top), 1),
            round(step * 0.8, 1),
            round(HEIGHT * value / top, 1),
            label,
            f"{value:.0f}",
        )
        for number, (label, value) in enumerate(values)
    ]
    first, last = (values[0][0], values[-1][0]) if values else ("", "")
    return Chart(title, made, first, last, f"{top:.0f}")

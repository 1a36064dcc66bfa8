"""A judgement as pieces of text to be drawn: what was kept, taken out, put in, marked."""

from typing import Any, NamedTuple

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


def parts_of(texts: list[str], body: dict[str, Any]) -> JudgementView:
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

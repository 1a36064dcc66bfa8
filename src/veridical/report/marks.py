"""Texts with their wrong or changed words marked. Everything that comes from a model is escaped."""

from collections.abc import Sequence

from markupsafe import Markup, escape

from veridical.records import Segment
from veridical.report.inputs import MarkedText


def marked_html(marked: MarkedText) -> Markup:
    """The response with each hallucinated span marked and followed by its kind."""
    if not marked.text.strip():
        return Markup('<em class="empty">(empty answer)</em>')
    parts: list[Markup] = []
    at = 0
    for span in marked.spans:
        parts.append(escape(marked.text[at : span.start]))
        words = escape(marked.text[span.start : span.end])
        title = f"not in the picture: {span.kind}" + (
            f"; it shows {span.truth}" if span.truth else ""
        )
        parts.append(
            Markup(
                '<mark class="wrong{}" data-kind="{}" title="{}">{}<small>{}</small></mark>'
            ).format(" short" if " " not in words else "", span.kind, title, words, span.kind)
        )
        at = span.end
    parts.append(escape(marked.text[at:]))
    return Markup("").join(parts)


def rejected_html(text: str, segments: Sequence[Segment]) -> Markup:
    """The response as the model gave it, what was taken out marked as deleted."""
    return _segments_html(text, [segment.rejected_span for segment in segments], "del")


def chosen_html(text: str, segments: Sequence[Segment]) -> Markup:
    """The corrected response, what was put in marked as inserted."""
    return _segments_html(text, [segment.chosen_span for segment in segments], "ins")


def _segments_html(text: str, spans: Sequence[tuple[int, int]], tag: str) -> Markup:
    parts: list[Markup] = []
    at = 0
    for start, end in sorted(spans):
        if start == end:
            continue
        # The tag is one of ours; the words are escaped.
        parts += [escape(text[at:start]), Markup(f"<{tag}>{{}}</{tag}>").format(text[start:end])]  # noqa: S704
        at = end
    parts.append(escape(text[at:]))
    return Markup("").join(parts)

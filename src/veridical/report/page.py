"""From templates to one self-contained HTML file: no network, no script, style sheet inside.

Everything that comes from a model is escaped.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from veridical.files import write_text_atomically
from veridical.records import Segment
from veridical.report import wording
from veridical.report.figures.changes import interval_bar
from veridical.report.inputs import MarkedText, data_uri


class Section(NamedTuple):
    """A section of a page."""

    number: int
    """Its number, from 1."""
    name: str
    """What the navigation calls it."""


def number_sections(names: Mapping[str, str]) -> dict[str, Section]:
    """Number the sections of a page, given what the navigation calls each."""
    return {key: Section(number, name) for number, (key, name) in enumerate(names.items(), 1)}


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("veridical.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        value=wording.value_text,
        interval=wording.interval_text,
        difference=wording.difference_text,
        count=wording.count_text,
        p=wording.p_text,
        seconds=wording.seconds_text,
        decimal=wording.decimal,
        signed=wording.signed,
        capitalize_first=lambda words: words[:1].upper() + words[1:],
        hours=wording.hours_text,
        memory=wording.memory_text,
        data_uri=data_uri,
        marked=marked_html,
    )
    environment.globals.update(
        metric_info=wording.metric_info,
        verdict=wording.verdict,
        points=wording.points_text,
        interval_bar=interval_bar,
        rejected_html=rejected_html,
        chosen_html=chosen_html,
        styles=_styles(),
    )
    return environment


def _styles() -> Markup:
    folder = Path(__file__).parent / "templates"
    # A file of this package, no input.
    return Markup((folder / "style.css").read_text(encoding="utf-8"))  # noqa: S704


def render_page(template: str, **context: object) -> str:
    """Render a template of this package into one page."""
    return _environment().get_template(template).render(**context)


def write_page(path: Path | str, template: str, **context: object) -> Path:
    """Render a template of this package into one file."""
    return write_text_atomically(path, render_page(template, **context))


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

"""From templates to one self-contained HTML file: no network, no script, style sheet inside."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from veridical.files import write_text_atomically
from veridical.report import marks, wording
from veridical.report.figures.changes import interval_bar
from veridical.report.images import data_uri


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
        marked=marks.marked_html,
    )
    environment.globals.update(
        metric_info=wording.metric_info,
        verdict=wording.verdict,
        points=wording.points_text,
        interval_bar=interval_bar,
        rejected_html=marks.rejected_html,
        chosen_html=marks.chosen_html,
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

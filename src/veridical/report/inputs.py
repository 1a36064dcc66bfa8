"""Inputs of the demo's report: plain data, so that the report can be drawn again from disk."""

import base64
import binascii
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from veridical.records import Metric, Record, Segment, Source
from veridical.records.results import ObjectiveRow, ObjectiveTest, Results

_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"RIFF": "image/webp",
}


def image_type(data: bytes) -> str:
    """Media type of an image file's bytes.

    Raises:
        ValueError: Neither PNG nor JPEG nor WebP.
    """
    for signature, media_type in _SIGNATURES.items():
        if data.startswith(signature) and (media_type != "image/webp" or data[8:12] == b"WEBP"):
            return media_type
    raise ValueError(f"not the bytes of a PNG, JPEG or WebP image, they begin with {data[:12]!r}")


def data_uri(data: bytes) -> str:
    """The image as a `data:` URI."""
    return f"data:{image_type(data)};base64,{to_base64(data)}"


def to_base64(data: bytes) -> str:
    """Base64 text of bytes."""
    return base64.b64encode(data).decode("ascii")


def from_base64(text: str) -> bytes:
    """Bytes of base64 text.

    Raises:
        ValueError: The text is not base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error


def _image_bytes(value: object) -> object:
    data = from_base64(value) if isinstance(value, str) else value
    if isinstance(data, bytes):
        image_type(data)
    return data


ImageBytes = Annotated[
    bytes,
    BeforeValidator(_image_bytes),
    PlainSerializer(to_base64, return_type=str, when_used="json"),
]
"""Bytes of a PNG, JPEG or WebP file; base64 in JSON."""


class Span(Record):
    """Words of a text that are wrong. Offsets are in code points, half open."""

    start: int = Field(ge=0)
    """First code point."""
    end: int
    """One past the last code point."""
    kind: str
    """What is wrong: object, number, colour, place …"""
    truth: str = ""
    """What the picture shows instead, where known."""


class MarkedText(Record):
    """A response with its hallucinated words."""

    text: str
    """The response."""
    spans: tuple[Span, ...] = ()
    """Where it says what is not in the picture; in order, without overlap."""

    @model_validator(mode="after")
    def _spans_lie_in_the_text(self) -> Self:
        at = 0
        for span in self.spans:
            if not at <= span.start < span.end <= len(self.text):
                raise ValueError(
                    f"spans must be in order within the text of {len(self.text)} code points"
                    f" without overlap, got [{span.start}, {span.end}] after {at}"
                )
            at = span.end
        return self


class ShownScene(Record):
    """One picture with the response before and after."""

    scene_id: str
    """Which scene."""
    context: str
    """Kitchen, farm, street …"""
    image: ImageBytes
    """The picture."""
    alt: str
    """What the picture shows, in words: for those who cannot see it (and to check the responses
    against)."""
    question: str
    """What was asked."""
    before: MarkedText
    """Response of the base model."""
    after: MarkedText
    """Response of the aligned model."""


class OverGeneralisation(Record):
    """How often a context's typical objects are invented, in it and everywhere (RLHF-V table 2)."""

    context: str
    """Kitchen, farm, street …"""
    objects: tuple[str, ...]
    """The objects that are typical of it."""
    everywhere_before: Metric
    """H_a of the base model: rate at which these objects are invented, over all scenes."""
    in_context_before: Metric
    """H_s of the base model: the same in scenes of the context."""
    everywhere_after: Metric
    """H_a of the aligned model."""
    in_context_after: Metric
    """H_s of the aligned model."""
    delta_before: Metric | None = None
    """Δ = H_s − H_a of the base model with its interval; None shows the bare difference."""
    delta_after: Metric | None = None
    """Δ of the aligned model."""


class Stage(Record):
    """One step of the loop."""

    name: str
    """A word or two: "Measure"."""
    does: str
    """What happens in it, a sentence."""
    seconds: float = Field(ge=0)
    """Wall-clock time."""


class Corrections(Record):
    """The feedback that the model learnt from."""

    count: int = Field(ge=0)
    """How many responses were corrected."""
    source: Source
    """Who corrected them."""
    segments_per_response: Metric
    """Changed spans per response."""
    kinds: dict[str, int]
    """Changed spans by kind."""
    example_question: str
    """Question of the example."""
    example_image: ImageBytes
    """Picture of the example."""
    example_alt: str
    """What the picture shows."""
    rejected: str
    """A response as the model gave it."""
    chosen: str
    """The same after correction."""
    segments: tuple[Segment, ...]
    """What changed between the two."""
    note: str = ""
    """How the corrections came to be: stated rates of slips and misses."""


class CurvePoint(Record):
    """The state of training at one step."""

    step: int = Field(ge=0)
    """Optimizer steps done."""
    loss: float | None = None
    """Training loss, where logged."""
    margin: float | None = None
    """Implicit reward of the chosen over the rejected response in nats (times beta), where
    logged."""
    hallucination: Metric | None = None
    """Hallucination rate on validation scenes, where evaluated."""
    coverage: Metric | None = None
    """Object coverage on validation scenes, where evaluated."""


class QuestionType(Record):
    """Mean judge's score (0–6) of one of MMHal-Bench's question types."""

    name: str
    """Attribute, adversarial, comparison …"""
    before: Metric
    """The base model."""
    after: Metric
    """The aligned model."""


class Probe(Record):
    """One yes/no measure."""

    name: str
    """For instance "accuracy, co-occurring absent objects"."""
    before: Metric
    """The base model."""
    after: Metric
    """The aligned model."""


class Rerun(Record):
    """How to get the same numbers again."""

    commands: tuple[str, ...]
    """What to type."""
    created: str
    """When the run was made, UTC."""
    git_commit: str | None = None
    """Commit of the code."""
    machine: dict[str, str | int | float] = Field(default_factory=dict)
    """Processor, cores, memory."""
    hashes: dict[str, str] = Field(default_factory=dict)
    """Content hashes of inputs and outputs."""


class DemoReport(Record):
    """All that the demo's report says."""

    title: str = "Veridical demo"
    """Title of the page."""
    notice: str = ""
    """Shown at the very top where the reader must know something first ("made-up numbers")."""
    model: str
    """What was aligned, in a few words."""
    objective: str
    """How, in a few words: "dense DPO (RLHF-V), normalised"."""
    results: Results
    """The numbers, as in `results.json`; kinds as `hallucination_rate/KIND`."""
    showcase: ShownScene
    """The scene of the first screen."""
    over_generalisation: tuple[OverGeneralisation, ...] = ()
    """By context."""
    stages: tuple[Stage, ...]
    """The steps of the loop, in order."""
    corrections: Corrections
    """The feedback."""
    curve: tuple[CurvePoint, ...] = ()
    """Training, by step."""
    chosen_step: int | None = None
    """Step of the checkpoint that was kept."""
    selection_rule: str = ""
    """The rule that chose it."""
    question_types: tuple[QuestionType, ...] = ()
    """MMHal-style scores by type."""
    probes: tuple[Probe, ...] = ()
    """Yes/no measures beyond those in `results`."""
    objectives: tuple[ObjectiveRow, ...] = ()
    """Table of objectives × seeds; empty where one objective was trained only."""
    objective_tests: tuple[ObjectiveTest, ...] = ()
    """Paired tests between objectives."""
    gallery: tuple[ShownScene, ...] = ()
    """Scenes to look at; how they were chosen stands in `gallery_note`."""
    gallery_note: str = ""
    """How the scenes of the gallery were chosen."""
    caveats: tuple[str, ...] = ()
    """What the reader must not conclude."""
    rerun: Rerun
    """How to do it again."""

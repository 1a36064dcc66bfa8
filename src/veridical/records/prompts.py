"""Prompts, responses, facts and conversations: what was asked, what was said, what is true.

A prompt is a conversation up to the question that is to be answered: a system message, earlier
turns, the question. **Where its pictures stand:** before the first user turn, in order; unless user
turns hold the marker `<image>`: then each marker is the place of one picture, in order, and there
are as many markers as pictures. System messages and answers hold no marker.
"""

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Literal, Self

from pydantic import Field, model_validator

from veridical.files import JsonObject
from veridical.records.base import Record, Source
from veridical.records.texts import IMAGE_MARKER, marker_fault


class ImageRef(Record):
    """Where an image lies and what its bytes are."""

    path: str
    """Path of the image file, relative to the folder of the file that holds this record (or
    absolute)."""
    sha256: str | None = None
    """Hash of the file's bytes, where known; a mismatch is a fault."""

    @property
    def identity(self) -> str:
        """What tells the image from others: its hash, or its path where that is not known."""
        return self.sha256 or self.path

    def in_folder(self, folder: Path) -> "ImageRef":
        """The same image, its path made absolute from the folder that it is relative to."""
        return self.model_copy(update={"path": str(folder.absolute() / self.path)})


NO_IMAGE = ImageRef(path="")
"""What stands in a prompt that is asked without an image, as HallusionBench asks some of its
questions."""


class Asked(Record):
    """What is asked: the pictures, the system message, earlier turns and the question."""

    id: str
    """Unique in its file."""
    image: ImageRef
    """The image asked about, the first one if there are several; one with an empty path
    (`NO_IMAGE`) where the question is asked without any."""
    question: str = Field(min_length=1)
    """What is asked, without chat template; the marker `<image>` stands where a picture goes if
    that is not before the first turn."""
    history: tuple[tuple[str, str], ...] = ()
    """Earlier turns of the conversation, oldest first: what was asked, what was answered."""
    more_images: tuple[ImageRef, ...] = ()
    """Further images, in order."""
    system: str = ""
    """The system message; empty: the recipe's, or what the chat template says by itself."""

    @property
    def images(self) -> tuple[ImageRef, ...]:
        """All images in order; empty where the question is asked without any."""
        return (*(() if self.image == NO_IMAGE else (self.image,)), *self.more_images)

    @property
    def turns(self) -> tuple[str, ...]:
        """What user and assistant say in turn, up to the question."""
        return (*(text for exchange in self.history for text in exchange), self.question)

    @property
    def said(self) -> tuple[str, ...]:
        """Every text, the system message too, without the markers of pictures."""
        return (self.system, *(text.replace(IMAGE_MARKER, "") for text in self.turns))

    def with_images(self, images: Sequence[ImageRef]) -> Self:
        """The same, about other images: none, one or several."""
        first, *more = images or (NO_IMAGE,)
        return self.model_copy(update={"image": first, "more_images": tuple(more)})

    def with_absolute_images(self, folder: Path) -> Self:
        """The same, with paths of images that hold wherever the program runs."""
        return self.with_images([ref.in_folder(folder) for ref in self.images])

    @model_validator(mode="after")
    def _markers_are_as_many_as_images(self) -> Self:
        check_pictures(self.image, self.more_images, self.turns, self.system)
        return self


def check_pictures(
    image: ImageRef | None,
    more_images: Sequence[ImageRef],
    turns: Sequence[str],
    system: str,
) -> None:
    """Hold a record's pictures against the markers in what user and assistant say in turn.

    Raises:
        ValueError: Further images without a first one, or markers that are not as many.
    """
    if more_images and (image in (None, NO_IMAGE) or NO_IMAGE in more_images):
        raise ValueError("`more_images` follow a first `image`, and none of them has an empty path")
    count = len(more_images) + (image not in (None, NO_IMAGE))
    fault = marker_fault(turns, count, system=system)
    if fault is not None:
        raise ValueError(fault)


def asked_fields(asked: Asked) -> JsonObject:
    """What is asked, as fields of another record that asks the same."""
    return {name: getattr(asked, name) for name in Asked.model_fields if name != "id"}


class Prompt(Asked):
    """One question, about one image as a rule."""

    task: str = "description"
    """What kind of question: description, yes_no, multiple_choice, counting, attribute, comparison
    …"""
    reference: str | None = None
    """A reference answer, where one exists; rule rewards read yes or no, or the right letter, out
    of it."""
    image_id: str | None = None
    """The name under which facts know the image; None: the stem of the image's path, see
    `known_image`."""
    length_bonus: float | None = None
    """What the length rule's reward is multiplied with for this prompt; None: 1. LLaVA-RLHF: 1, or
    below 0 where long answers are wanted."""
    origin: str = ""
    """Where the row comes from: dataset, and what else it says of the row."""

    @property
    def known_image(self) -> str:
        """The name under which facts know the image: `image_id`, or the stem of its path."""
        return self.image_id if self.image_id is not None else PurePath(self.image.path).stem


class Response(Record):
    """What a model (or a person) answered to a prompt."""

    id: str
    """Unique in its file."""
    prompt_id: str
    """The prompt answered."""
    text: str
    """The answer; may be empty, which is counted where it is scored."""
    model: str
    """Who answered: a model id or path, with the adapter where there is one."""
    sample: int = 0
    """Number of the sample where several were drawn for the prompt; 0 for greedy decoding."""
    temperature: float = 0.0
    """Sampling temperature; 0 means greedy."""
    finish: Literal["stop", "length", "failed"] = "stop"
    """Whether the end token was reached or the length limit; or that an endpoint gave no answer,
    which is left out of scores and counted."""


class Facts(Record):
    """What is known true of an image; reward models with facts and exact judges read it."""

    image_id: str
    """The image or scene that the facts are of."""
    prompt_id: str | None = None
    """The one prompt that the facts are for (a rationale, an answer); None: every prompt about the
    image."""
    kind: Literal["caption", "rationale", "answer", "objects"]
    """What sort of statement the texts are."""
    texts: tuple[str, ...]
    """The statements, most important first."""


class Turn(Record):
    """What one side says."""

    role: Literal["user", "assistant"]
    """Who speaks."""
    text: str
    """What is said, without chat template; in a user's turn the marker `<image>` stands where a
    picture goes if that is not before the first turn."""


class Conversation(Record):
    """Questions, about one image as a rule, and the answers to them."""

    id: str
    """Unique in its file."""
    image: ImageRef | None = None
    """The image, the first one if there are several; None for a conversation about no image."""
    turns: tuple[Turn, ...] = Field(min_length=2)
    """The turns in order; they begin with the user, alternate, and end with the assistant."""
    source: Source
    """Who wrote the answers: human, simulated or model."""
    origin: str = ""
    """Where the conversation comes from: dataset, model that answered."""
    more_images: tuple[ImageRef, ...] = ()
    """Further images, in order."""
    system: str = ""
    """The system message; empty: the recipe's, or what the chat template says by itself."""

    @property
    def images(self) -> tuple[ImageRef, ...]:
        """All images in order."""
        return (*(() if self.image is None else (self.image,)), *self.more_images)

    @property
    def texts(self) -> tuple[str, ...]:
        """What is said, turn by turn."""
        return tuple(turn.text for turn in self.turns)

    @property
    def said(self) -> tuple[str, ...]:
        """Every text, the system message too, without the markers of pictures."""
        texts = self.texts
        asked = {n: text.replace(IMAGE_MARKER, "") for n, text in enumerate(texts) if n % 2 == 0}
        return (self.system, *(asked.get(n, text) for n, text in enumerate(texts)))

    def with_images(self, images: Sequence[ImageRef]) -> Self:
        """The same, about other images: none, one or several."""
        first, *more = images or (None,)
        return self.model_copy(update={"image": first, "more_images": tuple(more)})

    def with_absolute_images(self, folder: Path) -> Self:
        """The same, with paths of images that hold wherever the program runs."""
        return self.with_images([ref.in_folder(folder) for ref in self.images])

    @model_validator(mode="after")
    def _turns_alternate(self) -> Self:
        roles = [turn.role for turn in self.turns]
        expected = [("user", "assistant")[number % 2] for number in range(len(roles))]
        if roles != expected or roles[-1] != "assistant":
            raise ValueError(
                "turns must alternate, begin with the user and end with the assistant, got"
                f" {', '.join(roles)}"
            )
        check_pictures(self.image, self.more_images, self.texts, self.system)
        return self

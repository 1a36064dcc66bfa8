"""Prompts, responses, facts and conversations: what was asked, what was said, what is true."""

from pathlib import PurePath
from typing import Literal, Self

from pydantic import Field, model_validator

from veridical.records.base import Record, Source


class ImageRef(Record):
    """Where an image lies and what its bytes are."""

    path: str
    """Path of the image file, relative to the folder of the file that holds this record (or
    absolute)."""
    sha256: str | None = None
    """Hash of the file's bytes, where known; a mismatch is a fault."""


NO_IMAGE = ImageRef(path="")
"""What stands in a prompt that is asked without an image, as HallusionBench asks some of its
questions."""


class Prompt(Record):
    """One question about one image."""

    id: str
    """Unique in its file."""
    image: ImageRef
    """The image asked about; one with an empty path (`NO_IMAGE`) where the question is asked
    without any."""
    question: str = Field(min_length=1)
    """What is asked, without chat template and without image placeholder."""
    task: str = "description"
    """What kind of question: description, yes_no, multiple_choice, counting, attribute, comparison
    …"""
    reference: str | None = None
    """A reference answer, where one exists; rule rewards read yes or no, or the right letter, out
    of it."""
    image_id: str | None = None
    """The name under which facts know the image; None: the stem of the image's path, see
    `known_image`."""
    history: tuple[tuple[str, str], ...] = ()
    """Earlier turns of the conversation, oldest first: what was asked, what was answered."""
    length_bonus: float | None = None
    """What the length rule's reward is multiplied with for this prompt; None: 1. LLaVA-RLHF: 1, or
    below 0 where long answers are wanted."""
    origin: str = ""
    """Where the row comes from: data set, and what else it says of the row."""

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
    finish: Literal["stop", "length"] = "stop"
    """Whether the end token was reached or the length limit."""


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
    """What is said, without chat template and without image placeholder."""


class Conversation(Record):
    """Questions about one image and the answers to them."""

    id: str
    """Unique in its file."""
    image: ImageRef | None = None
    """The image, which stands before the first question; None for a conversation about no image."""
    turns: tuple[Turn, ...] = Field(min_length=2)
    """The turns in order; they begin with the user, alternate, and end with the assistant."""
    source: Source
    """Who wrote the answers: human, simulated or model."""
    origin: str = ""
    """Where the conversation comes from: data set, model that answered."""

    @model_validator(mode="after")
    def _turns_alternate(self) -> Self:
        roles = [turn.role for turn in self.turns]
        expected = [("user", "assistant")[number % 2] for number in range(len(roles))]
        if roles != expected or roles[-1] != "assistant":
            raise ValueError(
                "turns must alternate, begin with the user and end with the assistant, got"
                f" {', '.join(roles)}"
            )
        return self

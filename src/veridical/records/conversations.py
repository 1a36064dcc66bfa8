"""Conversations: what supervised fine-tuning learns from, questions and answers about an image."""

from typing import Literal, Self

from pydantic import Field, model_validator

from veridical.records.base import Record, Source
from veridical.records.prompts import ImageRef


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

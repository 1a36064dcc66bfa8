"""What a project is set to: how often an item is judged, what is repeated, what an hour costs."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from veridical.errors import ConfigError
from veridical.validation import findings

Task = Literal["compare", "correct", "rate", "mark"]
"""What people are asked to do."""


class StudioSettings(BaseModel):
    """Settings of a project; kept in its database, changed by the lead."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    overlap: int = Field(default=2, ge=1, le=20)
    """How many people judge an item of the overlapping share."""
    overlap_share: float = Field(default=0.1, ge=0, le=1)
    """Share of the items that `overlap` people judge; one person judges each of the others."""
    training_items: int = Field(default=0, ge=0, le=100)
    """How many items with a known answer new people judge first, with the answer shown after each;
    0 lets them begin at once."""
    training_pass: float = Field(default=0.7, ge=0, le=1)
    """Share of these that they must get right. Until then they get further known items; when there
    are none left, the lead decides."""
    gold_share: float = Field(default=0.05, ge=0, le=0.5)
    """Share of what a person is served that are items with a known answer, where there are any."""
    repeat_share: float = Field(default=0.02, ge=0, le=0.5)
    """Share of what a person is served that they have judged before, sides swapped."""
    repeat_after: int = Field(default=20, ge=1)
    """How many other judgements lie between the two."""
    premarked_share: float = Field(default=0.8, ge=0, le=1)
    """Share of the items with suspected segments on which they are shown; on the others they are
    not, so that what showing them does can be measured."""
    lease_minutes: float = Field(default=30.0, gt=0)
    """How long an item is kept for somebody who opened it. Late work is still accepted."""
    idle_seconds: float = Field(default=60.0, gt=0)
    """Pauses longer than this are left out of the time that a judgement took."""
    wage: float = Field(default=15.0, ge=0)
    """Cost of an hour's work, in `currency`."""
    currency: str = Field(default="USD", max_length=8)
    """Unit of `wage`."""
    queue: Literal["random", "scores"] = "random"
    """Order of the items: random, or highest score first (active selection)."""
    seed: int = 0
    """Seed of the order, of the overlapping share and of what is pre-marked."""
    as_model_sees_it: bool = True
    """Show pictures without turning them as their EXIF data says, as image libraries load them."""


def read_settings(pairs: Sequence[str]) -> StudioSettings:
    """Settings from "key=value" words.

    Raises:
        ConfigError: A key is unknown or a value is not allowed.
    """
    values = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign:
            raise ConfigError(f"A setting is KEY=VALUE, got {pair!r}.")
        values[key] = value
    try:
        return StudioSettings.model_validate(values)
    except ValidationError as error:
        found = "; ".join(f"`{one.where}`: {one.text}" for one in findings(error))
        known = ", ".join(StudioSettings.model_fields)
        raise ConfigError(f"Settings: {found}. Known ones: {known}.") from error

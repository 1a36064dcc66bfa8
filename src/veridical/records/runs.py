"""What a run was (`Manifest`) and what it measured (`Metric`, `Difference`)."""

from pydantic import Field

from veridical.files import JsonObject
from veridical.records.base import Record


class Metric(Record):
    """A number with its n and interval: no number stands without them."""

    value: float
    """The estimate; rates lie in [0, 1], scores are in their own unit."""
    n: int = Field(ge=0)
    """How many items (or clusters, for clustered intervals) it rests on."""
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end of the 95 % interval."""
    method: str = ""
    """How the interval was made: "wilson", "clustered bootstrap" …"""


class Difference(Record):
    """A paired comparison of one metric between two runs on the same items."""

    difference: float
    """Second minus first."""
    low: float
    """Lower end of the 95 % interval of the difference."""
    high: float
    """Upper end of the 95 % interval of the difference."""
    p: float = Field(ge=0, le=1)
    """Two-sided p-value."""
    test: str
    """The test that gave p: "mcnemar exact", "paired permutation" …"""
    n: int = Field(ge=0)
    """How many pairs."""


class Manifest(Record):
    """What made a run directory: enough to repeat it and to know what it rests on."""

    verb: str
    """The command that ran, for instance "train dpo"."""
    created: str
    """UTC time, ISO 8601."""
    seed: int
    """The root seed."""
    versions: dict[str, str]
    """Versions of veridical, Python and the libraries that matter."""
    machine: dict[str, str | int | float]
    """Processor, cores, memory (GiB), accelerator."""
    git_commit: str | None = None
    """Commit of the working tree, with "+dirty" where it had changes; None outside a checkout."""
    recipe: JsonObject = Field(default_factory=dict)
    """The resolved recipe."""
    inputs: dict[str, str] = Field(default_factory=dict)
    """Content hash of every input file or model."""
    parents: tuple[str, ...] = ()
    """Run directories that this one builds on."""
    seconds: dict[str, float] = Field(default_factory=dict)
    """Wall-clock seconds by stage."""
    peak_memory_bytes: int | None = None
    """Highest resident memory (CPU) or allocated memory (accelerator) seen."""
    notes: JsonObject = Field(default_factory=dict)
    """What else a reader must know, for instance which checkpoint was chosen and by which rule."""

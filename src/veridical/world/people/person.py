"""How a simulated person works and errs."""

from pydantic import Field

from veridical.config import Recipe
from veridical.files import hash_bytes
from veridical.records import Prompt


class PersonModel(Recipe):
    """How a simulated person works and errs; all rates are probabilities."""

    name: str = "person"
    """Pseudonym; people of different names err independently."""
    miss: float = Field(default=0.05, ge=0, le=1)
    """Overlooking a fault (or a repeated sentence) while correcting; drawn for each fault."""
    late_miss: float = Field(default=0, ge=0, le=1)
    """Overlooking it the more easily the later it stands: added to `miss`, times its place in the
    text (0 at the beginning, 1 at the end). An error by rule, not by chance."""
    slip: float = Field(default=0.01, ge=0, le=1)
    """"Correcting" a statement that is right into one that is wrong; drawn for each right
    statement."""
    replace_absent: float = Field(default=0.2, ge=0, le=1)
    """Replacing an absent object by one that the response left out, where there is one, instead of
    deleting it."""
    add_missed: float = Field(default=0.0, ge=0, le=1)
    """Adding a sentence on an object that the response left out, asked for each, in responses with
    a fault. RLHF-V's people correct what is wrong and add nothing."""
    comparison_error: float = Field(default=0.05, ge=0, le=1)
    """Preferring the wrong one of two responses, or either of two equal ones."""
    prefers_longer: float = Field(default=0, ge=0, le=1)
    """Preferring the longer of two responses whatever they say. An error by rule."""
    rating_error: float = Field(default=0.1, ge=0, le=1)
    """Rating one step too high or too low."""


BY_RULE = PersonModel(name="by-rule", late_miss=0.6, prefers_longer=0.3)
"""A person who errs by rule, too: misses what stands late, likes long answers."""
EXACT = PersonModel(
    name="exact", miss=0, slip=0, replace_absent=0, add_missed=0, comparison_error=0, rating_error=0
)
"""A person who never errs."""


def judgement_id(prompt: Prompt, person: PersonModel, *parts: str) -> str:
    """The id of a judgement: prompt, person and a digest of what was judged."""
    digest = hash_bytes(chr(31).join(parts).encode("utf-8", "surrogatepass"))
    return f"{prompt.id}/{person.name}-{digest[:8]}"

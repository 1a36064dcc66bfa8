"""The base of all records: frozen, closed to unknown fields, identified by content."""

import hashlib
import json
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

Source = Literal["human", "simulated", "model"]
"""Who made a judgement. Numbers never mix sources."""


class Record(BaseModel):
    """A frozen record. Unknown fields are refused, so that a misspelt one is never a default."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )

    schema_version: ClassVar[int] = 1
    """Version of the record's fields; written into the first line of every file of records."""

    def content_hash(self) -> str:
        """Hash the record's content: sha256 over its canonical JSON, first 16 hex digits."""
        text = json.dumps(
            self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False, separators=(",", ":")
        )
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]

"""`veridical data`: public datasets ↔ records, faults with file and line, statistics."""

from veridical.cli.data import checks, formats, mixing, sheets
from veridical.cli.data.options import app

__all__ = ["app", "checks", "formats", "mixing", "sheets"]

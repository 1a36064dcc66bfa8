"""CSR (arXiv 2405.14622): pairs by LLaVA's own scores and CLIP's, from its `construct.py`.

The fields are POVID's; the question carries LLaVA's whole template, which is taken off.
"""

from veridical.formats import chat
from veridical.formats.format import Format

FORMAT = Format(describes="CSR's pairs, JSON", read=chat.read, judged_by="model")
"""The format; POVID has the same fields, so that it is never recognised."""

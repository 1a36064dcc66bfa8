"""POVID (arXiv 2402.11411): 17k pairs whose rejected answers GPT-4V made wrong.

`YiyangZhou/POVID_preference_data_for_VLLMs`: `conversations` with the preferred answer,
`rejected_conversations` with the other, `image` (a COCO training picture).
"""

from veridical.formats import chat
from veridical.formats.format import Format

FORMAT = Format(describes="POVID's pairs, JSON", read=chat.read, judged_by="model")
"""The format; LLaMA-Factory's users have the same fields, so that it is never recognised."""

"""What lies on disk: frozen, versioned records. No torch, no logic beyond validity.

`Prompt` (image + question) · `Response` · `Facts` (what is known true of an image) · judgements
(`Comparison | Correction | Rating | Marking`) · `Conversation` (what fine-tuning learns from) ·
`Manifest` and `Metric` (what a run was and measured).
"""

from veridical.records.base import Record, Source
from veridical.records.judgements import (
    KINDS,
    Comparison,
    Correction,
    Judgement,
    Mark,
    Marking,
    Pair,
    Rating,
    Segment,
    SegmentKind,
)
from veridical.records.prompts import (
    NO_IMAGE,
    Asked,
    Conversation,
    Facts,
    ImageRef,
    Prompt,
    Response,
    Turn,
)
from veridical.records.runs import (
    BenchmarkScore,
    Difference,
    InputFile,
    ItemScore,
    ItemStatus,
    Manifest,
    Metric,
)
from veridical.records.storage import ScannedRow, read_records, scan_records, write_records

__all__ = [
    "KINDS",
    "NO_IMAGE",
    "Asked",
    "BenchmarkScore",
    "Comparison",
    "Conversation",
    "Correction",
    "Difference",
    "Facts",
    "ImageRef",
    "InputFile",
    "ItemScore",
    "ItemStatus",
    "Judgement",
    "Manifest",
    "Mark",
    "Marking",
    "Metric",
    "Pair",
    "Prompt",
    "Rating",
    "Record",
    "Response",
    "ScannedRow",
    "Segment",
    "SegmentKind",
    "Source",
    "Turn",
    "read_records",
    "scan_records",
    "write_records",
]

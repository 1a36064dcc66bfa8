"""What a decoding step costs on this card: `benchmarks/decoding` on the 7 B shape."""

import sys
from pathlib import Path
from typing import Any

from measuring import Results, free
from shapes import make_model

from veridical.models.lora import LoraRecipe, add_lora

sys.path.insert(0, str(Path(__file__).parents[1] / "decoding"))
from measure import Case, measure


def run(results: Results, *, device: str, tiny: bool, part: str) -> None:
    """Greedy and sampled responses of the base, then with an adapter, as PPO samples."""
    tokens = 4 if tiny else 128
    vlm = make_model("llava", device=device, tiny=tiny)

    def keep(name: str, cases: list[Case], **options: Any) -> None:
        for one in measure(vlm, cases=cases, their_tokens=min(32, tokens), **options):
            results.add(f"decoding {name} {one.pop('case')}", one)
        free(device)

    keep("greedy", [Case(64, 1, tokens)], theirs=False)
    base = vlm
    vlm = add_lora(vlm, LoraRecipe(rank=64, alpha=16))
    keep("adapter", [Case(16, 4, tokens, 1.0)], autocast=device == "cuda", theirs=False)
    del base
    if part == "decoding":
        keep("adapter", [Case(16, 1, tokens)], autocast=device == "cuda")

"""What an adapter's files say, without loading it."""

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open

from veridical.errors import ModelError
from veridical.files import read_bytes

_DECODERS = (".language_model.", ".text_model.")
"""What stands in the names of a decoder's weights, in all families that have an image tower."""


ADAPTER_FAULTS = (OSError, ValueError, TypeError, KeyError, RuntimeError, UserWarning)
"""What PEFT may raise when it puts an adapter on a model."""


class AdapterFacts(NamedTuple):
    """What an engine must know of an adapter before it takes it."""

    rank: int
    """Highest rank of its updates."""
    beyond_decoder: tuple[str, ...]
    """Modules that it changes outside of the decoder (tower, projector, vocabulary), or other than
    by low-rank updates."""


def read_adapter_facts(folder: Path) -> AdapterFacts:
    """Read which modules an adapter changes.

    Raises:
        ModelError: The folder holds no LoRA adapter.
    """
    try:
        config = json.loads(read_bytes(folder / "adapter_config.json"))
        with safe_open(folder / "adapter_model.safetensors", framework="numpy") as file:
            names: Sequence[str] = list(file.keys())
        ranks = [config["r"], *(config.get("rank_pattern") or {}).values()]
    except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
        raise ModelError(
            f"`{folder}` holds no LoRA adapter that can be read ({type(error).__name__}: {error})."
            " Give a folder with adapter_config.json and adapter_model.safetensors."
        ) from error
    modules = {name.partition(".lora_")[0] for name in names if not _in_decoder(name)}
    return AdapterFacts(max(ranks), tuple(sorted(modules)))


@contextmanager
def expected_warnings_ignored() -> Iterator[None]:
    """Leave out what PEFT warns of where dense layers and fused experts have the same names.

    It then adds rank and scale for the experts as if they were layers, which no layer has.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(rank|alpha)_pattern keys did not match")
        yield


@contextmanager
def whole_adapter() -> Iterator[None]:
    """Let PEFT raise where it would warn that an adapter's file lacks some of its weights.

    Those would stay as they are made, and the adapter would do half of what it learned.
    """
    with expected_warnings_ignored():
        warnings.filterwarnings("error", message=".*missing adapter keys")
        yield


def require_decoder_adapter(folder: Path, *, engine: str) -> AdapterFacts:
    """Refuse an adapter that an engine would apply in part, and so answer wrongly.

    Raises:
        ModelError: It reaches beyond the decoder.
    """
    facts = read_adapter_facts(folder)
    if facts.beyond_decoder:
        raise ModelError(
            f"{engine} adapts the language model alone, and the adapter `{folder}` changes"
            f" {len(facts.beyond_decoder)} modules beyond it, such as {facts.beyond_decoder[0]}:"
            ' answers would be wrong. Use engine = "hf", or merge the adapter into a model of its'
            " own."
        )
    return facts


def _in_decoder(name: str) -> bool:
    return any(part in name for part in _DECODERS) and ".lora_" in name

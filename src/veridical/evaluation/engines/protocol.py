"""What every engine does, and what goes in and out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from veridical.errors import ModelError
from veridical.files import hash_bytes, hash_file, hash_folder
from veridical.records import Prompt, Response
from veridical.records.images import open_image

if TYPE_CHECKING:
    from PIL.Image import Image

Finish = Literal["stop", "length", "failed"]


class Decoding(NamedTuple):
    """How prompts are answered."""

    max_new_tokens: int
    """Longest response, in tokens."""
    temperature: float = 0.0
    """0 is greedy."""
    top_p: float = 1.0
    """Sample from the smallest set of tokens with this much probability."""
    num_samples: int = 1
    """K responses per prompt."""


class Engine(Protocol):
    """Answers prompts."""

    @property
    def identity(self) -> str:
        """What its answers rest on: hashes of weights, or name and address."""
        ...

    def answer(self, prompts: Sequence[Prompt], decoding: Decoding, *, seed: int) -> list[Response]:
        """Answer prompts, whose image paths are absolute.

        Returns:
            K responses per prompt, next to each other, in the prompts' order.

        Raises:
            ModelError: The model does not load or cannot answer.
        """
        ...

    def notes(self) -> Mapping[str, object]:
        """What a manifest says of its work: tokens and cost, where they are counted."""
        ...

    def close(self) -> None:
        """Release what is held."""
        ...


def make_response(
    prompt: Prompt, text: str, *, model: str, decoding: Decoding, finish: Finish, sample: int = 0
) -> Response:
    """Make the record of one response."""
    return Response(
        id=f"{prompt.id}#{sample}",
        prompt_id=prompt.id,
        text=text,
        model=model,
        sample=sample,
        temperature=decoding.temperature,
        finish=finish,
    )


def open_pictures(prompt: Prompt) -> "list[Image]":
    """The pictures of a prompt, which were checked when it was read."""
    return [open_image(ref, root=Path("/"), outside=True) for ref in prompt.images]


def require_adapter(adapter: str) -> None:
    """Refuse an adapter that is not there.

    Raises:
        ModelError: It is not a folder.
    """
    if adapter and not Path(adapter).is_dir():
        raise ModelError(
            f"There is no adapter folder `{adapter}`. Give the folder of a run's adapter."
        )


def identify(model: str, adapter: str) -> str:
    """What answers of a model rest on: hashes of its files and of its adapter's."""
    return f"{_identify(model)} + {_identify(adapter)}" if adapter else _identify(model)


def _identify(name: str) -> str:
    """Hash of a folder's weights and settings; for a hub id its cached commit, if any."""
    path = Path(name)
    if path.is_dir():
        weights = hash_folder(path, pattern="**/*.safetensors")
        return hash_bytes((weights + hash_folder(path, pattern="*.json")).encode())[:16]
    if path.is_file():
        return hash_file(path)[:16]
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, "config.json")
    return f"{name} {Path(found).parent.name}" if isinstance(found, str) else name

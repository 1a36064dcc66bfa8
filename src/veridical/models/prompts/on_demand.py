"""Prompts whose pixels are read again when they are needed, so that memory does not grow with them.

A prompt of a hub model has 7 to 33 MB of pixels and a few kilobytes of everything else. Pixels stay
in memory up to a bound; those of further prompts are made again from the image each time that a
batch needs them, by the same deterministic processing.
"""

from collections.abc import Callable, Iterator, Mapping

from torch import Tensor

_SMALL = 2**16
"""Bytes up to which a tensor always stays in memory."""


class PromptOnDemand(Mapping[str, Tensor]):
    """An encoded prompt without its large tensors, which `read` gives when one is asked for."""

    def __init__(
        self, prompt: Mapping[str, Tensor], read: Callable[[], Mapping[str, Tensor]]
    ) -> None:
        """Drop the large tensors of a prompt.

        Args:
            prompt: The encoded prompt.
            read: Encodes it again, to the same tensors.
        """
        self._kept = {
            key: value if value.nbytes <= _SMALL else None for key, value in prompt.items()
        }
        self._read = read

    def whole(self) -> dict[str, Tensor]:
        """All tensors, the large ones read once."""
        if None not in self._kept.values():
            return {key: value for key, value in self._kept.items() if value is not None}
        read = self._read()
        return {key: read[key] if value is None else value for key, value in self._kept.items()}

    def __getitem__(self, key: str) -> Tensor:
        value = self._kept[key]
        return self._read()[key] if value is None else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)


def large_bytes(prompt: Mapping[str, Tensor]) -> int:
    """Bytes of a prompt's large tensors."""
    return sum(value.nbytes for value in prompt.values() if value.nbytes > _SMALL)

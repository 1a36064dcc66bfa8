"""Answer many prompts in shares: each is written when it is done, and an interrupted run goes on after the last one."""

from collections.abc import Callable, Sequence
from pathlib import Path

from veridical.progress import log, track
from veridical.records import Prompt, Response, read_records, write_records

AnswerShare = Callable[[Sequence[Prompt], int], list[Response]]
"""Answers some prompts; told the number of the first of them."""


class Shares:
    """The answers of a folder while they are being made.

    Args:
        folder: Where `responses.jsonl` will lie, and until then `parts/`.
        prompts: What is to be answered.
        save_every: Prompts a share.
    """

    def __init__(self, folder: Path, prompts: Sequence[Prompt], *, save_every: int) -> None:
        self.path = folder / "responses.jsonl"
        starts = range(0, len(prompts), save_every)
        self._files = {start: folder / "parts" / f"{start:08d}.jsonl" for start in starts}
        self._prompts, self._size = prompts, save_every

    @property
    def missing(self) -> list[int]:
        """Number of the first prompt of each share that is not there."""
        return [start for start, file in self._files.items() if not file.is_file()]

    def fill(self, answer: AnswerShare) -> None:
        """Answer what is missing, a share at a time."""
        todo = self.missing
        if 0 < len(todo) < len(self._files):
            log(f"{len(self._files) - len(todo)} of {len(self._files)} shares are there already.")
        for start in track(todo, label="generating"):
            some = self._prompts[start : start + self._size]
            write_records(self._files[start], answer(some, start), kind="Response")

    def collect(self) -> list[Response]:
        """All answers, prompts in their order."""
        return [
            response for file in self._files.values() for response in read_records(file, Response)
        ]

    def finish(self, responses: Sequence[Response]) -> Path:
        """Write the one file and remove the parts."""
        write_records(self.path, responses, kind="Response")
        for file in self._files.values():
            file.unlink()
        parts = self.path.parent / "parts"
        if parts.is_dir():
            parts.rmdir()
        return self.path

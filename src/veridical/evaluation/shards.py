"""Answer prompts in shards: each is written when done, and an interrupted run resumes there."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from veridical.progress import counted, log, track
from veridical.records import Prompt, Response, read_records, write_records

AnswerShard = Callable[[Sequence[Prompt], int], list[Response]]
"""Answers some prompts, given the number of the first of them."""


class Shards:
    """The answers of a folder while they are being made.

    Args:
        folder: Where `responses.jsonl` will lie, and until then `parts/`.
        prompts: What is to be answered.
        save_every: Prompts per shard.
    """

    def __init__(self, folder: Path, prompts: Sequence[Prompt], *, save_every: int) -> None:
        self.path = folder / "responses.jsonl"
        self._parts = folder / "parts"
        starts = range(0, len(prompts), save_every)
        self._files = {start: self._parts / f"{start:08d}.jsonl" for start in starts}
        self._prompts, self._size = prompts, save_every

    @property
    def missing(self) -> list[int]:
        """Number of the first prompt of each shard that is not there."""
        return [start for start, file in self._files.items() if not file.is_file()]

    def reopen_failed(self) -> None:
        """Remove shards in which an endpoint failed to answer, so that they are filled again.

        What it did answer is in its cache and is not asked again.
        """
        for file in (self.path, *self._files.values()):
            rows = read_records(file, Response) if file.is_file() else []
            if any(row.finish == "failed" for row in rows):
                file.unlink()

    def fill(self, answer: AnswerShard) -> None:
        """Answer what is missing, a shard at a time."""
        todo = self.missing
        if 0 < len(todo) < len(self._files):
            log(
                f"{len(self._files) - len(todo)} of {counted(len(self._files), 'shard')}"
                " there already."
            )
        for start in track(todo, label="generating"):
            some = self._prompts[start : start + self._size]
            write_records(self._files[start], answer(some, start), kind="Response")

    def collect(self) -> list[Response]:
        """All answers, in the order of the prompts."""
        return [
            response for file in self._files.values() for response in read_records(file, Response)
        ]

    def finish(self, responses: Sequence[Response]) -> Path:
        """Write the one file and remove the parts, with what an interrupted write left there."""
        write_records(self.path, responses, kind="Response")
        if self._parts.is_dir():
            shutil.rmtree(self._parts)
        return self.path

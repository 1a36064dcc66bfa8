"""Answers that were paid for, on disk, by content of the request; whole or not at all, whenever the run is killed."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from veridical.errors import ConfigError, DataError, Fault
from veridical.files import read_bytes, write_json_atomically
from veridical.judges.requests import ChatRequest, request_key


class AnswerCache:
    """A folder of answers.

    Args:
        folder: The folder; made when the first answer is kept.
        url: Address of the endpoint that answers.
    """

    def __init__(self, folder: Path, *, url: str) -> None:
        self.folder = folder
        self.url = url

    def read(self, request: ChatRequest) -> Mapping[str, Any] | None:
        """The answer to a request; None where there is none yet.

        Raises:
            DataError: The file was changed or broken; asking again unsaid would cost again.
        """
        path = self._path(request.key)
        if not path.is_file():
            return None
        try:
            kept = json.loads(read_bytes(path))
            whole = request_key(kept["url"], kept["request"]) == request.key
            completion: Mapping[str, Any] = kept["completion"]
        except (ValueError, TypeError, KeyError, AttributeError):
            whole, completion = False, {}
        if not whole:
            raise DataError(
                [
                    Fault(
                        path,
                        None,
                        "not the answer that was kept here. Restore it, or delete it to ask (and"
                        " pay) again.",
                    )
                ]
            )
        return completion

    def write(self, request: ChatRequest, completion: Mapping[str, Any]) -> None:
        """Keep an answer."""
        kept = {"url": self.url, "request": request.body, "completion": completion}
        write_json_atomically(self._path(request.key), kept)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other runs out of the folder, so that nothing is asked twice; the system undoes it if we are killed.

        Raises:
            ConfigError: Another run holds it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as file:
            if sys.platform != "win32":  # there, two runs at once are not kept apart
                import fcntl

                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError as error:
                    raise ConfigError(
                        f"Another run is judging with the cache `{self.folder}`. Wait for it, or"
                        " name another folder."
                    ) from error
            yield

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"

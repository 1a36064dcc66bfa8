"""Answers that were paid for, kept on disk by the content of their request, whole or not at all."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from veridical.errors import ConfigError, DataError, Fault, StorageError
from veridical.files import read_bytes, remove_leftovers, write_text_atomically
from veridical.judges.completions import JsonObject, read_completion
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

    def read(self, request: ChatRequest) -> JsonObject | None:
        """The answer to a request; None if there is none, or what was kept is not a completion.

        Raises:
            DataError: The file was changed or broken; asking again silently would cost again.
        """
        path = self._path(request.key)
        if not path.is_file():
            return None
        try:
            kept = json.loads(read_bytes(path))
            whole = request_key(kept["url"], kept["request"]) == request.key
            completion: JsonObject = kept["completion"]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            whole, completion = False, {}
        if not whole:
            message = (
                "not the answer that was kept here. Restore it, or delete it to ask (and pay)"
                " again."
            )
            raise DataError([Fault(path, None, message)])
        return None if read_completion(completion).malformed else completion

    def write(self, request: ChatRequest, completion: JsonObject) -> None:
        """Keep an answer."""
        kept = {"url": self.url, "request": request.body, "completion": completion}
        write_text_atomically(
            self._path(request.key), json.dumps(kept, indent=2, allow_nan=False) + "\n"
        )

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other runs out of the folder, so that nothing is asked twice, even after a kill.

        Raises:
            ConfigError: Another run holds it.
            StorageError: The disk refused.
        """
        lock = FileLock(self.folder / ".lock")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(blocking=False)
        except Timeout:
            raise ConfigError(
                f"Another run is using the cache `{self.folder}`. Wait for it, or name another"
                " folder."
            ) from None
        except OSError as error:
            raise StorageError(
                f"Cannot write into the cache `{self.folder}`: {error.strerror}. Nothing was asked."
                " Name another folder, or check its permissions."
            ) from error
        try:
            remove_leftovers(self.folder)
            yield
        finally:
            lock.release()

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"

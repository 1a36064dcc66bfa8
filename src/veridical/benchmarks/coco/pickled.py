"""`chair.pkl`, which OPERA's CHAIR keeps on disk, read as data: no code of the file is run.

A pickle is a program. Before it is loaded every instruction is looked at, and only those that build
plain containers pass; of classes, only the containers of Python and a stand-in for the evaluator.
"""

import io
import pickle
import pickletools
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from veridical.errors import DataError, Fault
from veridical.scoring.reading.packed import read_plain_bytes

_CONTAINERS = {"set": set, "frozenset": frozenset, "list": list, "dict": dict}
_EVALUATOR = "CHAIR"
_LARGEST_MEMO = 50_000_000
"""Numbers of remembered objects above this make the reader reserve memory for them all."""
_REFUSED = frozenset(
    {"EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "OBJ", "INST", "NEXT_BUFFER", "READONLY_BUFFER"}
)


class _Evaluator:
    """A stand-in for an object of the evaluator's class: it keeps the state and does nothing."""

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Reader(pickle.Unpickler):
    """Finds containers and the evaluator, nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """The class of a name, where it is harmless."""
        if module in ("builtins", "__builtin__") and name in _CONTAINERS:
            return _CONTAINERS[name]
        if (module, name) == ("collections", "defaultdict"):
            return defaultdict
        if name == _EVALUATOR:
            return _Evaluator
        raise pickle.UnpicklingError(f"it names {module}.{name}"[:80])


def is_pickle(path: Path) -> bool:
    """Whether a file is named as a pickle."""
    return path.suffix in (".pkl", ".pickle")


def read_evaluator(path: Path) -> dict[Any, Any]:
    """What is in which image: the evaluator's `imid_to_objects`, or the dict that was pickled.

    Raises:
        DataError: It is anything else.
    """
    data = read_plain_bytes(path)
    try:
        _check(data)
        found = _Reader(io.BytesIO(data)).load()
    except _BROKEN as error:
        reason = str(error)[:120] or type(error).__name__
        message = (
            f"not a pickle of CHAIR's evaluator: {reason}. Give a JSON file {{image: [objects]}}."
        )
        raise DataError([Fault(path, None, message)]) from error
    if isinstance(found, _Evaluator):
        state = getattr(found, "state", None)
        found = state.get("imid_to_objects") if isinstance(state, Mapping) else None
    if not isinstance(found, dict):
        message = "holds no `imid_to_objects`. Give CHAIR's chair.pkl, or JSON {image: [objects]}."
        raise DataError([Fault(path, None, message)])
    return {
        image: sorted(objects, key=str) if isinstance(objects, set | frozenset) else objects
        for image, objects in found.items()
    }


def _check(data: bytes) -> None:
    for code, argument, _ in pickletools.genops(data):
        too_far = "PUT" in code.name and isinstance(argument, int) and argument > _LARGEST_MEMO
        if code.name in _REFUSED or too_far:
            raise pickle.UnpicklingError(f"it holds the instruction {code.name}")


_BROKEN = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)

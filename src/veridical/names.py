"""Names that users give and that become files: what is wrong with one, on any system."""

_NOT_IN_NAMES = frozenset('/\\:*?"<>|')
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", *(f"{p}{n}" for p in ("com", "lpt") for n in range(10))}
)
_LONGEST_NAME = 100


def name_problem(name: str) -> str | None:
    """Say why a name cannot be that of one file or folder on every system; None where it can.

    >>> name_problem("../escape"), name_problem("aux.txt"), name_problem("llava-1.5")
    ("it holds '/'", 'Windows reserves it', None)
    """
    wrong = next((c for c in name if c in _NOT_IN_NAMES or not c.isprintable()), None)
    if wrong is not None:
        return f"it holds {wrong!r}"
    if not name.strip(". "):
        return "it names no folder of its own"
    if name != name.strip(" ") or name.endswith("."):
        return "it starts or ends with a space, or ends with a dot"
    if name.partition(".")[0].rstrip().lower() in _DEVICES:
        return "Windows reserves it"
    if len(name.encode()) > _LONGEST_NAME:
        return f"it is longer than {_LONGEST_NAME} bytes"
    return None


def safe_name(text: str, *, otherwise: str) -> str:
    """Turn a text into the name of one file or folder: what cannot stand in it becomes "-".

    Args:
        text: For instance the name of a model at an endpoint, "llava:13b".
        otherwise: The name where nothing usable is left.
    """
    kept = "".join("-" if c in _NOT_IN_NAMES or not c.isprintable() else c for c in text)
    kept = kept.encode()[:_LONGEST_NAME].decode("utf-8", "ignore").strip(" ").rstrip(". ")
    return otherwise if name_problem(kept) else kept

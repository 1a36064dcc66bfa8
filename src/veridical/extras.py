"""Which extra installs which optional package, read from the metadata of the installation."""

import re
from importlib import metadata
from typing import NamedTuple

from veridical.errors import MissingPackageError

_REQUIREMENT = re.compile(
    r"""^(?P<package>[\w.-]+).*?(?:;.*\bextra\s*==\s*["'](?P<extra>[\w-]+)["'])?$"""
)


class Requirement(NamedTuple):
    """A package that Veridical uses."""

    package: str
    """Name of the distribution, as pip knows it."""
    extra: str | None
    """The extra that brings it; None for a package that is always installed."""


def requirements() -> list[Requirement]:
    """All packages that Veridical names, in the order of `pyproject.toml`."""
    found = []
    for line in metadata.requires("veridical") or []:
        match = _REQUIREMENT.match(line)
        if match is not None:
            found.append(Requirement(match["package"], match["extra"]))
    return found


def missing_package_error(module: str, *, purpose: str) -> MissingPackageError | None:
    """Make the error for a module that could not be imported; None if Veridical does not name it.

    Args:
        module: Name of the module, for instance "torch.nn".
        purpose: What needs it, as the subject of the sentence.
    """
    wanted = _normal(module.partition(".")[0])
    for package, extra in requirements():
        if _normal(package) == wanted and extra is not None:
            return MissingPackageError(package, extra=extra, purpose=purpose)
    return None


def _normal(name: str) -> str:
    return name.lower().replace("-", "_")

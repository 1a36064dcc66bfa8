"""Which optional package belongs to which extra, read from the installed metadata: `pyproject.toml` says it once."""

import re
from importlib import metadata
from typing import NamedTuple

from veridical.errors import MissingPackageError

_REQUIREMENT = re.compile(
    r"""^(?P<package>[\w.-]+).*?(?:;.*\bextra\s*==\s*["'](?P<extra>[\w-]+)["'])?$"""
)


class Requirement(NamedTuple):
    """A package that Veridical can use."""

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


def install_line(extra: str) -> str:
    """The command that installs an extra."""
    return f'pip install "veridical[{extra}]"'


def missing_package_message(module: str) -> str | None:
    """Say how to install the package of a module that could not be imported; None where it is none of ours."""
    wanted = _normal(module.partition(".")[0])
    for package, extra in requirements():
        if _normal(package) == wanted and extra is not None:
            return str(MissingPackageError(package, extra=extra, purpose="This command"))
    return None


def _normal(name: str) -> str:
    return name.lower().replace("-", "_")

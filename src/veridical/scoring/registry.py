"""Find a benchmark by name: our own register themselves, others come by entry point.

A folder of `veridical.benchmarks` registers its benchmark with one line in its `__init__`, written
as an entry point is: `BENCHMARK = "pope = benchmark:Pope"`, the module below the folder. The module
is imported when the benchmark is asked for, so that a list of names costs nothing.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from veridical.errors import ConfigError
from veridical.scoring.protocol import AnyBenchmark, Benchmark

GROUP = "veridical.benchmarks"
"""Entry point group of other packages' benchmarks, and the package that holds our own."""


def benchmark_names() -> list[str]:
    """Names of all benchmarks: our own in alphabetical order, then those of other packages."""
    own = own_benchmark_names()
    return [*own, *sorted({point.name for point in entry_points(group=GROUP)} - set(own))]


def own_benchmark_names() -> list[str]:
    """Names of the benchmarks of this package, in alphabetical order."""
    return sorted(_own())


def find_benchmark(name: str, *, options: Mapping[str, str] | None = None) -> AnyBenchmark:
    """Make a benchmark.

    Args:
        name: Its name.
        options: Settings that its card declares; those left out have their defaults.

    Raises:
        ConfigError: There is none of that name, another package's cannot be loaded, or an option is
            wrong.
    """
    foreign = (point for point in entry_points(group=GROUP) if point.name == name)
    point = _own().get(name) or next(foreign, None)
    if point is None:
        raise ConfigError(
            f"There is no benchmark {name!r}. There are: {', '.join(benchmark_names())}."
        )
    return _load(point)(options)


@cache
def _own() -> dict[str, EntryPoint]:
    """What the folders of our own benchmarks declare, by name."""
    return declared_in(GROUP)


def declared_in(package: str) -> dict[str, EntryPoint]:
    """Benchmarks that the folders of a package declare, by name.

    Args:
        package: Name of the package, importable.

    Raises:
        ConfigError: Two folders declare one name.
    """
    found: dict[str, EntryPoint] = {}
    for info in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
        declared = (
            getattr(importlib.import_module(info.name), "BENCHMARK", "") if info.ispkg else ""
        )
        if not declared:  # a folder that several benchmarks share
            continue
        name, _, where = (part.strip() for part in declared.partition("="))
        point = EntryPoint(name, f"{info.name}.{where}", package)
        if found.setdefault(name, point) is not point:
            raise ConfigError(
                f"Two folders declare the benchmark {name!r}: {found[name].value} and"
                f" {point.value}. Rename one."
            )
    return found


def _load(point: EntryPoint) -> type[AnyBenchmark]:
    """The class behind an entry point; what may go wrong in another package's code is its fault."""
    where = f"The entry point {point.name!r} ({point.value})"
    try:
        cls = point.load()
    except (ImportError, AttributeError, SyntaxError) as error:
        raise ConfigError(
            f"{where} cannot be loaded: {error}. Fix or uninstall that package."
        ) from error
    if not (isinstance(cls, type) and issubclass(cls, Benchmark)):
        raise ConfigError(f"{where} is not a Benchmark class, got {cls!r}. Fix that package.")
    return cls

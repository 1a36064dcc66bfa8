"""Find a benchmark by name: those of this package, and those that other packages register as entry points."""

import importlib
import importlib.util
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

from veridical.errors import ConfigError
from veridical.scoring.protocol import AnyBenchmark, Benchmark

GROUP = "veridical.benchmarks"
"""Entry point group of benchmarks."""

_OWN = {
    "pope": "pope.benchmark:Pope",
    "chair": "chair.benchmark:Chair",
    "object-halbench": "object_halbench.benchmark:ObjectHalBench",
    "over-generalisation": "over_generalisation.benchmark:OverGeneralisation",
    "mmhal": "mmhal.benchmark:MMHal",
    "amber": "amber.benchmark:Amber",
    "llava-bench": "llava_bench.benchmark:LlavaBench",
    "hallusionbench": "hallusionbench.benchmark:HallusionBench",
    "vqa": "vqa.benchmark:Vqa",
    "mhumaneval": "mhumaneval.benchmark:MHumanEval",
    "multiple-choice": "multiple_choice.benchmark:MultipleChoice",
    "world": "world.benchmark:World",
}
"""Benchmarks of this package: name → module:class, imported when they are asked for."""


def benchmark_names() -> list[str]:
    """Names of all benchmarks that can be had, our own first."""
    own = own_benchmark_names()
    return [*own, *sorted({point.name for point in entry_points(group=GROUP)} - set(own))]


def own_benchmark_names() -> list[str]:
    """Names of the benchmarks of this package; one without a module is not offered."""
    return [
        name for name, where in _OWN.items() if importlib.util.find_spec(_module(where)) is not None
    ]


def find_benchmark(name: str, *, options: Mapping[str, str] | None = None) -> AnyBenchmark:
    """Make a benchmark.

    Args:
        name: Its name.
        options: Settings that its card declares; those left out have their defaults.

    Raises:
        ConfigError: There is none of that name, another package's cannot be loaded, or an option is
            wrong.
    """
    if name in own_benchmark_names():
        where = _OWN[name]
        made: AnyBenchmark = getattr(
            importlib.import_module(_module(where)), where.partition(":")[2]
        )(options)
        return made
    for point in entry_points(group=GROUP):
        if point.name == name:
            return _load_foreign(point)(options)
    raise ConfigError(f"There is no benchmark {name!r}. There are: {', '.join(benchmark_names())}.")


def _module(where: str) -> str:
    return f"veridical.benchmarks.{where.partition(':')[0]}"


def _load_foreign(point: EntryPoint) -> type[AnyBenchmark]:
    """The class that another package offers; what may go wrong in its code is that package's fault."""
    where = f"The entry point {point.name!r} ({point.value})"
    try:
        cls = point.load()
    except (ImportError, AttributeError, SyntaxError) as error:
        raise ConfigError(
            f"{where} cannot be loaded: {error}. Mend or uninstall that package."
        ) from error
    if not (isinstance(cls, type) and issubclass(cls, Benchmark)):
        raise ConfigError(f"{where} is no Benchmark class, got {cls!r}. Mend that package.")
    return cls

"""Find a format by name or by looking at a file; other packages add theirs as entry points."""

import importlib
from collections.abc import Collection, Iterator, Set
from itertools import islice
from pathlib import Path

from veridical.errors import ConfigError, Fault
from veridical.formats.benchmark_files import refuse_benchmark_file
from veridical.formats.format import Format, Sample
from veridical.formats.sources import read_head, table_rows
from veridical.plugins import load_plugin, plugin_names
from veridical.records.folders import record_files

GROUP = "veridical.formats"
"""Entry point group of formats: each names a `Format`."""

_SHOWN = 5
"""Faults that an error shows."""

RECORDS = "records"
"""What `detect_format` calls files and folders that Veridical itself wrote."""

_OWN = {
    "rlhf-v": "rlhf.rlhf_v",
    "rlhf-v-tsv": "rlhf.rlhf_v_tsv",
    "rlaif-v": "rlhf.rlaif_v",
    "llava-rlhf-preference": "llava_rlhf.preference",
    "llava-rlhf-prompts": "llava_rlhf.prompts",
    "llava-rlhf-conversations": "llava_rlhf.conversations",
    "llava-rlhf-facts": "llava_rlhf.facts",
    "vlfeedback": "published.vlfeedback",
    "bpo": "published.bpo",
    "ha-dpo": "published.ha_dpo",
    "mdpo": "published.mdpo",
    "spa-vl": "published.spa_vl",
    "vti": "published.vti",
    "povid": "published.povid",
    "csr": "published.csr",
    "mmpr": "published.mmpr",
    "argilla": "trainers.argilla",
    "label-studio": "trainers.label_studio",
    "kto": "trainers.kto",
    "alpaca": "trainers.alpaca",
    "chat": "chat",
    "trl": "trainers.trl",
    "llama-factory": "trainers.llama_factory",
    "ms-swift": "trainers.ms_swift",
    "plain": "trainers.plain",
}
"""Formats of this package: name → module with a `FORMAT`, in the order in which they are asked
whether a file is theirs."""


def format_names(*, written: bool = False) -> list[str]:
    """Names of all formats, our own first; with `written`, of those that can be written."""
    own = [*_OWN]
    names = [*own, *sorted(plugin_names(GROUP) - set(own))]
    return [name for name in names if not written or find_format(name).write is not None]


def find_format(name: str) -> Format:
    """Look a format up.

    Raises:
        ConfigError: There is none of that name, or another package's cannot be loaded.
    """
    if name in _OWN:
        found: Format = importlib.import_module(f"veridical.formats.{_OWN[name]}").FORMAT
        return found
    plugin = load_plugin(GROUP, name)
    if plugin is not None:
        if not isinstance(plugin.value, Format):
            raise ConfigError(
                f"{plugin.where} is not a Format, got {plugin.value!r}. Fix that package."
            )
        return plugin.value
    raise ConfigError(f"There is no format {name!r}. Formats: {', '.join(format_names())}.")


def detect_format(path: Path | str) -> str:
    """Recognise the format of a file or folder by its first rows.

    Returns:
        The name of a format, or "records".

    Raises:
        ConfigError: There is no such file, its first rows cannot be read (with the reason of each)
            or do not show the format, or they are those of a benchmark.
    """
    path = Path(path)
    if not path.exists():
        raise ConfigError(f"There is no file or folder `{path}`. Check the path.")
    if path.is_dir() and record_files(path):
        return RECORDS
    known = [(name, find_format(name)) for name in format_names()]
    faults: list[Fault] = []
    for sample in _samples(path, faults):
        if _is_record(sample.keys):
            return RECORDS
        refuse_benchmark_file(path, sample.keys)
        for name, form in known:
            if form.detects is not None and form.detects(sample):
                return name
    if faults:
        reasons = "".join(f"\n  {fault}" for fault in faults[:_SHOWN])
        raise ConfigError(f"The rows of `{path}` cannot be read, so that no format shows:{reasons}")
    raise ConfigError(
        f"The first rows of `{path}` do not show its format: their fields are"
        f" {_named(sample.keys)}. Name it with --format; formats:"
        f" {', '.join(format_names())}."
    )


def _named(fields: Collection[object]) -> str:
    """Fields of a row for a message: the first ones, where a broken table has thousands."""
    names = sorted(str(field)[:_LONGEST_NAME] for field in fields)
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" … and {more:,} more" if more > 0 else "")


_NAMED, _LONGEST_NAME = 30, 60
"""How many fields a message names, and how many characters of each."""
_NOT_ASKED = {"chosen", "rejected", "text", "h_value", "completions", "class1"}
"""Fields of public rows beside the id, image and question that prompts of ours have too."""


def _is_record(keys: Set[str]) -> bool:
    """Whether these are the fields of a record of ours; a file need not have a header line."""
    judged = keys & {"veridical", "prompt_id"}
    asked = {"id", "image", "question"} <= keys and not keys & _NOT_ASKED
    return bool(judged) or asked or {"turns", "source"} <= keys or {"image_id", "texts"} <= keys


def _samples(path: Path, faults: list[Fault]) -> Iterator[Sample]:
    """The file itself, then its first rows: some formats show in the name or the first bytes.

    Args:
        path: The file or folder.
        faults: Gets why rows, or the file, cannot be read.
    """
    head = read_head(path)
    yield Sample(path, head, frozenset())
    rows = 0
    for rows, row in enumerate(islice(table_rows(path), 20), start=1):  # noqa: B007 (counted)
        if row.values is not None:
            yield Sample(path, head, row.values.keys())
        elif row.raw and '"veridical"' in row.raw:
            yield Sample(path, head, frozenset({"veridical"}))
        else:
            faults.append(Fault(row.file, row.line, row.fault or "not a row"))
    if not rows:
        faults.append(Fault(path, None, "the file holds no row. Give another file."))

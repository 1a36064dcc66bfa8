"""Folders of comparisons, read with every check: what reward models learn from.

A folder holds `comparisons.jsonl`, `prompts.jsonl`, `responses.jsonl`, `facts.jsonl` (where facts
are known) and the images. All faults of all of its files are gathered before anything is raised.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from veridical.errors import DataError, Fault
from veridical.feedback.facts import FactsIndex, facts_faults
from veridical.files import quarantine_rows
from veridical.progress import track
from veridical.records import Comparison, Facts, Prompt, Record, Response, scan_records
from veridical.records.folders import COMPARISONS_FILE, FACTS_FILE, PROMPTS_FILE, RESPONSES_FILE
from veridical.records.image_store import ImageChecks
from veridical.records.texts import same_text

R = TypeVar("R", bound=Record)


class ComparedPair(NamedTuple):
    """One comparison with all that it is about."""

    comparison: Comparison
    """Who preferred which."""
    prompt: Prompt
    """What was asked; its image path is absolute."""
    first: Response
    """The response shown first."""
    second: Response
    """The response shown second."""
    facts: tuple[Facts, ...]
    """What is known true, in one order for both responses: first what is known for this prompt,
    then of its image."""


class ReadSettings(NamedTuple):
    """How files of judgements are read."""

    need_facts: bool = False
    """A judgement without facts is at fault."""
    images: bool = True
    """Decode every image, too, and compare its hash."""
    outside: bool = False
    """Accept images outside of the folder."""
    skip_bad: bool = False
    """Put bad rows aside and continue instead of raising."""
    quarantine: Path | None = None
    """Where bad rows go with `skip_bad`: a `.jsonl` file, or a folder for files `NAME.bad.jsonl`;
    None: the folder of the judgements."""
    rating_margin: float = 1.0
    """Ratings of two responses that differ by less, in points, give no comparison."""

    def quarantine_of(self, source: Path, judgements: Path) -> Path:
        """Where the bad rows of a file go, which is that of the judgements or one next to it."""
        to = self.quarantine or judgements.parent
        if to.suffix != ".jsonl":
            return to / f"{source.stem}.bad.jsonl"
        return to if source == judgements else to.with_name(f"{source.stem}.bad.jsonl")


class JudgedRow(NamedTuple):
    """A comparison with its place."""

    line: int
    """Line in its file, from 1."""
    raw: str
    """The line as it stands there."""
    comparison: Comparison
    """The comparison."""


class BadRow(NamedTuple):
    """What is wrong with a row of a folder's files."""

    file: Path
    """The file."""
    line: int | None
    """Line, from 1; None when the whole file is at fault."""
    raw: str
    """The line as it stands there."""
    message: str
    """What is wrong."""


class Answers(NamedTuple):
    """What judgements of a folder refer to."""

    prompts: dict[str, Prompt]
    """Prompts by id."""
    responses: dict[str, Response]
    """Responses by id."""
    facts: FactsIndex
    """What is known to be true."""


def read_compared_pairs(
    path: Path | str,
    *,
    faults: list[Fault] | None = None,
    need_facts: bool = True,
    images: bool = True,
    outside: bool = False,
    skip_bad: bool = False,
    quarantine: Path | None = None,
) -> list[ComparedPair]:
    """Read a folder of comparisons that training can rely on.

    Args:
        path: The folder, or its file of comparisons.
        faults: Gets all faults, where given; nothing is raised then, and pairs at fault are left
            out.
        need_facts: A pair without facts is at fault.
        images: Decode every image, too, and compare its hash.
        outside: Accept images outside of the folder.
        skip_bad: Put bad rows aside and continue instead of raising.
        quarantine: Folder for bad rows with `skip_bad`; by default the folder itself; files
            `NAME.bad.jsonl`.

    Returns:
        The pairs in the comparisons' order.

    Raises:
        DataError: All faults, each with file and line; or no good pair at all.
    """
    path = Path(path)
    file = path / COMPARISONS_FILE if path.is_dir() else path
    settings = ReadSettings(need_facts, images, outside, skip_bad, quarantine)
    bad: list[BadRow] = []
    rows = [JudgedRow(*row) for row in good_rows(file, Comparison, bad)]
    answers = read_answers(file.parent, bad, need_facts=need_facts)
    pairs = join_answers(file, rows, answers, bad, settings)
    return accept(file, pairs, bad, settings, faults=faults)


def accept(
    file: Path,
    pairs: list[ComparedPair],
    bad: list[BadRow],
    settings: ReadSettings,
    *,
    faults: list[Fault] | None = None,
) -> list[ComparedPair]:
    """Return the pairs of a file of judgements; raise, gather or quarantine what is wrong with it.

    Raises:
        DataError: All faults, unless they are gathered or may be skipped; or no good pair at all.
    """
    found = [Fault(row.file, row.line, row.message) for row in bad]
    if not pairs:
        found.append(Fault(file, None, "no usable row. Give another folder."))
    if faults is not None:
        faults += found
        return pairs
    if not pairs or (bad and not settings.skip_bad) or any(row.line is None for row in bad):
        raise DataError(found, advice="Fix these rows, or leave them out with --skip-bad.")
    by_file: dict[Path, dict[int, tuple[str, list[str]]]] = {}
    for row in bad:
        by_line = by_file.setdefault(row.file, {})
        by_line.setdefault(row.line or 0, (row.raw, []))[1].append(row.message)
    for source, lines in by_file.items():
        rows = [(line, raw, " ".join(said)) for line, (raw, said) in sorted(lines.items())]
        quarantine_rows(source, rows, to=settings.quarantine_of(source, file))
    return pairs


def join_answers(
    file: Path,
    rows: Sequence[JudgedRow],
    answers: Answers,
    bad: list[BadRow],
    settings: ReadSettings,
) -> list[ComparedPair]:
    """Give each comparison its prompt, responses and facts; what is wrong goes into `bad`."""
    folder = file.parent
    checks = ImageChecks(folder, outside=settings.outside)
    pairs = []
    for line, raw, comparison in track(rows, label=f"Checking {file.name}"):
        prompt = answers.prompts.get(comparison.prompt_id)
        first, second = (answers.responses.get(name) for name in comparison.response_ids)
        facts = answers.facts.of(prompt) if prompt is not None else ()
        messages = [
            *_prompt_faults(comparison, prompt),
            *_response_faults(comparison, first, second),
        ]
        if prompt is not None and settings.need_facts and not facts:
            messages.append(
                f"no facts for prompt {prompt.id!r}: none of the prompt, none of its image "
                f"{prompt.known_image!r} in {FACTS_FILE}. Add them, or train without facts."
            )
        if prompt is not None and settings.images:
            messages += filter(None, map(checks.fault, prompt.images))
        bad += [BadRow(file, line, raw, message) for message in messages]
        if not messages and prompt is not None and first is not None and second is not None:
            pairs.append(
                ComparedPair(comparison, prompt.with_absolute_images(folder), first, second, facts)
            )
    return pairs


def _prompt_faults(comparison: Comparison, prompt: Prompt | None) -> list[str]:
    if prompt is not None:
        return []
    return [
        f"there is no prompt {comparison.prompt_id!r} in {PROMPTS_FILE}. Add it or leave the row"
        " out."
    ]


def _response_faults(
    comparison: Comparison, first: Response | None, second: Response | None
) -> list[str]:
    messages: list[str] = []
    if comparison.response_ids[0] == comparison.response_ids[1]:
        return [
            f"a response is compared with itself, got {comparison.response_ids[0]!r} twice. Leave"
            " the row out."
        ]
    for response_id, response in zip(comparison.response_ids, (first, second), strict=True):
        if response is None:
            messages.append(
                f"there is no response {response_id!r} in {RESPONSES_FILE}. Add it or leave the row"
                " out."
            )
        elif response.prompt_id != comparison.prompt_id:
            messages.append(
                f"response {response_id!r} answers prompt {response.prompt_id!r}, the comparison is"
                f" about {comparison.prompt_id!r}. Fix the ids."
            )
        elif not response.text.strip():
            messages.append(
                f"the text of response {response_id!r} is empty. Give a text or leave the row out."
            )
    if (
        first is not None
        and second is not None
        and not messages
        and same_text(first.text, second.text)
    ):
        messages.append(
            f"both responses say the same, got {first.text[:40]!r} twice: such a pair teaches"
            " nothing. Leave the row out."
        )
    return messages


def read_answers(folder: Path, bad: list[BadRow], *, need_facts: bool) -> Answers:
    """Read prompts, responses and facts of a folder; what is wrong with them goes into `bad`."""
    prompts = {record.id: record for _, _, record in good_rows(folder / PROMPTS_FILE, Prompt, bad)}
    responses = {
        record.id: record for _, _, record in good_rows(folder / RESPONSES_FILE, Response, bad)
    }
    facts_file = folder / FACTS_FILE
    facts: list[Facts] = []
    if need_facts or facts_file.is_file():
        for line, raw, record in good_rows(facts_file, Facts, bad):
            messages = facts_faults(record, prompts)
            bad += [BadRow(facts_file, line, raw, message) for message in messages]
            facts += [] if messages else [record]
    return Answers(prompts, responses, FactsIndex(facts))


def good_rows(path: Path, record_type: type[R], bad: list[BadRow]) -> Iterator[tuple[int, str, R]]:
    """Line, text and record of the valid lines of a file; the others go into `bad`."""
    try:
        for row in scan_records(path, record_type):
            if row.record is not None:
                yield row.line, row.raw, row.record
            else:
                bad.append(BadRow(path, row.line, row.raw, row.fault or "not a record"))
    except DataError as error:  # the whole file cannot be read
        bad += [BadRow(fault.file, None, "", fault.message) for fault in error.faults]

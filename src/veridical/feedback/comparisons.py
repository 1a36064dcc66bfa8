"""Folders of comparisons, read with every check: what reward models learn from.

A folder holds `comparisons.jsonl`, `prompts.jsonl`, `responses.jsonl`, `facts.jsonl` (where facts
are known) and the images. All faults of all of its files are gathered before anything is raised.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from veridical.errors import DataError, Fault
from veridical.feedback.facts import FactsIndex, facts_faults
from veridical.formats.sources import SourceRow, put_rows_aside
from veridical.progress import track
from veridical.records import Comparison, Facts, Prompt, Record, Response, scan_records
from veridical.records.folders import COMPARISONS_FILE, FACTS_FILE, PROMPTS_FILE, RESPONSES_FILE
from veridical.records.images import judged_image_fault

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
    """What is known true, in one order for both responses: first what was told for this prompt,
    then of its image."""


class _BadRow(NamedTuple):
    file: Path
    line: int | None
    raw: str
    message: str


class _Folder(NamedTuple):
    comparisons: list[tuple[int, str, Comparison]]
    prompts: dict[str, Prompt]
    responses: dict[str, Response]
    facts: FactsIndex


def read_compared_pairs(
    folder: Path | str,
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
        folder: The folder, see above.
        faults: Gets all faults, where given; nothing is raised then, and pairs at fault are left
            out.
        need_facts: A pair without facts is at fault.
        images: Read and decode every image, too, and compare its hash.
        outside: Accept images outside of the folder.
        skip_bad: Put bad rows aside and go on instead of raising.
        quarantine: Folder for bad rows with `skip_bad`; by default the folder itself; files
            `NAME.bad.jsonl`.

    Returns:
        The pairs in the comparisons' order.

    Raises:
        DataError: All faults, each with file and line; or no good pair at all.
    """
    folder = Path(folder)
    bad: list[_BadRow] = []
    pairs = list(_pairs(folder, bad, need_facts=need_facts, images=images, outside=outside))
    found = [Fault(row.file, row.line, row.message) for row in bad]
    if not pairs:
        found.append(
            Fault(folder / COMPARISONS_FILE, None, "no usable comparison. Give another folder.")
        )
    if faults is not None:
        faults += found
        return pairs
    if not pairs or (bad and not skip_bad) or any(row.line is None for row in bad):
        raise DataError(found, advice="Mend these rows, or leave them out with --skip-bad.")
    put_rows_aside(
        [(SourceRow(row.file, row.line, None, raw=row.raw), [row.message]) for row in bad],
        quarantine or folder,
    )
    return pairs


def _pairs(
    folder: Path, bad: list[_BadRow], *, need_facts: bool, images: bool, outside: bool
) -> Iterator[ComparedPair]:
    data = _read_folder(folder, bad, need_facts=need_facts)
    file = folder / COMPARISONS_FILE
    image_faults: dict[str, str | None] = {}
    for line, raw, comparison in track(data.comparisons, label=f"Checking {file.name}"):
        prompt = data.prompts.get(comparison.prompt_id)
        first, second = (data.responses.get(response_id) for response_id in comparison.response_ids)
        facts = data.facts.of(prompt) if prompt is not None else ()
        messages = [
            *_prompt_faults(comparison, prompt),
            *_response_faults(comparison, first, second),
        ]
        if prompt is not None:
            if need_facts and not facts:
                messages.append(
                    f"no facts for prompt {prompt.id!r}: none of the prompt, none of its image "
                    f"{prompt.known_image!r} in {FACTS_FILE}. Add them, or train without facts."
                )
            if images:
                key = f"{prompt.image.path}\0{prompt.image.sha256}"
                if key not in image_faults:
                    image_faults[key] = judged_image_fault(
                        prompt.image, root=folder, outside=outside
                    )
                messages += filter(None, [image_faults[key]])
        bad += [_BadRow(file, line, raw, message) for message in messages]
        if not messages and prompt is not None and first is not None and second is not None:
            image = prompt.image.model_copy(
                update={"path": str(folder.absolute() / prompt.image.path)}
            )
            yield ComparedPair(
                comparison, prompt.model_copy(update={"image": image}), first, second, facts
            )


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
    messages = []
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
                f" about {comparison.prompt_id!r}. Mend the ids."
            )
        elif not response.text.strip():
            messages.append(
                f"the text of response {response_id!r} is empty. Give a text or leave the row out."
            )
    if not messages and first is not None and second is not None and first.text == second.text:
        messages.append(
            f"both responses say the same, got {first.text[:40]!r} twice: such a pair teaches"
            " nothing. Leave the row out."
        )
    return messages


def _read_folder(folder: Path, bad: list[_BadRow], *, need_facts: bool) -> _Folder:
    comparisons = list(_good_rows(folder / COMPARISONS_FILE, Comparison, bad))
    prompts = {record.id: record for _, _, record in _good_rows(folder / PROMPTS_FILE, Prompt, bad)}
    responses = {
        record.id: record for _, _, record in _good_rows(folder / RESPONSES_FILE, Response, bad)
    }
    facts_file = folder / FACTS_FILE
    facts: list[Facts] = []
    if need_facts or facts_file.is_file():
        for line, raw, record in _good_rows(facts_file, Facts, bad):
            messages = facts_faults(record, prompts)
            bad += [_BadRow(facts_file, line, raw, message) for message in messages]
            facts += [] if messages else [record]
    return _Folder(comparisons, prompts, responses, FactsIndex(facts))


def _good_rows(
    path: Path, record_type: type[R], bad: list[_BadRow]
) -> Iterator[tuple[int, str, R]]:
    try:
        for row in scan_records(path, record_type):
            if row.record is not None:
                yield row.line, row.raw, row.record
            else:
                bad.append(_BadRow(path, row.line, row.raw, row.fault or "no record"))
    except DataError as error:  # the whole file cannot be read
        bad += [_BadRow(fault.file, None, "", fault.message) for fault in error.faults]

"""Items from folders of records: runs of `veridical generate`, comparisons to be judged anew."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby
from pathlib import Path

from veridical.errors import ConfigError, DataError, Fault
from veridical.records import Comparison, Prompt, Response, read_records, scan_records
from veridical.records.folders import (
    COMPARISONS_FILE,
    PROMPTS_FILE,
    RESPONSES_FILE,
    find_run_prompts,
)
from veridical.studio.settings import Task
from veridical.studio.store.items import NewImage, NewItem
from veridical.studio.store.pictures import RowError, find_picture


class _Prompts:
    """The prompts of a run, with their pictures."""

    def __init__(self, file: Path, *, outside: bool) -> None:
        self.file = file
        self.outside = outside
        self.lines: dict[str, int] = {}
        self.prompts: dict[str, Prompt] = {}
        for row in scan_records(file, Prompt):
            if row.record is None:
                raise DataError([Fault(file, row.line, row.fault or "not a prompt.")])
            self.prompts[row.record.id] = row.record
            self.lines[row.record.id] = row.line

    def item(self, key: str, responses: tuple[Response, ...]) -> NewItem:
        """One item of a prompt and its responses."""
        name = responses[0].prompt_id
        prompt = self.prompts.get(name)
        if prompt is None:
            message = f"there is no prompt {name!r}, which response {responses[0].id!r} answers."
            raise DataError([Fault(self.file, None, message)])
        where = Fault(self.file, self.lines[name], "")
        try:
            images = tuple(
                NewImage(
                    find_picture(self.file.parent, ref.path, outside=self.outside),
                    Path(ref.path).name,
                )
                for ref in prompt.images
            )
        except RowError as fault:
            raise DataError([where._replace(message=str(fault))]) from fault
        texts = tuple(response.model_dump(mode="json") for response in responses)
        return NewItem(key, images, prompt.model_dump(mode="json"), texts, where=where)


def run_items(
    folder: Path, task: Task, *, prompts: Path | None, outside: bool
) -> Iterator[Callable[[], NewItem]]:
    """What makes the items of one run: one per response, or per prompt with two samples."""
    found, responses = _run(folder, prompts=prompts, outside=outside)
    if task != "compare":
        for response in responses:
            if response.text.strip():
                yield partial(found.item, response.id, (response,))
        return
    pairs = 0
    for name, group in groupby(responses, key=lambda response: response.prompt_id):
        samples = [response for response in group if response.text.strip()]
        second = next((one for one in samples[1:] if one.text != samples[0].text), None)
        if second is not None:
            pairs += 1
            yield partial(found.item, name, (samples[0], second))
    if not pairs:
        raise ConfigError(
            f"No prompt of `{folder}` has two different responses to compare. Generate with "
            "num_samples=2 and a temperature, or name a second run."
        )


def run_pair_items(
    first: Path, second: Path, *, prompts: Path | None, outside: bool
) -> Iterator[Callable[[], NewItem]]:
    """What makes items that set two runs side by side; equal answers are left out."""
    found, ones = _run(first, prompts=prompts, outside=outside)
    _, others = _run(second, prompts=prompts or found.file, outside=outside)
    by_prompt: dict[str, Response] = {}
    for response in others:
        by_prompt.setdefault(response.prompt_id, response)
    matched = 0
    for name, group in groupby(ones, key=lambda response: response.prompt_id):
        one, other = next(group), by_prompt.get(name)
        if other is not None:
            matched += 1
            if one.text != other.text and one.text.strip() and other.text.strip():
                other = other.model_copy(update={"id": f"{other.id}@second"})
                yield partial(found.item, name, (one, other))
    if not matched:
        raise ConfigError(
            f"`{first}` and `{second}` have no prompt in common. Answer the same prompts twice."
        )


def comparison_items(folder: Path, *, outside: bool) -> Iterator[Callable[[], NewItem]]:
    """What makes items of comparisons: each pair is judged anew, earlier choices are hidden."""
    found = _Prompts(folder / PROMPTS_FILE, outside=outside)
    responses = {one.id: one for one in read_records(folder / RESPONSES_FILE, Response)}
    seen: set[tuple[str, ...]] = set()
    for row in read_records(folder / COMPARISONS_FILE, Comparison):
        pair = tuple(sorted(row.response_ids))
        if pair in seen:
            continue
        seen.add(pair)
        missing = [name for name in pair if name not in responses]
        if missing:
            message = f"comparison {row.id!r}: there is no response {missing[0]!r}."
            raise DataError([Fault(folder / COMPARISONS_FILE, None, message)])
        yield partial(found.item, "|".join(pair), (responses[pair[0]], responses[pair[1]]))


def _run(folder: Path, *, prompts: Path | None, outside: bool) -> tuple[_Prompts, list[Response]]:
    file = folder / RESPONSES_FILE
    if not file.is_file():
        raise ConfigError(f"`{folder}` has no {RESPONSES_FILE}: it is not a run of generate.")
    found = find_run_prompts(folder, prompts)
    responses = read_records(file, Response)
    return _Prompts(found.file, outside=outside or found.outside), responses

"""A benchmark's questions as prompts: worded as the preset says, each with its image, before any model is loaded."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from veridical.errors import ConfigError, DataError, Fault
from veridical.evaluation.recipe import BenchmarkSettings
from veridical.files import hash_file, write_text_atomically
from veridical.records import NO_IMAGE, ImageRef, Prompt, Response
from veridical.scoring.protocol import AnyBenchmark, BenchmarkPrompt, Files, Preset

_SUFFIXES = ("", ".jpg", ".png", ".jpeg")


class Round(NamedTuple):
    """A benchmark asked in one way."""

    label: str
    """What tells it from the benchmark's other rounds; empty where there is one."""
    preset: Preset
    """Words and decoding."""
    seed: int
    """Of the sampling."""


def rounds(
    settings: BenchmarkSettings, benchmark: AnyBenchmark, seeds: Sequence[int]
) -> list[Round]:
    """The ways in which a benchmark is asked: every template with every seed; greedy answers need no second seed.

    Raises:
        ConfigError: There is no such preset.
    """
    preset = _preset(settings, benchmark)
    used = seeds if preset.temperature > 0 else seeds[:1]
    templates = settings.templates or (preset.template,)
    found = []
    for number, template in enumerate(templates, start=1):
        for seed in used:
            parts = [f"template {number}"] if len(templates) > 1 else []
            parts += [f"seed {seed}"] if len(used) > 1 else []
            found.append(Round(", ".join(parts), preset._replace(template=template), seed))
    return found


def _preset(settings: BenchmarkSettings, benchmark: AnyBenchmark) -> Preset:
    known = benchmark.card.presets
    if settings.preset and settings.preset not in known:
        raise ConfigError(
            f"The benchmark {benchmark.name!r} has no preset {settings.preset!r}. It has:"
            f" {', '.join(known) or 'none'}."
        )
    first = next(iter(known.values()), Preset("The question alone; greedy."))
    given = {name: getattr(settings, name) for name in ("temperature", "top_p", "max_new_tokens")}
    chosen = known[settings.preset] if settings.preset else first
    return chosen._replace(**{name: value for name, value in given.items() if value is not None})


def ask(settings: BenchmarkSettings, benchmark: AnyBenchmark) -> list[BenchmarkPrompt]:
    """The benchmark's questions.

    Raises:
        ConfigError: It asks none.
        DataError: All faults of its files.
    """
    files = Files(questions=settings.questions, reference=settings.reference)
    asked = benchmark.questions(files)
    names = [one.id for one in asked]
    doubles = (
        sorted({name for name in names if names.count(name) > 1})
        if len(set(names)) < len(names)
        else []
    )
    if doubles:
        path = settings.questions or settings.reference or Path(settings.label)
        raise DataError(
            [Fault(path, None, f"id {doubles[0]!r} is asked twice. Give each question its own id.")]
        )
    return asked


def make_prompts(
    asked: Sequence[BenchmarkPrompt], settings: BenchmarkSettings, template: str
) -> list[Prompt]:
    """Word the questions and find their images.

    Raises:
        DataError: Images are not there, all of them at once.
    """
    folder = image_folder(settings)
    faults: list[Fault] = []
    found: dict[str | None, ImageRef] = {None: NO_IMAGE}
    for one in {one.image: one for one in asked}.values():
        if one.image is None:
            continue
        path = find_image(folder, one.image)
        if path is None:
            message = (
                f"no image {one.image!r} for question {one.id}. Set `images` to the folder that"
                " holds it."
            )
            faults.append(Fault(folder, None, message))
        else:
            found[one.image] = ImageRef(path=str(path.absolute()), sha256=hash_file(path))
    if faults:
        raise DataError(faults)
    return [
        Prompt(
            id=one.id,
            image=found[one.image],
            question=template.replace("{question}", one.text),
            task=settings.benchmark,
        )
        for one in asked
    ]


def image_folder(settings: BenchmarkSettings) -> Path:
    """Where a benchmark's images lie."""
    if settings.images is not None:
        return settings.images
    beside = settings.questions or settings.reference or Path()
    return beside if beside.is_dir() else beside.parent


def find_image(folder: Path, name: str) -> Path | None:
    """The file of an image that is told by file name, address or COCO id."""
    plain = PurePosixPath(name.partition("?")[0]).name if "://" in name else name
    stems = [plain]
    if plain.isdigit():
        stems += [
            f"COCO_val2014_{int(plain):012d}",
            f"COCO_train2014_{int(plain):012d}",
            f"{int(plain):012d}",
        ]
    candidates = (
        folder / part / f"{stem}{suffix}"
        for part in ("", "images")
        for stem in stems
        for suffix in _SUFFIXES
    )
    return next((path for path in candidates if path.is_file()), None)


def write_answers(
    path: Path,
    benchmark: AnyBenchmark,
    asked: Sequence[BenchmarkPrompt],
    responses: Sequence[Response],
) -> Path:
    """Write answers as the benchmark's file of responses: JSON lines, in the order of the questions."""
    said = {response.prompt_id: response for response in responses}
    rows: list[Mapping[str, Any]] = []
    for one in asked:
        response = said[one.id]
        rows.append({**one.row, benchmark.answer_field: response.text, "finish": response.finish})
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    return write_text_atomically(path, "\n".join(lines) + "\n")

"""A benchmark's questions as prompts, each with its image; all checked before a model is loaded."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from veridical.errors import ConfigError, DataError, Fault
from veridical.evaluation.recipe import BenchmarkSettings
from veridical.files import hash_file, write_json_atomically, write_text_atomically
from veridical.progress import track
from veridical.records import NO_IMAGE, ImageRef, Prompt, Response
from veridical.records.images import recorded_image_fault
from veridical.scoring.protocol import AnyBenchmark, BenchmarkPrompt, Files, Preset

_SUFFIXES = ("", ".jpg", ".png", ".jpeg")


class Trial(NamedTuple):
    """One way in which a benchmark is asked: a template and a seed."""

    label: str
    """What distinguishes it from the benchmark's other trials; empty if there is only one."""
    preset: Preset
    """Template and decoding."""
    seed: int
    """Seed of the sampling."""


def plan_trials(
    settings: BenchmarkSettings, benchmark: AnyBenchmark, seeds: Sequence[int]
) -> list[Trial]:
    """Combine every template with every seed; greedy answers need only one seed.

    Raises:
        ConfigError: There is no such preset.
    """
    preset = _preset(settings, benchmark)
    used = seeds if preset.temperature > 0 else seeds[:1]
    templates = settings.templates or (preset.template,)
    trials = []
    for number, template in enumerate(templates, start=1):
        for seed in used:
            parts = [f"template {number}"] if len(templates) > 1 else []
            parts += [f"seed {seed}"] if len(used) > 1 else []
            trials.append(Trial(", ".join(parts), preset._replace(template=template), seed))
    return trials


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


def read_questions(settings: BenchmarkSettings, benchmark: AnyBenchmark) -> list[BenchmarkPrompt]:
    """Read the benchmark's questions.

    Raises:
        ConfigError: A file that it needs is not named, or it asks no questions.
        DataError: All faults of its files.
    """
    _check_data_named(settings, benchmark)
    files = Files(questions=settings.questions, reference=settings.reference)
    questions = benchmark.questions(files)
    doubles = sorted(k for k, n in Counter(one.id for one in questions).items() if n > 1)
    if doubles:
        path = settings.questions or settings.reference or Path(settings.label)
        message = f"id {doubles[0]!r} is asked twice. Give each question its own id."
        raise DataError([Fault(path, None, message)])
    return questions


def _check_data_named(settings: BenchmarkSettings, benchmark: AnyBenchmark) -> None:
    given = {"questions": settings.questions, "reference": settings.reference}
    for role, spec in benchmark.card.inputs.items():
        if spec.required and role in given and given[role] is None:
            raise ConfigError(
                f"The benchmark {settings.label!r} needs `{role}`: {spec.meaning}."
                f" {benchmark.card.data}"
            )


class CheckedImages:
    """Images that were decoded whole once, by their hashes, so that a rerun need not do it again.

    Args:
        file: Where the hashes are kept.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            kept = json.loads(file.read_text(encoding="utf-8"))
            self._known = {one for one in kept if isinstance(one, str)}
        except (OSError, ValueError, TypeError):
            self._known = set()
        self._kept = len(self._known)

    def fault(self, image: ImageRef, *, folder: Path, outside: bool) -> str:
        """What is wrong with an image; nothing where it was decoded before and may be read."""
        if image.sha256 in self._known and (outside or _lies_in(folder, Path(image.path))):
            return ""
        problem = recorded_image_fault(image, root=folder, outside=outside)
        if problem is None and image.sha256 is not None:
            self._known.add(image.sha256)
        return problem or ""

    def save(self) -> None:
        """Keep what was found out."""
        if len(self._known) > self._kept:
            write_json_atomically(self._file, sorted(self._known))


def _lies_in(folder: Path, path: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def find_images(
    questions: Sequence[BenchmarkPrompt], settings: BenchmarkSettings, checked: CheckedImages
) -> dict[str | None, ImageRef]:
    """Find the image of every question, by the name that the benchmark gives it.

    Raises:
        DataError: Images are missing, broken or outside of the folder; all of them at once.
    """
    folder = image_folder(settings)
    faults: list[Fault] = []
    found: dict[str | None, ImageRef] = {None: NO_IMAGE}
    named = {one.image: one for one in reversed(questions) if one.image is not None}  # the first
    for name, question in track(named.items(), label="check images", total=len(named)):
        path = find_image(folder, name)
        if path is None:
            problem = f"no image {name!r}. Set `images` to the folder that holds it."
        else:
            found[name] = ImageRef(path=str(path.absolute()), sha256=hash_file(path))
            outside = settings.images_outside
            problem = checked.fault(found[name], folder=folder, outside=outside)
        if problem:
            faults.append(Fault(folder, None, f"question {question.id}: {problem}"))
    if faults:
        raise DataError(faults)
    return found


def build_prompts(
    questions: Sequence[BenchmarkPrompt],
    images: dict[str | None, ImageRef],
    settings: BenchmarkSettings,
    template: str,
) -> list[Prompt]:
    """Word the questions by a template."""
    return [
        Prompt(
            id=one.id,
            image=images[one.image],
            question=template.replace("{question}", one.text),
            task=settings.benchmark,
        )
        for one in questions
    ]


def image_folder(settings: BenchmarkSettings) -> Path:
    """The folder of a benchmark's images."""
    if settings.images is not None:
        return settings.images
    data = settings.questions or settings.reference or Path()
    return data if data.is_dir() else data.parent


def find_image(folder: Path, name: str) -> Path | None:
    """The file of an image that is given by file name, URL or COCO id."""
    plain = PurePosixPath(name.partition("?")[0]).name if "://" in name else name
    if "\0" in plain:
        return None
    stems = [plain]
    if plain.isdecimal() and plain.isascii() and len(plain) <= 12:
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
    return next((path for path in candidates if _is_file(path)), None)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long for the system
        return False


def write_answers(
    path: Path,
    benchmark: AnyBenchmark,
    questions: Sequence[BenchmarkPrompt],
    responses: Sequence[Response],
) -> Path:
    """Write answers as the benchmark's file of responses: JSON lines, in the questions' order."""
    answers = {response.prompt_id: response for response in responses}
    lines = []
    for one in questions:
        response = answers[one.id]
        row = {**one.row, benchmark.answer_field: response.text, "finish": response.finish}
        lines.append(json.dumps(row, ensure_ascii=False))
    return write_text_atomically(path, "\n".join(lines) + "\n")

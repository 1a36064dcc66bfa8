"""Small studio projects for tests: drawn pictures, made-up answers, no model."""

import io
from pathlib import Path

from PIL import Image

from veridical.records import ImageRef, Prompt, Response, write_records
from veridical.studio.settings import StudioSettings
from veridical.studio.start import SourceOptions, init_studio

ANSWER = "The picture shows a red car and two knives on the left."


def picture(number: int = 0, size: tuple[int, int] = (40, 30)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, (number % 256, 80, number // 256)).save(stream, format="PNG")
    return stream.getvalue()


def write_run(folder: Path, answers: list[str], *, model: str = "secret-model") -> Path:
    """A folder as `veridical generate` leaves it, with the prompts inside."""
    (folder / "images").mkdir(parents=True)
    prompts, responses = [], []
    for number, text in enumerate(answers):
        (folder / "images" / f"{number}.png").write_bytes(picture(number))
        image = ImageRef(path=f"images/{number}.png")
        prompts.append(Prompt(id=f"p{number}", image=image, question=f"What is here, {number}?"))
        responses.append(
            Response(id=f"p{number}#0", prompt_id=f"p{number}", text=text, model=model)
        )
    write_records(folder / "prompts.jsonl", prompts, kind="Prompt")
    write_records(folder / "responses.jsonl", responses, kind="Response")
    return folder


def make_project(
    tmp_path: Path,
    task: str,
    answers: list[str],
    *,
    second: list[str] | None = None,
    url: str | None = None,
    extras=None,
    **settings,
):
    """A project of one task; settings default to one judgement per item and nothing drawn in."""
    chosen = {"overlap_share": 0.0, "gold_share": 0.0, "repeat_share": 0.0} | settings
    run = write_run(tmp_path / "run", answers)
    other = write_run(tmp_path / "other", second, model="other-model") if second else None
    options = SourceOptions(second=other, task=task, extras=extras)
    studio, _ = init_studio(
        tmp_path / "project",
        run,
        options,
        settings=StudioSettings(**chosen),
        database_url=url,
    )
    return studio

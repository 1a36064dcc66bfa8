"""Let a model answer a file of prompts and keep the answers as records, to be scored at any time.

The prompts are answered in shards of `save_every`; each is written when it is done, and an
interrupted run resumes after the last one. The answers do not depend on where it was interrupted.
"""

import json
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from pydantic import Field, model_validator

from veridical.config import write_recipe
from veridical.errors import ConfigError, DataError, Fault, ModelError, RowError
from veridical.evaluation.engines.hf import HfEngine
from veridical.evaluation.engines.make import make_engine
from veridical.evaluation.engines.protocol import Decoding, Engine
from veridical.evaluation.engines.settings import EngineSettings
from veridical.evaluation.shards import Shards
from veridical.files import (
    hash_bytes,
    hash_file,
    read_bytes,
    remove_leftovers,
    write_json_atomically,
    write_text_atomically,
)
from veridical.locks import locked
from veridical.progress import log
from veridical.records import (
    ImageRef,
    Prompt,
    Response,
    read_records,
    scan_records,
    write_records,
)
from veridical.records.images import open_image
from veridical.records.manifests import build_manifest
from veridical.seeding import child_seed

if TYPE_CHECKING:
    from PIL.Image import Image


_CLAIMS = "rests_on.json"
"""Hashes of what the folder's answers rest on: recipe with prompts, and the model's weights."""


class GenerateRecipe(EngineSettings):
    """Which model answers which prompts, and how."""

    prompts: Path
    """JSONL file of `Prompt` records; image paths in it are relative to its folder, an empty one
    asks without an image."""
    out: Path
    """Folder for `responses.jsonl`, `manifest.json` and `recipe.toml`; a server's answers are kept
    in its folder `endpoint`."""
    num_samples: int = Field(default=1, ge=1)
    """Responses per prompt. RLAIF-V draws 10 (arXiv 2405.17220)."""
    temperature: float = Field(default=0.0, ge=0)
    """Sampling temperature; 0 is greedy. RLAIF-V samples at 0.7."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Sample from the smallest set of tokens that holds this much probability."""
    max_new_tokens: int = Field(default=512, ge=1)
    """Longest response in tokens. RLAIF-V: 512."""
    batch_size: int = Field(default=16, ge=1)
    """Prompts at a time."""
    save_every: int = Field(default=64, ge=1)
    """Prompts between two saves; sampled responses depend on it, since each shard has a seed of its
    own."""
    limit: int = Field(default=0, ge=0)
    """Answer only the first so many prompts; 0 answers all."""
    seed: int = 0
    """Root seed of the sampling."""
    images_outside: bool = False
    """Accept images outside of the folder that holds the prompts."""

    @model_validator(mode="after")
    def _samples_differ(self) -> Self:
        if self.num_samples > 1 and self.temperature == 0:
            raise ValueError(
                "several greedy responses would all be the same: set a `temperature` above 0"
            )
        return self


class Generated(NamedTuple):
    """The result of `generate`."""

    path: Path
    """The file of responses."""
    responses: list[Response]
    """What it holds: prompts in their order, the samples of one next to each other."""


def generate(recipe: GenerateRecipe, *, skip_bad: bool = False) -> Generated:
    """Answer the prompts; resume where an earlier run of the same recipe stopped.

    Args:
        recipe: Model, prompts and settings.
        skip_bad: Leave out prompts that are not a valid record or whose image cannot be read, and
            list them in `prompts.bad.txt`.

    Raises:
        DataError: Faults of the prompts, all of them.
        ConfigError: The folder holds the answers of another recipe, or another process works in it.
        ModelError: The model does not load or cannot answer.
        StorageError: The disk refused.
    """
    with locked(recipe.out):
        remove_leftovers(recipe.out)
        return _generate(recipe, skip_bad=skip_bad)


def _generate(recipe: GenerateRecipe, *, skip_bad: bool) -> Generated:
    path = recipe.out / "responses.jsonl"
    inputs = {str(recipe.prompts): hash_file(recipe.prompts) if recipe.prompts.is_file() else ""}
    settings = recipe.model_dump_json(exclude={"out"})
    hashes = {"recipe": hash_bytes(f"{settings}{inputs}{skip_bad}".encode())}
    _check_claims(recipe.out, hashes)
    before = read_records(path, Response) if path.is_file() else []
    if before and not any(one.finish == "failed" for one in before):
        log(f"{path} is complete already.")
        return Generated(path, before)
    prompts = _read_prompts(recipe, skip_bad=skip_bad)
    write_recipe(recipe, recipe.out / "recipe.toml")
    _keep_prompts(recipe, prompts)
    started = time.perf_counter()
    shards = Shards(recipe.out, prompts, save_every=recipe.save_every)
    shards.reopen_failed()
    used: Mapping[str, object] = {}
    if shards.missing:
        engine, inputs["model"] = _load(recipe)
        claims = _check_claims(recipe.out, hashes | {"model": inputs["model"]})
        write_json_atomically(recipe.out / _CLAIMS, claims)
        shards.fill(partial(_answer, engine, recipe))
        used = engine.notes()
        engine.close()
    responses = shards.collect()
    cut, failed = (sum(one.finish == how for one in responses) for how in ("length", "failed"))
    if responses and failed == len(responses):
        raise ModelError(
            f"`{recipe.model}` answered none of {len(prompts)} prompts; see above why. Fix it and"
            " run the same command again."
        )
    manifest = build_manifest(
        verb="generate",
        seed=recipe.seed,
        recipe=recipe,
        inputs=inputs,
        seconds={"generate": time.perf_counter() - started},
        notes={
            "prompts": len(prompts),
            "responses": len(responses),
            "cut_at_length_limit": cut,
            "failed": failed,
            **used,
        },
    )
    write_json_atomically(recipe.out / "manifest.json", manifest.model_dump(mode="json"))
    shards.finish(responses)
    return Generated(path, responses)


def _keep_prompts(recipe: GenerateRecipe, prompts: Sequence[Prompt]) -> None:
    """Write the prompts next to their responses, so that a folder says what was asked of what."""
    kept, root = recipe.out.absolute() / "prompts.jsonl", recipe.prompts.absolute().parent
    if kept == recipe.prompts.absolute():
        return
    folder = kept.parent

    def moved(image: ImageRef) -> ImageRef:
        path = root / image.path
        near = path.relative_to(folder) if path.is_relative_to(folder) else path
        return image.model_copy(update={"path": near.as_posix()})

    rows = [prompt.with_images(list(map(moved, prompt.images))) for prompt in prompts]
    write_records(kept, rows, kind="Prompt")


def _check_claims(folder: Path, hashes: Mapping[str, str]) -> dict[str, str]:
    """Refuse a folder whose answers rest on something else; return its claims with ours added."""
    file = folder / _CLAIMS
    try:
        claims: dict[str, str] = json.loads(read_bytes(file)) if file.is_file() else {}
    except ValueError as error:
        raise ConfigError(
            f"`{file}` was changed: {error}. Choose another `out`, or remove that folder."
        ) from error
    for what, value in hashes.items():
        if claims.setdefault(what, value) != value:
            raise ConfigError(
                f"`{folder}` holds answers that rest on another {what}, or on one that has changed"
                " since. Choose another `out`, or remove that folder."
            )
    return claims


def _read_prompts(recipe: GenerateRecipe, *, skip_bad: bool) -> list[Prompt]:
    """Read the prompts and look at every image, so that faults show before the model is loaded."""
    rows = list(scan_records(recipe.prompts, Prompt))
    good: list[Prompt] = []
    faults: list[Fault] = []
    for row in rows[: recipe.limit or None]:
        message = row.fault
        if row.record is not None:
            try:
                _open(recipe, row.record)
            except RowError as fault:
                message = str(fault)
            else:
                good.append(row.record)
        if message is not None:
            faults.append(Fault(recipe.prompts, row.line, message))
    if faults and not skip_bad:
        raise DataError(faults, advice="Fix these lines, or leave them out with --skip-bad.")
    if faults:
        kept = recipe.out / "prompts.bad.txt"
        write_text_atomically(kept, "\n".join(map(str, faults)) + "\n")
        log(
            f"{len(faults)} bad {'prompt' if len(faults) == 1 else 'prompts'} left out, listed in"
            f" {kept}"
        )
    if not good:
        raise DataError(
            [Fault(recipe.prompts, None, "no prompt to answer. Give a file of `Prompt` records.")]
        )
    return good


def _open(recipe: GenerateRecipe, prompt: Prompt) -> list["Image"]:
    """The prompt's images."""
    root = recipe.prompts.absolute().parent
    return [open_image(ref, root=root, outside=recipe.images_outside) for ref in prompt.images]


def _load(recipe: GenerateRecipe) -> tuple[Engine, str]:
    """Make the engine; give what its answers rest on too."""
    engine = make_engine(recipe, batch_size=recipe.batch_size, cache=recipe.out / "endpoint")
    return engine, engine.weights_hash() if isinstance(engine, HfEngine) else engine.identity


def _answer(
    engine: Engine, recipe: GenerateRecipe, prompts: Sequence[Prompt], start: int
) -> list[Response]:
    decoding = Decoding(recipe.max_new_tokens, recipe.temperature, recipe.top_p, recipe.num_samples)
    root = recipe.prompts.absolute().parent
    placed = [prompt.with_absolute_images(root) for prompt in prompts]
    return engine.answer(placed, decoding, seed=child_seed(recipe.seed, "generate", start))

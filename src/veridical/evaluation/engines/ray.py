"""Ray Data: many workers on one machine or a cluster, each with an engine of its own.

Prompts go out in blocks whose seeds and rows are known beforehand, so that a block that is answered
again, on another worker or after one was killed, gives the same responses; they are put together by
row, none lost and none doubled. Each shard of `save_every` prompts is one job.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from veridical.errors import MissingPackageError, ModelError
from veridical.evaluation.engines.protocol import Decoding, Engine
from veridical.evaluation.engines.settings import EngineSettings
from veridical.files import JsonObject
from veridical.progress import log
from veridical.records import Prompt, Response
from veridical.seeding import child_seed


class RayEngine:
    """Answers by workers that Ray starts when the first prompt comes.

    Args:
        settings: The model, and what each worker runs it with.
        inner: The engine that each worker makes; here it only says what its answers rest on.
        batch_size: Prompts of a block.
        name: What answers are marked with. Empty: the model's own name.

    Raises:
        MissingPackageError: Ray is not installed.
    """

    def __init__(
        self, settings: EngineSettings, *, inner: Engine, batch_size: int, name: str = ""
    ) -> None:
        from importlib.util import find_spec

        if find_spec("ray") is None:
            raise MissingPackageError("ray", extra="ray", purpose='engine = "ray"')
        self._settings, self._inner = settings, inner
        self._batch_size, self._name = batch_size, name

    @property
    def identity(self) -> str:
        """What the answers of each worker rest on."""
        return self._inner.identity

    def answer(self, prompts: Sequence[Prompt], decoding: Decoding, *, seed: int) -> list[Response]:
        """Let the workers answer the prompts, in blocks.

        Raises:
            ModelError: A block failed on a worker, or was not answered exactly.
        """
        starts = range(0, len(prompts), self._batch_size)
        blocks = [
            {
                "start": start,
                "prompts": [
                    one.model_dump_json() for one in prompts[start : start + self._batch_size]
                ],
            }
            for start in starts
        ]
        answered: dict[int, list[Response]] = {}
        for row in self._run(blocks, decoding, seed):
            answered.setdefault(
                int(row["start"]), [Response.model_validate_json(one) for one in row["responses"]]
            )
        responses = [one for start in starts for one in answered.get(start, [])]
        expected = [one.id for one in prompts for _ in range(decoding.num_samples)]
        if [one.prompt_id for one in responses] != expected:
            raise ModelError(
                f"Ray gave {len(responses)} responses where {len(expected)} were asked for. What"
                " was saved before is kept; run the same command again."
            )
        return responses

    def notes(self) -> Mapping[str, object]:
        """How many workers there were."""
        return {"ray_workers": self._settings.ray.workers}

    def close(self) -> None:
        """Leave the cluster, or stop the one that was started here."""
        import ray

        if ray.is_initialized():
            ray.shutdown()

    def _run(self, blocks: list[JsonObject], decoding: Decoding, seed: int) -> list[JsonObject]:
        import ray
        from ray.data import ActorPoolStrategy, DataContext, from_items
        from ray.exceptions import RayError

        section = self._settings.ray
        if not ray.is_initialized():
            _start(self._settings)
        DataContext.get_current().enable_progress_bars = False
        given = {
            "settings": self._settings.inner().model_dump_json(),
            "batch_size": self._batch_size,
            "name": self._name,
            "decoding": tuple(decoding),
            "seed": seed,
        }
        try:
            rows: list[JsonObject] = (
                from_items(blocks, override_num_blocks=len(blocks))
                .map(
                    _Worker,
                    fn_constructor_kwargs=given,
                    compute=ActorPoolStrategy(size=min(section.workers, len(blocks))),
                    num_cpus=section.cpus,
                    num_gpus=section.gpus or None,
                )
                .take_all()
            )
        except RayError as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise ModelError(
                f"A worker of Ray failed: {lines[-1][:300]}. What was saved before is kept; run the"
                " same command again."
            ) from error
        return rows


class _Worker:
    """One worker: an engine, and the blocks that Ray sends it."""

    def __init__(
        self,
        settings: str,
        batch_size: int,
        name: str,
        decoding: tuple[Any, ...],
        seed: int,
    ) -> None:
        from pathlib import Path
        from tempfile import TemporaryDirectory

        from veridical.evaluation.engines.make import make_engine

        # A server's answers are kept by shard, once that is whole; a worker's own cache may go.
        self._folder = TemporaryDirectory(prefix="veridical-")
        cache = Path(self._folder.name)
        inner = EngineSettings.model_validate(json.loads(settings))
        self._engine = make_engine(inner, batch_size=batch_size, cache=cache, name=name)
        self._decoding, self._seed = Decoding(*decoding), seed

    def __call__(self, row: JsonObject) -> JsonObject:
        prompts = [Prompt.model_validate_json(one) for one in row["prompts"]]
        seed = child_seed(self._seed, "block", int(row["start"]))
        responses = self._engine.answer(prompts, self._decoding, seed=seed)
        return {
            "start": row["start"],
            "responses": [response.model_dump_json() for response in responses],
        }


def _start(settings: EngineSettings) -> None:
    """Join the cluster that the recipe names, or start one on this machine."""
    import ray

    section = settings.ray
    if section.address:
        ray.init(address=section.address, log_to_driver=False)
        return
    log(
        f"Starting Ray on this machine with {section.workers} workers. Its processes listen on all"
        " network interfaces; keep them behind a firewall."
    )
    ray.init(
        num_cpus=max(1, round(section.workers * section.cpus)) + 1,
        include_dashboard=False,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
    )

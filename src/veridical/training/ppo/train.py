"""PPO against a reward: LLaVA-RLHF's third stage, and alternatives to its advantages.

Papers: PPO, arXiv 1707.06347; LLaVA-RLHF (Fact-RLHF), arXiv 2309.14525. A rollout samples K
responses to each encoded prompt, lets policy, reference and value score them over the same
branches, rewards them, and is learnt from for a few passes; then comes the next.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from veridical.errors import ConfigError
from veridical.feedback.pairs import HasImages
from veridical.files import read_jsonl_rows, write_json_atomically
from veridical.progress import counted, log
from veridical.records import Prompt
from veridical.rewards.protocol import AnyReward, reward_name
from veridical.training.ppo.config import PpoRecipe
from veridical.training.ppo.diagnostics import find_warnings, hacking_warning
from veridical.training.ppo.engines.hf import HfEngine
from veridical.training.ppo.engines.protocol import RolloutEngine
from veridical.training.ppo.held_out import (
    HELD_OUT,
    HeldOutPrompt,
    hacking_at,
    measure_held_out,
    measurements_of,
)
from veridical.training.ppo.memory import memory_report
from veridical.training.ppo.prompts import PpoPrompt, encode_prompts, read_prompts
from veridical.training.ppo.rewards import (
    build_judge,
    build_reward,
    count_without_facts,
    leave_out_unrewardable,
)
from veridical.training.ppo.roles import Roles, build_roles
from veridical.training.ppo.rollouts import RolloutCollector
from veridical.training.ppo.trainer import PpoTrainer
from veridical.training.run.choice import ChoiceRule, hold_out, latest
from veridical.training.run.directory import METRICS_FILE
from veridical.training.run.frame import FEATURES, Method, Prepared, Run, RunResult, run_training
from veridical.training.run.in_memory import Examples, place_in_memory
from veridical.training.run.loop import Course
from veridical.training.run.team.sharding import check_pictures
from veridical.training.run.team.work import here, on_first
from veridical.training.run.trained_model import mixed_precision, precision_name, weights_name

__all__ = ["HELD_OUT", "HeldOutPrompt", "measure_held_out", "train_ppo"]

Prompts = dict[str, list[PpoPrompt]]
P = TypeVar("P", bound=HasImages)


def train_ppo(
    recipe: PpoRecipe,
    run_dir: Path | str,
    *,
    data: Examples | None = None,
    resume: bool = False,
    reward: AnyReward | None = None,
    judge: AnyReward | None = None,
    engine: RolloutEngine | None = None,
    choose: ChoiceRule | None = None,
) -> RunResult:
    """Train a policy by PPO.

    Args:
        recipe: What to train, on what, how.
        run_dir: Where everything goes; must be new, unless `resume`.
        data: What is answered, in place of `recipe.data.prompts`: the rows of a `datasets.Dataset`
            or of any other iterable, with TRL's fields `prompt` and `image` or `images`, and
            `facts`, `reference` and `task` for rewards that read them; or `Prompt` records.
            Images are PIL images, bytes or paths. It is written into `run_dir/data`.
        resume: Resume the run in `run_dir`; gives the same weights as without the interruption.
        reward: What responses are rewarded by; by default what the recipe says (reward model and
            rules). Any function from `Candidate`s to one number each, in their order, for example
            `lambda candidates: [-float(c.tokens) for c in candidates]`. It must give the same for
            the same responses; NaN leaves a response out.
        judge: Another such function that rates held-out responses: an exact judge, say; by
            default the recipe's second reward model, where it names one.
        engine: Who samples; by default the trained model itself.
        choose: How the checkpoint is chosen; by default the last one.

    Raises:
        ConfigError: `run_dir` holds a run already, or one of another recipe; or the recipe gives no
            rollout.
        DataError: Prompts that cannot be answered or rewarded, all of them, each with file and
            line.
        ModelError: The model cannot be trained so, or no response gets a reward.
        StorageError: The disk refused.
    """
    method = Method[PpoRecipe](
        verb="train ppo",
        seed=recipe.train.seed,
        stream="adapter",
        weights=weights_name(recipe.model),
        prepare=lambda run: _prepare(run, reward=reward, judge=judge, engine=engine, choose=choose),
        data_field="prompts",
        place=place_in_memory(data, field="prompts", file="prompts.jsonl", judged_by="human"),
        no_shards="PPO samples from the model, which must be whole for it: start without FSDP",
    )
    return run_training(recipe, run_dir, method, resume=resume)


def _prepare(
    run: Run[PpoRecipe],
    *,
    reward: AnyReward | None,
    judge: AnyReward | None,
    engine: RolloutEngine | None,
    choose: ChoiceRule | None,
) -> Prepared:
    recipe, clock = run.recipe, run.clock
    precision = precision_name(bf16=recipe.train.bf16)
    read = _read(recipe, run.folder)
    clock.lap("reading")
    roles = build_roles(recipe, cache=run.cache(recipe.train.cache) / f"{FEATURES}-{precision}")
    run.check_base(recipe.model.base, roles.base_hash)
    clock.lap("loading")
    reward = reward or build_reward(roles, recipe)
    judge = judge or build_judge(roles, recipe)
    prompts = _encode(read, roles, reward, recipe, run.folder)
    pictureless = sum(not one.images for one in prompts["train"])
    check_pictures(roles.vlm.model, pictureless=pictureless)
    without_facts = count_without_facts([one for part in prompts.values() for one in part], reward)
    iterations = _count_rollouts(recipe, len(prompts["train"]))
    clock.lap("encoding")
    _report_memory(roles, recipe, prompts["train"], run.folder)
    engine = engine or _make_engine(roles, recipe, run.folder)
    collector = RolloutCollector(roles, engine, reward, recipe)
    looks = measurements_of(iterations, every=recipe.train.evaluation_iterations)

    def measure(step: int) -> dict[str, float]:
        metrics = measure_held_out(
            collector, prompts["held out"], judge, keep=run.folder / HELD_OUT / f"{step:06d}.jsonl"
        )
        for warned in on_first(lambda: _hacking(run.folder, step, metrics, looks)):
            log(f"Warning: {warned}")
        return metrics

    trainer = PpoTrainer(
        roles,
        collector,
        prompts["train"],
        Course(
            recipe.train.for_the_loop(steps_per_iteration=recipe.steps_per_iteration),
            run.folder,
            choose or latest(),
        ),
        recipe=recipe,
        iterations=iterations,
        measure=measure,
    )

    def finish() -> Mapping[str, object]:
        rows = [row.value for row in read_jsonl_rows(run.folder / METRICS_FILE)]
        history = [row for row in rows if isinstance(row, dict)]
        warned = [str(one) for one in find_warnings(history)]
        for text in warned:
            log(f"Warning: {text}")
        last = trainer.progress.candidates[-1]
        # These were logged when they were measured.
        warned += _hacking(run.folder, last.step, last.metrics, looks)
        roles.detach_head()
        roles.save(run.folder)
        return {
            "iterations": iterations,
            "prompts": {name: len(rows) for name, rows in prompts.items()},
            "prompts_without_facts": without_facts,
            "excluded_responses": int(sum(row.get("excluded", 0) for row in history)),
            "warnings": warned,
            "reward": reward_name(reward),
            "judge": reward_name(judge) if judge is not None else None,
        }

    return Prepared(trainer, finish)


def _make_engine(roles: Roles, recipe: PpoRecipe, folder: Path) -> RolloutEngine:
    if recipe.rollout.engine == "vllm" and here().world > 1:
        raise ConfigError(
            f'rollout.engine = "vllm" samples in one process, got {here().world}. Set it to "hf",'
            " which shares the prompts among them, or start one process."
        )
    if recipe.rollout.engine == "vllm":
        from veridical.training.ppo.engines.vllm import VllmRollouts

        return VllmRollouts(roles, recipe, folder / "rollout_adapter")
    return HfEngine(roles, recipe.rollout, bf16=recipe.train.bf16)


def _count_rollouts(recipe: PpoRecipe, prompts: int) -> int:
    count = recipe.train.iterations or recipe.train.epochs * prompts // recipe.rollout.prompts
    if not count:
        raise ConfigError(
            f"{counted(prompts, 'prompt')}, {recipe.train.epochs} times, give no rollout of"
            f" {recipe.rollout.prompts}. Set train.iterations, a smaller rollout.prompts, or more"
            " epochs."
        )
    return count


def _report_memory(
    roles: Roles, recipe: PpoRecipe, prompts: Sequence[PpoPrompt], run_dir: Path
) -> None:
    """Estimate what the run holds in memory; log it and keep it in `memory.json`."""
    typical = sum(one.encoded.prompt["input_ids"].shape[1] for one in prompts) // len(prompts)
    report = memory_report(roles, recipe, prompt_tokens=typical)
    for line in report.lines():
        log(line)
    if not here().is_first:
        return
    write_json_atomically(
        run_dir / "memory.json",
        {
            **report._asdict(),
            "roles": [one._asdict() for one in report.roles],
            "share": report.share,
            "four_copies": [one._asdict() for one in report.four_copies],
        },
    )


def _hacking(run_dir: Path, step: int, metrics: Mapping[str, float], looks: int) -> list[str]:
    """What the measurement of a step warns of, where there is a judge."""
    if not step or "judge" not in metrics:
        return []
    found = hacking_at(run_dir, step, kl=metrics["kl"], looks=looks)
    return [] if found is None else [str(hacking_warning(found))]


def _read(recipe: PpoRecipe, run_dir: Path) -> dict[str, list[Prompt]]:
    """The prompts of each file; what no model could change is checked before one is loaded."""
    data = recipe.data
    read = {data.prompts: read_prompts(data.prompts, data, run_dir=run_dir)}
    if data.held_out:
        read[data.held_out] = read_prompts(data.held_out, data, run_dir=run_dir)
        _count_rollouts(recipe, len(read[data.prompts]))
    else:
        _count_rollouts(recipe, len(_split(read[data.prompts], recipe)[0]))
    return read


def _split(prompts: Sequence[P], recipe: PpoRecipe) -> tuple[list[P], list[P]]:
    share = recipe.data.held_out_fraction
    return hold_out(prompts, share, setting="data.held_out_fraction", seed=recipe.train.seed)


def _encode(
    read: Mapping[str, Sequence[Prompt]],
    roles: Roles,
    reward: AnyReward,
    recipe: PpoRecipe,
    run_dir: Path,
) -> Prompts:
    data, room = recipe.data, recipe.rollout.max_new_tokens

    def encode(file: str) -> list[PpoPrompt]:
        found = encode_prompts(
            read[file], file, roles.vlm, roles.features, data, room=room, run_dir=run_dir
        )
        return leave_out_unrewardable(
            found,
            file,
            reward,
            room=room,
            skip_bad=data.skip_bad,
            quarantine=run_dir / f"unrewardable_{Path(file).stem}.jsonl",
        )

    with mixed_precision(roles.vlm, bf16=recipe.train.bf16)():
        prompts = encode(data.prompts)
        if data.held_out:
            return {"train": prompts, "held out": encode(data.held_out)}
    learnt, kept = _split(prompts, recipe)
    return {"train": learnt, "held out": kept}

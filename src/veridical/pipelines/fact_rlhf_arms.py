"""The arms of the Fact-RLHF loop: reward models, policies, best-of-n and dense DPO, each by its usual recipe."""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from PIL.Image import Image

from veridical.config import load_recipe
from veridical.evaluation.reward_model import HeldOutRow, read_held_out, report_rewards
from veridical.evaluation.statistics import mcnemar, wilson
from veridical.evaluation.world import WorldEvaluation, compare_world, pool_evaluations, score_world, write_evaluation
from veridical.evaluation.world_benchmark import WorldItem
from veridical.feedback.comparisons import read_compared_pairs
from veridical.models.features import FeatureCache
from veridical.models.generation import generate_responses
from veridical.models.loading import VisionLanguageModel
from veridical.pipelines.reward import train_reward
from veridical.records import Difference, Metric, Prompt, Response, read_records
from veridical.report.fact_rlhf_inputs import Dependence
from veridical.report.fact_rlhf_results import ArmTest
from veridical.rewards.layout import RewardQuery
from veridical.rewards.learned import LearnedReward
from veridical.rewards.model import RewardModel
from veridical.rewards.protocol import Candidate, RewardFunction
from veridical.training.choice import latest
from veridical.training.ppo import train_ppo
from veridical.training.ppo_config import PpoRecipe
from veridical.training.preference import train_dpo
from veridical.training.preference_config import PreferenceRecipe
from veridical.training.reward import HELD_OUT_FILE
from veridical.training.reward_config import RewardRecipe
from veridical.training.run_directory import RunResult
from veridical.world.known_facts import FactsModel, known_facts
from veridical.world.scenes import Scene, render

RECIPES = Path(__file__).resolve().parent.parent / "recipes"
COMPARED_METRICS = ("hallucination_rate", "object_coverage", "mean_length", "yes_no_f1", "mmhal_score")
"""Metrics on which arms are tested against each other."""
_MAX_NEW_TOKENS = 96
_SHARES = (0.0, 0.25, 0.5, 1.0)
_SCENES_AT_ONCE = 256


class RewardModels(NamedTuple):
    """The two reward models of a seed, trained on the same comparisons."""

    without_facts: RunResult
    """It sees no facts: plain RLHF."""
    with_facts: RunResult
    """It reads them: Fact-RLHF."""

    def rows(self) -> tuple[list[HeldOutRow], list[HeldOutRow]]:
        """Held-out comparisons with the rewards of either."""
        first, second = (read_held_out(run.run_dir / HELD_OUT_FILE) for run in self)
        return first, second

    def metrics(self) -> dict[str, dict[str, Metric]]:
        """Accuracy of either on the held-out comparisons, and with facts or image taken away."""
        found = {}
        for name, rows in zip(self._fields, self.rows(), strict=True):
            report = report_rewards(rows)
            leaks = {
                f"accuracy/{condition}": Metric.model_validate(one["accuracy"])
                for condition, one in report.text["leak_check"].items()
                if condition != "intact"
            }
            found[name] = {"accuracy": report.accuracy, **leaks}
        return found

    def difference(self) -> Difference:
        """Accuracy with facts minus without, on the same comparisons."""
        without, with_facts = ([_is_right(row) for row in rows] for rows in self.rows())
        return mcnemar(without, with_facts)


def train_reward_models(overrides: Sequence[str], out: Path, *, base: str, seed: int) -> RewardModels:
    """Train a reward model without facts and one with, on the same comparisons."""
    runs = []
    for name, position in (("without_facts", ["template.facts_position='none'"]), ("with_facts", [])):
        settings = [
            f"data.comparisons='{out / 'comparisons' / 'train'}'",
            f"data.validation='{out / 'comparisons' / 'held_out'}'",
            f"model.base='{base}'",
            f"train.seed={seed}",
            *position,
            *overrides,
        ]
        recipe = load_recipe(RECIPES / "reward-world.toml", RewardRecipe, overrides=settings)
        runs.append(train_reward(recipe, out / "reward" / f"{name}-{seed}"))
    return RewardModels(*runs)


def facts_dependence(reward_model: Path, held_out: Path, *, seed: int, comparisons: int) -> tuple[Dependence, ...]:
    """How accurate a reward model is with facts that are less complete, or more often wrong.

    Args:
        reward_model: Folder of a reward model that reads facts.
        held_out: Folder of comparisons, with `scenes.jsonl`.
        seed: Seed of what is left out or wrong.
        comparisons: How many of them, from the first.
    """
    scenes = {scene.id: scene for scene in read_records(held_out / "scenes.jsonl", Scene)}
    pairs = [pair for pair in read_compared_pairs(held_out, images=False) if pair.comparison.preferred != "tie"]
    model = RewardModel.load(reward_model)
    features = FeatureCache(None, model.vlm)

    def accuracy(facts: FactsModel) -> Metric:
        queries = []
        for pair in pairs[:comparisons]:
            known = known_facts(scenes[pair.prompt.known_image], facts, seed=seed)
            responses = (pair.first.text, pair.second.text)
            shown = () if known is None else (known,)
            queries.append(RewardQuery(pair.prompt.question, pair.prompt.image, responses, shown))
        scored = model.score(queries, batch_size=64, features=features)
        right = [
            bool(one[0] > one[1]) == (pair.comparison.preferred == "first")
            for one, pair in zip(scored, pairs, strict=False)
        ]
        return wilson(sum(right), len(right))

    return (
        Dependence(
            name="share of the statements that are left out",
            points=tuple((share, accuracy(FactsModel(missing=share))) for share in _SHARES),
        ),
        Dependence(
            name="share of the statements that are wrong",
            points=tuple((share, accuracy(FactsModel(wrong=share))) for share in _SHARES),
        ),
    )


def train_policy(
    overrides: Sequence[str],
    run_dir: Path,
    *,
    base: str,
    prompts: Path,
    judge: RewardFunction,
    seed: int,
    reward_model: Path,
    reads_facts: bool,
) -> RunResult:
    """Train a policy by PPO against a reward model, its last checkpoint kept.

    Args:
        overrides: Settings that win over the recipe `ppo-world`.
        run_dir: Its run directory.
        base: The model that it starts from.
        prompts: Folder with `train` and `held_out` prompts.
        judge: Rates responses to the held-out prompts.
        seed: Seed of training.
        reward_model: Folder of the reward model.
        reads_facts: Whether it reads facts.
    """
    settings = [
        f"data.prompts='{prompts / 'train' / 'prompts.jsonl'}'",
        f"data.held_out='{prompts / 'held_out' / 'prompts.jsonl'}'",
        "data.held_out_fraction=0.0",
        f"model.base='{base}'",
        f"reward_model='{reward_model}'",
        f"train.seed={seed}",
        *overrides,
    ]
    if reads_facts:
        facts = [prompts / part / "facts.jsonl" for part in ("train", "held_out")]
        both = run_dir.parent / f"{run_dir.name}-facts.jsonl"
        both.parent.mkdir(parents=True, exist_ok=True)
        lines = [line for file in facts for line in file.read_text(encoding="utf-8").splitlines()]
        kept = [line for number, line in enumerate(lines) if number == 0 or "schema_version" not in json.loads(line)]
        both.write_text("\n".join(kept) + "\n", encoding="utf-8")
        settings.append(f"data.facts='{both}'")
    recipe = load_recipe(RECIPES / "ppo-world.toml", PpoRecipe, overrides=settings)
    return train_ppo(recipe, run_dir, judge=judge, choose=latest())


def train_dense_dpo(overrides: Sequence[str], run_dir: Path, *, base: str, corrections: Path, seed: int) -> RunResult:
    """Train by dense DPO on corrections, its last checkpoint kept, as the other arms keep theirs."""
    settings = [
        f"model.base='{base}'",
        f"data.corrections='{corrections}'",
        "data.validation_fraction=0.0",
        f"train.seed={seed}",
        *overrides,
    ]
    recipe = load_recipe(RECIPES / "dpo-world.toml", PreferenceRecipe, overrides=settings)
    return train_dpo(recipe, run_dir, choose=latest())


def best_of_n(
    vlm: VisionLanguageModel,
    items: Sequence[WorldItem],
    reward_model: Path,
    *,
    n: int,
    temperature: float,
    seed: int,
    out: Path,
) -> WorldEvaluation:
    """Answer every item n times and keep the answer of highest reward.

    Args:
        vlm: Who answers.
        items: What is asked.
        reward_model: A reward model that reads no facts: there are none of the test scenes.
        n: How often each is answered.
        temperature: Sampling temperature.
        seed: Seed of sampling and resampling.
        out: Folder for what was kept, judged.
    """
    reward = LearnedReward(RewardModel.load(reward_model), image_of=_pictures(items), batch_size=64)
    kept: list[Response] = []
    for start in range(0, len(items), _SCENES_AT_ONCE):
        some = items[start : start + _SCENES_AT_ONCE]
        said = generate_responses(
            vlm, [item.prompt.question for item in some], [render(item.scene) for item in some], num_samples=n,
            temperature=temperature, max_new_tokens=_MAX_NEW_TOKENS, seed=seed + start, batch_size=64,
        )  # fmt: skip
        candidates = [
            Candidate(item.prompt, answer.text, answer.finish == "stop", len(answer.token_ids))
            for item, answers in zip(some, said, strict=True)
            for answer in answers
        ]
        rewards = reward(candidates).reshape(len(some), n)
        for item, answers, best in zip(some, said, rewards.argmax(-1).tolist(), strict=True):
            kept.append(
                Response(
                    id=f"{item.prompt.id}/{best}",
                    prompt_id=item.prompt.id,
                    text=answers[best].text,
                    model=vlm.name,
                    sample=best,
                    temperature=temperature,
                    finish=answers[best].finish,
                )
            )
    evaluation = score_world(items, kept, seed=seed)
    write_evaluation(out, evaluation)
    return evaluation


def test_arms(arms: Mapping[str, WorldEvaluation], *, seed: int) -> tuple[ArmTest, ...]:
    """Test every two arms against each other on the same scenes; a pooled arm is paired seed by seed."""
    tests = []
    for first, second in combinations(arms, 2):
        runs = [len(arms[name].descriptions) for name in (first, second)]
        repeated = [
            pool_evaluations([arms[name]] * (max(runs) // own), seed=seed)
            for name, own in zip((first, second), runs, strict=True)
        ]
        found = compare_world(*repeated, seed=seed)
        tests += [ArmTest(first=first, second=second, metric=m, result=found[m]) for m in COMPARED_METRICS]
    return tuple(tests)


def _pictures(items: Sequence[WorldItem]) -> Callable[[Prompt], Image]:
    scenes = {item.prompt.id: item.scene for item in items}
    return lambda prompt: render(scenes[prompt.id])


def _is_right(row: HeldOutRow) -> bool:
    first, second = row.rewards["intact"]
    return (first - second) * (row.preference - 0.5) > 0

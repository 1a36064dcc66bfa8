"""Laws of a rollout: a response's scores and rewards do not depend on the others."""

import math

import pytest
import torch

from prompt_files import Letters
from veridical.training.ppo.engines.hf import HfEngine
from veridical.training.ppo.engines.protocol import Sampled
from veridical.training.ppo.prompts import encode_prompts, read_prompts
from veridical.training.ppo.roles import build_roles
from veridical.training.ppo.rollouts import RolloutCollector


@pytest.fixture(params=["tiny_llava_path", "tiny_qwen2_5_vl_path"])
def setting(request, make_ppo_recipe, tmp_path):
    """Roles with non-trivial adapters and head, their prompts, and six responses to each."""
    base = request.getfixturevalue(request.param)
    recipe = make_ppo_recipe(model={"base": str(base)}, rollout={"samples": 4})
    torch.manual_seed(0)
    roles = build_roles(recipe, cache=tmp_path / "cache")
    with torch.no_grad():
        for name, parameter in roles.vlm.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
        roles.head.weight.normal_(std=0.1)
    path = recipe.data.prompts
    read = read_prompts(path, recipe.data, run_dir=tmp_path)
    prompts = encode_prompts(
        read, path, roles.vlm, roles.features, recipe.data, room=8, run_dir=tmp_path
    )[:3]
    collector = RolloutCollector(roles, HfEngine(roles, recipe.rollout), Letters(), recipe)
    return prompts, collector, collector.sample(prompts, stream=("law",))


def told(collector, prompts, sampled):
    """Everything that is said of responses, by name (N K …), padded to one width."""
    scored = collector.score(prompts, sampled)
    columns = {
        name: getattr(scored, name) for name in ("logprobs", "entropies", "reference", "values")
    }
    columns = {name: torch.where(scored.response_mask, one, 0) for name, one in columns.items()}
    columns = {
        name: torch.nn.functional.pad(one, (0, 8 - one.shape[-1])) for name, one in columns.items()
    }
    return columns | {"reward": collector.reward(prompts, sampled).total}


def test_siblings_neighbours_and_order_change_nothing(setting):
    prompts, collector, sampled = setting
    whole = told(collector, prompts, sampled)
    assert all(bool(one.any()) for one in whole.values())

    fewer = [Sampled(one.responses[1:3], one.finished[1:3]) for one in sampled]
    backwards = [Sampled(one.responses[::-1], one.finished[::-1]) for one in sampled[::-1]]
    for name, found in told(collector, prompts, fewer).items():
        torch.testing.assert_close(found, whole[name][:, 1:3], atol=1e-4, rtol=1e-4, msg=name)
    for name, found in told(collector, prompts[::-1], backwards).items():
        torch.testing.assert_close(found, whole[name].flip(0, 1), atol=1e-4, rtol=1e-4, msg=name)
    for name, found in told(collector, prompts[1:2], sampled[1:2]).items():
        torch.testing.assert_close(found, whole[name][1:2], atol=1e-4, rtol=1e-4, msg=name)


class Other:
    """An engine that says again what was sampled, with probabilities of its own."""

    def __init__(self, sampled, logprobs):
        self._said = [
            one._replace(
                logprobs=[
                    values[: len(ids)].tolist()
                    for values, ids in zip(row, one.responses, strict=True)
                ]
            )
            for one, row in zip(sampled, logprobs, strict=True)
        ]

    def follow(self, roles):
        pass

    def sample(self, prompts, streams):
        return self._said


@pytest.mark.parametrize("setting", ["tiny_llava_path"], indirect=True)
def test_tokens_of_another_engine_count_by_their_importance(setting):
    """An engine that gives tokens 1.5 times less than the policy: they count 1.5 times."""
    prompts, collector, sampled = setting
    scored = collector.score(prompts, sampled)

    def collect(logprobs):
        collector._engine = Other(sampled, logprobs)
        return collector.collect(prompts, range(3), stream=("law",), kl_coefficient=0.1)

    own, metrics = collect(scored.logprobs)
    other, other_metrics = collect(scored.logprobs - math.log(1.5))
    torch.testing.assert_close(other.advantages, 1.5 * own.advantages)
    torch.testing.assert_close(other.returns, own.returns)
    assert metrics["importance"] == pytest.approx(1.0)
    assert other_metrics["importance"] == pytest.approx(1.5)
    assert other_metrics["importance/truncated"] == 0

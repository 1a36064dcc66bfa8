"""From rewards to losses: worked examples, the original's window, laws of the first step."""

import json

import pytest
import torch

from miniatures import picture
from official_data import DATA
from veridical.config import resolve_recipe
from veridical.models.branches import BranchBatch, BranchOutputs, stack_responses
from veridical.models.prompts.encoding import encode_prompts
from veridical.models.prompts.responses import encode_responses
from veridical.training.ppo.config import PpoRecipe
from veridical.training.ppo.losses import (
    assign_credit,
    loss_divisor,
    policy_losses,
    token_weights,
    value_losses,
)
from veridical.training.ppo.roles import build_roles

LEAST = {"model": {"base": "somewhere"}, "data": {"prompts": "prompts.jsonl"}}
MASK = torch.tensor([[[True, True, True], [True, False, False]]])
LOGPROBS = torch.tensor([[[-1.0, -1.0, -2.0], [-0.5, 0.0, 0.0]]])
REFERENCE = torch.tensor([[[-1.5, -0.5, -2.0], [-1.5, 0.0, 0.0]]])
VALUES = torch.tensor([[[0.5, 0.5, 1.0], [2.0, 0.0, 0.0]]])
SCORES = torch.tensor([[3.0, 1.0]])


def recipe_of(**sections):
    return resolve_recipe({**LEAST, **sections}, PpoRecipe)


def credit_of(recipe, *, price=0.1, scores=SCORES, mask=MASK):
    return assign_credit(scores, LOGPROBS, REFERENCE, VALUES, mask, recipe, kl_coefficient=price)


def test_the_reward_stands_on_the_last_token_less_the_price_of_each_nat():
    """k1: 0.5, −0.5, 0, 1 nats; rewards −0.05, 0.05, 3 and 1 − 0.1; γ = λ = 1."""
    recipe = recipe_of(objective={"gae_lambda": 1.0, "whiten_advantages": False})
    credit = credit_of(recipe)
    assert credit.returns[0, 0].tolist() == pytest.approx([3.0, 3.05, 3.0])
    assert credit.advantages[0, 0].tolist() == pytest.approx([2.5, 2.55, 2.0])
    assert credit.returns[0, 1].tolist() == pytest.approx([0.9, 0, 0])
    assert credit.advantages[0, 1].tolist() == pytest.approx([-1.1, 0, 0])


def test_the_originals_window_counts_every_slot():
    """Clamped: 0.5, 0, 0, 1 nats. Window of 5: the reward on slot 5; slots after the end count."""
    window = {"slots": "window", "gae_lambda": 1.0}
    recipe = recipe_of(
        objective={**window, "whiten_advantages": False},
        kl={"estimator": "clamped"},
        rollout={"max_new_tokens": 5},
    )
    credit = credit_of(recipe)
    raw = torch.tensor([[2.95 - 0.5, 3 - 0.5, 3 - 1.0, 3, 3], [0.9 - 2.0, 1, 1, 1, 1]])
    assert credit.advantages[0, 0].tolist() == pytest.approx(raw[0, :3].tolist())
    assert credit.advantages[0, 1].tolist() == pytest.approx([-1.1, 0, 0])
    whitened = credit_of(
        recipe_of(objective=window, kl={"estimator": "clamped"}, rollout={"max_new_tokens": 5})
    ).advantages
    wanted = (raw - raw.mean()) / (raw.std(correction=0) ** 2 + 1e-8).sqrt()
    torch.testing.assert_close(whitened[0, 0], wanted[0, :3])
    torch.testing.assert_close(whitened[0, 1, 0], wanted[1, 0])
    assert loss_divisor(token_weights(MASK, recipe), recipe) == 10  # two responses of five slots


def test_groups_share_one_advantage_and_a_masked_response_has_no_say():
    recipe = recipe_of(
        objective={"advantage": "rloo", "whiten_advantages": False}, kl={"coefficient": 0.0}
    )
    credit = credit_of(recipe, price=0.0)
    assert credit.advantages.tolist() == [[[2.0, 2.0, 2.0], [-2.0, 0.0, 0.0]]]
    mask = MASK.clone()
    mask[0, 1] = False
    credit = credit_of(recipe, price=0.0, scores=torch.tensor([[3.0, torch.nan]]), mask=mask)
    assert not credit.advantages.any()


def test_rewards_can_be_scaled_and_the_penalty_kept_out_of_them():
    recipe = recipe_of(
        objective={"gae_lambda": 1.0, "whiten_advantages": False, "whiten_rewards": True},
        kl={"where": "loss", "estimator": "k2"},
    )
    rewards = torch.tensor([0.0, 0.0, 3.0, 1.0])  # mean 1, deviation 1.224745
    scaled = (rewards - 1) / rewards.std(correction=0) + 1
    wanted = scaled[:3].flip(0).cumsum(0).flip(0)
    assert credit_of(recipe).returns[0, 0].tolist() == pytest.approx(wanted.tolist(), abs=1e-4)


def batch_of(recipe, *, advantages):
    return {
        "response_mask": MASK,
        "weights": token_weights(MASK, recipe),
        "logprobs": LOGPROBS,
        "reference": REFERENCE,
        "advantages": advantages,
        "values": VALUES,
        "returns": VALUES + 1,
    }


def test_averages_over_tokens_and_over_responses():
    ones = torch.ones(1, 2, 3)
    read = BranchOutputs(LOGPROBS, torch.zeros_like(LOGPROBS), torch.zeros(1, 2, 3, 1))
    for average, per_response, divisor in (
        ("tokens", [-3.0, -1.0], 4),
        ("responses", [-1.0, -1.0], 2),
    ):
        recipe = recipe_of(objective={"average": average})
        batch = batch_of(recipe, advantages=ones)
        losses, shown = policy_losses(read, batch, recipe, kl_coefficient=0.1)
        assert losses.tolist() == [per_response]
        assert loss_divisor(batch["weights"], recipe) == divisor
        assert shown["ratio"].tolist() == [4]  # a sum over four tokens
    losses, _ = value_losses(
        VALUES, batch, recipe_of(value={"coefficient": 0.5, "clip_range": 0.0})
    )
    assert losses.tolist() == [[0.25, 0.25]]


@pytest.fixture
def roles(tiny_llava_path, tmp_path):
    recipe = resolve_recipe(
        {
            "model": {"base": str(tiny_llava_path), "device": "cpu", "lora": {"rank": 2}},
            "data": {"prompts": "prompts.jsonl"},
            "value": {"lora": {"rank": 2}},
        },
        PpoRecipe,
    )
    torch.manual_seed(0)
    built = build_roles(recipe, cache=tmp_path / "cache")
    with torch.no_grad():
        for name, parameter in built.vlm.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
        built.head.weight.normal_(std=0.1)
    built.attach_head()
    return recipe, built


def gradients_of(roles):
    return {
        name: p.grad.clone() for name, p in roles.vlm.model.named_parameters() if p.grad is not None
    }


def test_the_first_steps_gradient_is_the_policy_gradient_and_stays_with_the_policy(roles):
    recipe, roles = roles
    ids, mask = stack_responses(
        [[r.ids for r in encode_responses(roles.vlm, ["A red car.", "Two dogs on a sofa."])]]
    )
    batch = BranchBatch(encode_prompts(roles.vlm, ["What is it?"], [picture(0)]), ids, mask)
    advantages = torch.randn(mask.shape, generator=torch.Generator().manual_seed(0)) * mask
    found = []
    for plain in (True, False):
        roles.vlm.model.zero_grad()
        with roles.use_policy():
            read = roles.evaluate_policy(batch, None)
            if plain:
                loss = -(advantages * read.logprobs).sum()
            else:
                known = read.logprobs.detach()
                rollout = {
                    "response_mask": mask,
                    "weights": mask.float(),
                    "logprobs": known,
                    "reference": known,
                }
                losses, _ = policy_losses(
                    read, {**rollout, "advantages": advantages}, recipe, kl_coefficient=0.0
                )
                loss = losses.sum()
            loss.backward()
        found.append(gradients_of(roles))
    assert found[0].keys() == found[1].keys()
    assert {name.split(".")[-2] for name in found[0]} == {"policy"}
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient)

    roles.vlm.model.zero_grad()
    with roles.use_value():
        values = roles.values(roles.value_states(batch, None))
        values[mask].sum().backward()
    names = set(gradients_of(roles))
    assert {name for name in names if "value_head" not in name} == {
        n for n in names if ".value.weight" in n
    }
    assert any("value_head" in name for name in names)


def test_the_reference_is_the_bare_base_whatever_the_adapters_hold(roles):
    _, roles = roles
    ids, mask = stack_responses(
        [[r.ids for r in encode_responses(roles.vlm, ["A red car.", "Two dogs on a sofa."])]]
    )
    batch = BranchBatch(encode_prompts(roles.vlm, ["What is it?"], [picture(0)]), ids, mask)
    reference = roles.reference_logprobs(batch, None, None)
    with torch.no_grad(), roles.use_policy():
        assert not torch.allclose(roles.evaluate_policy(batch, None).logprobs, reference, atol=1e-3)
        for name, parameter in roles.vlm.model.named_parameters():
            if "lora_B" in name:
                parameter.zero_()
        torch.testing.assert_close(roles.evaluate_policy(batch, None).logprobs, reference)


ORACLE = DATA / "llava_rlhf" / "ppo_credit_oracle.json"


@pytest.mark.skipif(not ORACLE.is_file(), reason="the oracle is not here")
def test_the_window_gives_what_the_released_code_gave_where_the_critic_is_0_after_responses():
    """Batches of random numbers and what LLaVA-RLHF's unmodified PPOTrainer made of them.

    Its factor of 10 multiplies penalty and score alike, so that a coefficient of 0.1 is 1 here.
    """
    cases = json.loads(ORACLE.read_text())["cases"]
    zero = [case for case in cases if case["pad_values"] == "zero"]
    assert len(zero) == 4
    for case in zero:
        rows = {
            name: torch.tensor(case[name], dtype=torch.float64).unsqueeze(1)
            for name in ("logprobs", "reference_logprobs", "values", "advantages", "returns")
        }
        window = rows["logprobs"].shape[-1]
        mask = torch.arange(window) < torch.tensor(case["lengths"]).view(-1, 1, 1)
        shaped = torch.tensor(case["shaped_rewards"], dtype=torch.float64)[:, -1:]
        nats = (rows["logprobs"] - rows["reference_logprobs"]).clamp(min=0)
        final = 10 * (shaped + 0.1 * nats[:, :, -1])  # of a response that fills the window
        recipe = recipe_of(
            objective={"slots": "window", "gae_lambda": 1.0},
            kl={"estimator": "clamped"},
            rollout={"max_new_tokens": window},
        )
        credit = assign_credit(
            final,
            rows["logprobs"],
            rows["reference_logprobs"],
            rows["values"],
            mask,
            recipe,
            kl_coefficient=1.0,
        )
        torch.testing.assert_close(
            credit.advantages[mask], rows["advantages"][mask], rtol=0, atol=2e-6
        )
        torch.testing.assert_close(credit.returns[mask], rows["returns"][mask], rtol=0, atol=1e-4)

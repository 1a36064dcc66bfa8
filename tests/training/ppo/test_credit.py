"""From rewards to losses: worked examples, the original's window, laws of the first step."""

import json

import pytest
import torch

from miniatures import picture
from official_data import DATA
from veridical.config import resolve_recipe
from veridical.errors import ConfigError
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
    value_slots,
    values_of_slots,
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


def credit_of(recipe, *, price=0.1, scores=SCORES, mask=MASK, values=VALUES):
    return assign_credit(scores, LOGPROBS, REFERENCE, values, mask, recipe, kl_coefficient=price)


def test_the_reward_stands_on_the_last_token_less_the_price_of_each_nat():
    """k1: 0.5, −0.5, 0, 1 nats; rewards −0.05, 0.05, 3 and 1 − 0.1; γ = λ = 1."""
    recipe = recipe_of(objective={"gae_lambda": 1.0, "whiten_advantages": False})
    credit = credit_of(recipe)
    assert credit.returns[0, 0].tolist() == pytest.approx([3.0, 3.05, 3.0])
    assert credit.advantages[0, 0].tolist() == pytest.approx([2.5, 2.55, 2.0])
    assert credit.returns[0, 1].tolist() == pytest.approx([0.9, 0, 0])
    assert credit.advantages[0, 1].tolist() == pytest.approx([-1.1, 0, 0])


WINDOW = {"slots": "window", "gae_lambda": 1.0}


def test_the_originals_window_counts_every_slot_with_what_the_critic_says_there():
    """Clamped: 0.5, 0, 0, 1 nats. Window of 5: the reward on slot 5; slots after the end count.

    The critic says 2.5 after the first response's end and 0.5 on its padding; 0.75 and 0.25 on the
    second's.
    """
    recipe = recipe_of(
        objective={**WINDOW, "whiten_advantages": False},
        kl={"estimator": "clamped"},
        rollout={"max_new_tokens": 5},
    )
    read = torch.tensor([[[0.5, 0.5, 1.0, 2.5, 0.5], [2.0, 0.75, 0.25, 0.0, 0.0]]])
    values = values_of_slots(read, MASK, recipe)
    assert values.tolist() == [[[0.5, 0.5, 1.0, 2.5, 0.5], [2.0, 0.75, 0.25, 0.25, 0.25]]]
    credit = credit_of(recipe, values=values)
    raw = torch.tensor(
        [[2.95 - 0.5, 3 - 0.5, 3 - 1.0, 3 - 2.5, 3 - 0.5], [0.9 - 2.0, 0.25, 0.75, 0.75, 0.75]]
    )
    assert credit.advantages[0, 0].tolist() == pytest.approx(raw[0, :3].tolist())
    assert credit.advantages[0, 1].tolist() == pytest.approx([-1.1, 0, 0])
    assert credit.returns[0, 0].tolist() == pytest.approx([2.95, 3, 3, 3, 3])
    assert credit.returns[0, 1].tolist() == pytest.approx([0.9, 1, 1, 1, 1])
    whitened = credit_of(
        recipe_of(objective=WINDOW, kl={"estimator": "clamped"}, rollout={"max_new_tokens": 5}),
        values=values,
    ).advantages
    wanted = (raw - raw.mean()) / raw.std(correction=0)
    torch.testing.assert_close(whitened[0, 0], wanted[0, :3])
    torch.testing.assert_close(whitened[0, 1, 0], wanted[1, 0])
    assert loss_divisor(token_weights(MASK, recipe), recipe) == 10  # two responses of five slots


def test_in_a_window_the_value_is_learnt_on_the_padding_too():
    """One padding token stands for all: its weight is how many slots it stands for."""
    recipe = recipe_of(objective=WINDOW, rollout={"max_new_tokens": 6}, value={"clip_range": 0.0})
    ids = torch.tensor([[[4, 5, 2], [2, 0, 0]]])
    slots = value_slots(ids, MASK, recipe, pad_token_id=9)
    assert slots.ids.tolist() == [[[4, 5, 2, 9, 9], [2, 9, 9, 9, 9]]]
    assert slots.mask.tolist() == [[[True] * 5, [True] * 3 + [False] * 2]]
    assert slots.weights.tolist() == [[[1, 1, 1, 1, 2], [1, 1, 4, 0, 0]]]
    said, wanted = torch.zeros(1, 2, 5), torch.tensor([[[0, 0, 0, 0, 1.0], [0, 0, 1, 7, 7.0]]])
    batch = {
        "value_mask": slots.mask,
        "value_weights": slots.weights,
        "values": said,
        "returns": wanted,
    }
    losses, _ = value_losses(said, batch, recipe)
    assert losses[0].tolist() == pytest.approx([0.5 * 2 * 0.1, 0.5 * 4 * 0.1])
    full = value_slots(
        ids[:, :1],
        MASK[:, :1],
        recipe_of(objective=WINDOW, rollout={"max_new_tokens": 3}),
        pad_token_id=9,
    )
    assert full.mask.tolist() == [[[True] * 3 + [False] * 2]]
    assert full.weights.tolist() == [[[1, 1, 1, 0, 0]]]


def test_a_window_takes_no_setting_under_which_one_padding_token_could_not_stand_for_all():
    for wrong in ({"gae_lambda": 0.95}, {"gae_lambda": 1.0, "discount": 0.9}):
        with pytest.raises(ConfigError, match="gae_lambda = 1"):
            recipe_of(objective={"slots": "window", **wrong})
    with pytest.raises(ConfigError, match=r'value\.kind "adapter"'):
        recipe_of(objective=WINDOW, value={"kind": "detached"})


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


@pytest.mark.parametrize(("advantage", "gap"), [("grpo", 2**-0.5), ("dr_grpo", 1.0)])
def test_only_grpo_divides_by_the_spread_of_the_group(advantage, gap):
    """Scores 3 and 1: ±1 about their mean, with a standard deviation of √2."""
    recipe = recipe_of(objective={"advantage": advantage, "whiten_advantages": False})
    found = credit_of(recipe, price=0.0).advantages[0, :, 0].tolist()
    assert found == pytest.approx([gap, -gap], rel=1e-3)


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
        "value_mask": MASK,
        "value_weights": token_weights(MASK, recipe),
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
def test_the_window_gives_what_the_released_code_gave():
    """Batches of random numbers and what LLaVA-RLHF's unmodified PPOTrainer made of them.

    Its factor of 10 multiplies penalty and score alike, so that a coefficient of 0.1 is 1 here. In
    half of the cases its critic says 0 after the responses, in the others anything.
    """
    cases = json.loads(ORACLE.read_text())["cases"]
    assert sorted(case["pad_values"] for case in cases).count("zero") == 4
    assert len(cases) == 8
    for case in cases:
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
        torch.testing.assert_close(credit.returns, rows["returns"], rtol=0, atol=1e-4)

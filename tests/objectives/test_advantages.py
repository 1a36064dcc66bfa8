"""GAE, leave-one-out and group-relative advantages."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from veridical.objectives.gae import gae
from veridical.objectives.grpo import grpo
from veridical.objectives.rloo import rloo


def example(seed=0, rows=4, width=7):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, width + 1, (rows, 1), generator=generator)
    mask = torch.arange(width) < lengths
    rewards, values = torch.randn(2, rows, width, generator=generator, dtype=torch.float64)
    return rewards, values, mask


def test_gaes_worked_example():
    result = gae(
        torch.tensor([0.0, 0, 1]),
        torch.tensor([0.5, 0.6, 0.8]),
        torch.ones(3, dtype=torch.bool),
        discount=1.0,
        gae_lambda=0.5,
    )
    assert result.advantages.tolist() == pytest.approx([0.25, 0.3, 0.2])
    assert result.returns.tolist() == pytest.approx([0.75, 0.9, 1.0])


@pytest.mark.parametrize("discount", [1.0, 0.9])
def test_lambda_1_is_monte_carlo_and_lambda_0_is_td(discount):
    rewards, values, mask = example()
    monte_carlo = gae(rewards, values, mask, discount=discount, gae_lambda=1.0)
    temporal = gae(rewards, values, mask, discount=discount, gae_lambda=0.0)
    for row, kept in enumerate(mask.sum(-1).tolist()):
        for t in range(kept):
            what_came = sum(discount ** (s - t) * float(rewards[row, s]) for s in range(t, kept))
            assert float(monte_carlo.returns[row, t]) == pytest.approx(what_came)
            assert float(monte_carlo.advantages[row, t]) == pytest.approx(
                what_came - float(values[row, t])
            )
            following = float(values[row, t + 1]) if t + 1 < kept else 0.0
            expected = float(rewards[row, t]) + discount * following
            assert float(temporal.returns[row, t]) == pytest.approx(expected)


@given(st.integers(0, 10_000), st.integers(0, 5))
def test_padding_and_order_change_no_advantage(seed, more):
    rewards, values, mask = example(seed)
    plain = gae(rewards, values, mask, discount=0.99, gae_lambda=0.9)
    dirt = torch.full((4, more), torch.nan, dtype=torch.float64)
    padded = gae(
        torch.cat([rewards, dirt], -1),
        torch.cat([values, dirt], -1),
        torch.cat([mask, dirt == 0], -1),
        discount=0.99,
        gae_lambda=0.9,
    )
    assert torch.equal(padded.advantages[:, :7], plain.advantages)
    assert torch.equal(padded.returns[:, :7], plain.returns)
    assert not padded.advantages[:, 7:].any()
    order = torch.tensor([2, 0, 3, 1])
    turned = gae(rewards[order], values[order], mask[order], discount=0.99, gae_lambda=0.9)
    assert torch.equal(turned.advantages, plain.advantages[order])


def test_what_stands_behind_the_end_is_ignored_by_gae():
    rewards, values, mask = example()
    dirty = gae(
        rewards.masked_fill(~mask, torch.nan),
        values.masked_fill(~mask, 7),
        mask,
        discount=1,
        gae_lambda=0.5,
    )
    assert torch.equal(
        dirty.advantages, gae(rewards, values, mask, discount=1, gae_lambda=0.5).advantages
    )


def test_gae_refuses_what_is_not_a_discount():
    with pytest.raises(ValueError, match="discount and gae_lambda"):
        gae(*example(), discount=1.1, gae_lambda=1.0)


SCORES = torch.tensor([[1.0, 2.0, 6.0]])
ALL = torch.ones(1, 3, dtype=torch.bool)


def test_the_worked_examples_of_groups():
    assert rloo(SCORES, ALL).tolist() == [[-3.0, -1.5, 4.5]]
    assert grpo(SCORES, ALL, scale=False).tolist() == [[-2.0, -1.0, 3.0]]
    assert grpo(SCORES, ALL)[0].tolist() == pytest.approx(
        [-0.755929, -0.377964, 1.133893], abs=1e-4
    )


def test_leave_one_out_is_the_centred_score_times_k_over_k_minus_1():
    torch.testing.assert_close(rloo(SCORES, ALL), 1.5 * grpo(SCORES, ALL, scale=False))


@pytest.mark.parametrize("method", [rloo, grpo])
def test_responses_that_do_not_count_change_nothing(method):
    wider = torch.tensor([[1.0, torch.nan, 2.0, 6.0]])
    result = method(wider, ~wider.isnan())
    torch.testing.assert_close(result[:, [0, 2, 3]], method(SCORES, ALL))
    assert result[0, 1] == 0


@pytest.mark.parametrize("method", [rloo, grpo])
def test_equal_scores_and_lonely_responses_teach_nothing(method):
    assert not method(torch.full((2, 4), 3.0), torch.ones(2, 4, dtype=torch.bool)).any()
    assert not method(SCORES, torch.tensor([[True, False, False]])).any()
    assert not method(SCORES, ~ALL).any()

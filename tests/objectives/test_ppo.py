"""The clipped losses, and the statistics over response tokens that stand around them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from veridical.objectives.masked import (
    explained_variance,
    masked_mean,
    masked_variance,
    masked_whiten,
)
from veridical.objectives.ppo import clipped_policy_loss, clipped_value_loss


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "clipped"),
    [
        (1.5, 1.0, -1.2, True),
        (1.5, -1.0, 1.5, False),
        (0.5, 1.0, -0.5, False),
        (0.5, -1.0, 0.8, True),
    ],
)
def test_the_worked_examples(ratio, advantage, loss, clipped):
    logprobs = torch.tensor([ratio], dtype=torch.float64).log().requires_grad_()
    result = clipped_policy_loss(
        logprobs, torch.zeros(1), torch.tensor([advantage]), clip_range=0.2
    )
    assert result.loss.item() == pytest.approx(loss)
    assert result.clipped.item() is clipped
    assert result.approximate_kl.item() == pytest.approx(math.log(ratio) ** 2 / 2)
    result.loss.sum().backward()
    assert (logprobs.grad.item() == 0) is clipped


def test_the_values_worked_example():
    result = clipped_value_loss(
        torch.tensor([1.0]), torch.tensor([0.5]), torch.tensor([2.0]), clip_range=0.2
    )
    assert result.loss.item() == pytest.approx(0.845)
    assert result.clipped.item()
    below = clipped_value_loss(
        torch.tensor([0.0]), torch.tensor([0.5]), torch.tensor([-1.0]), clip_range=0.2
    )  # held at 0.3: 0.5 · 1.3²
    assert below.loss.item() == pytest.approx(0.845)
    assert below.clipped.item()
    within = clipped_value_loss(
        torch.tensor([0.6]), torch.tensor([0.5]), torch.tensor([2.0]), clip_range=0.2
    )
    assert not within.clipped.item()
    free = clipped_value_loss(
        torch.tensor([1.0]), torch.tensor([0.5]), torch.tensor([2.0]), clip_range=0.0
    )
    assert free.loss.item() == pytest.approx(0.5)
    assert not free.clipped.item()


def test_a_value_within_its_range_is_not_counted_as_clipped():
    """Old value plus change is the value but for rounding."""
    old, values = (0.09 * numbers(1000, seed=seed).tanh().float() for seed in (0, 1))
    found = clipped_value_loss(values, old, numbers(1000, seed=2).float(), clip_range=0.2)
    assert not found.clipped.any()


def test_at_the_first_step_the_gradient_is_the_policy_gradient():
    logits, tokens = numbers(6, 11).requires_grad_(), torch.arange(6)
    advantages = numbers(6, seed=1)
    logprobs = logits.log_softmax(-1)[tokens, tokens]
    (wanted,) = torch.autograd.grad(-(advantages * logprobs).sum(), logits, retain_graph=True)
    losses = clipped_policy_loss(logprobs, logprobs.detach(), advantages, clip_range=0.2).loss
    (found,) = torch.autograd.grad(losses.sum(), logits)
    torch.testing.assert_close(found, wanted)


def test_no_advantage_no_change():
    logprobs = numbers(5).requires_grad_()
    clipped_policy_loss(
        logprobs, numbers(5, seed=1), torch.zeros(5), clip_range=0.2
    ).loss.sum().backward()
    assert not logprobs.grad.any()


@given(st.integers(0, 1000))
def test_the_clip_only_ever_makes_the_loss_greater(seed):
    now, old, advantages = numbers(3, 20, seed=seed)
    held = clipped_policy_loss(now, old, advantages, clip_range=0.2).loss
    assert bool((held >= -advantages * (now - old).exp()).all())
    assert bool(
        (
            clipped_value_loss(now, old, advantages, clip_range=0.2).loss
            >= 0.5 * (now - advantages) ** 2
        ).all()
    )


def test_ranges_that_are_none_are_refused():
    with pytest.raises(ValueError, match="above 0"):
        clipped_policy_loss(numbers(1), numbers(1), numbers(1), clip_range=0.0)
    with pytest.raises(ValueError, match="negative"):
        clipped_value_loss(numbers(1), numbers(1), numbers(1), clip_range=-1.0)


MASK = torch.tensor([[True, True, True, False], [True, False, False, False]])


def test_statistics_are_of_the_mask_only():
    values = torch.tensor([[1.0, 2, 3, torch.nan], [6, torch.nan, 1e9, 0]])
    assert masked_mean(values, MASK).item() == 3
    assert masked_variance(torch.where(MASK, values, 0), MASK).item() == pytest.approx(14 / 4)
    white = masked_whiten(values, MASK)
    assert masked_mean(white, MASK).item() == pytest.approx(0, abs=1e-6)
    assert masked_variance(white, MASK).item() == pytest.approx(1, abs=1e-5)
    assert not white[~MASK].any()
    scaled = masked_whiten(values, MASK, shift_mean=False)
    assert masked_variance(scaled, MASK).item() == pytest.approx(1, abs=1e-5)
    assert masked_mean(scaled, MASK).item() == pytest.approx(3, abs=1e-5)
    assert masked_mean(values, torch.zeros_like(MASK)).item() == 0


def test_epsilon_goes_to_the_variance_or_as_in_llava_rlhf_to_the_deviation():
    """±1e-8: a deviation of 1e-8 plus 1e-8 halves them; a variance of 1e-16 drowns in 1e-8."""
    values = torch.tensor([1e-8, -1e-8], dtype=torch.float64)
    everywhere = torch.ones(2, dtype=torch.bool)
    original = masked_whiten(values, everywhere, epsilon_to="deviation")
    torch.testing.assert_close(original, torch.tensor([0.5, -0.5], dtype=torch.float64))
    torch.testing.assert_close(masked_whiten(values, everywhere), values / (1e-16 + 1e-8) ** 0.5)


def test_whitening_equals_that_of_the_plain_numbers():
    values = numbers(3, 4)
    everywhere = torch.ones(3, 4, dtype=torch.bool)
    wanted = (values - values.mean()) / values.std(correction=0)
    torch.testing.assert_close(masked_whiten(values, everywhere), wanted, rtol=1e-6, atol=1e-6)


def test_explained_variance():
    actual, everywhere = numbers(20), torch.ones(20, dtype=torch.bool)
    assert explained_variance(actual, actual, everywhere).item() == 1
    assert explained_variance(
        torch.full_like(actual, 5.0), actual, everywhere
    ).item() == pytest.approx(0)
    assert explained_variance(-actual, actual, everywhere).item() == pytest.approx(-3)
    assert explained_variance(actual, torch.ones_like(actual), everywhere).item() == 0

"""The pairwise loss against numbers worked by hand, and what must hold for any rewards."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from veridical.objectives.reward import pairwise_loss, preference_accuracy

REWARDS = st.lists(st.floats(-8, 8), min_size=1, max_size=5)


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_the_worked_example():
    first, second = tensor(1.0, 1.0, 1.0), tensor(0.4, 0.4, 0.4)
    found = pairwise_loss(first, second, tensor(1.0, 0.0, 0.5))
    assert found.loss.tolist() == pytest.approx([0.437488, 1.037488, 0.737488], abs=1e-6)
    assert found.margin.tolist() == pytest.approx([0.6] * 3)
    squares = pairwise_loss(first, second, tensor(1.0, 0.0, 0.5), centring_weight=0.1)
    assert (squares.loss - found.loss).tolist() == pytest.approx([0.196] * 3)
    mean = pairwise_loss(
        tensor(1.0, -3.0),
        tensor(0.4, 0.0),
        tensor(1.0, 1.0),
        centring="batch_mean",
        centring_weight=0.1,
    )
    # |(1.4 − 3.0) / 2| = 0.8, whatever the signs of the single pairs
    assert (mean.loss - mean.preference_loss).tolist() == pytest.approx([0.08, 0.08])


def test_weights_multiply_the_preference_but_not_the_centring():
    first, second, preference = tensor(1.0, 1.0), tensor(0.4, 0.4), tensor(1.0, 1.0)
    found = pairwise_loss(first, second, preference, weight=tensor(3.0, 0.0), centring_weight=0.1)
    assert found.loss.tolist() == pytest.approx([3 * 0.437488 + 0.196, 0.196], abs=1e-5)
    assert found.preference_loss.tolist() == pytest.approx([0.437488] * 2, abs=1e-6)


def test_gradient_is_label_minus_probability():
    first = tensor(1.0, 1.0, 0.2).requires_grad_()
    second = tensor(0.4, 0.4, 0.2).requires_grad_()
    preference = tensor(1.0, 0.3, 0.5)
    pairwise_loss(first, second, preference).loss.sum().backward()
    probability = torch.sigmoid((first - second).detach())
    assert torch.allclose(first.grad, probability - preference)
    assert torch.allclose(second.grad, preference - probability)
    assert first.grad[2] == 0  # a tie that is scored as one is left alone


def test_gradients_are_right_by_finite_differences():
    first, second = (torch.randn(4, dtype=torch.float64, requires_grad=True) for _ in range(2))

    def total(a, b, *, centring):
        return pairwise_loss(
            a,
            b,
            tensor(1.0, 0.0, 0.5, 0.7),
            weight=tensor(1, 2, 3, 4),
            centring=centring,
            centring_weight=0.3,
        ).loss.sum()

    for centring in ("squares", "batch_mean"):
        assert torch.autograd.gradcheck(
            lambda a, b, c=centring: total(a, b, centring=c), (first, second)
        )


@settings(deadline=None, max_examples=50)
@given(REWARDS, st.floats(0, 1), st.floats(-5, 5))
def test_order_and_level_do_not_matter(rewards, preference, shift):
    first, second = tensor(*rewards), tensor(*reversed(rewards))
    label = torch.full_like(first, preference)
    found = pairwise_loss(first, second, label).loss
    assert torch.allclose(found, pairwise_loss(second, first, 1 - label).loss)
    assert torch.allclose(
        found, pairwise_loss(first + shift, second + shift, label).loss, atol=1e-6
    )
    # never below the entropy of the label, which is reached at its log-odds
    entropy = -sum(p * math.log(p) for p in (preference, 1 - preference) if p > 0)
    assert bool((found >= entropy - 1e-9).all())


def test_far_margins_stay_finite():
    found = pairwise_loss(tensor(1e4), tensor(-1e4), tensor(0.0))
    assert found.loss.item() == pytest.approx(2e4)


@pytest.mark.parametrize(
    ("arguments", "more", "said"),
    [
        ((tensor(1.0), tensor(1.0), tensor(2.0)), {}, "probabilities"),
        ((tensor(1.0), tensor(1.0), tensor(1.0)), {"weight": tensor(-1.0)}, "at least 0"),
        ((tensor(1.0), tensor(1.0), tensor(1.0)), {"centring_weight": -1.0}, "at least 0"),
        ((tensor(1.0), tensor(1.0, 2.0), tensor(1.0)), {}, "alike"),
    ],
)
def test_nonsense_is_refused(arguments, more, said):
    with pytest.raises(ValueError, match=said):
        pairwise_loss(*arguments, **more)


def test_accuracy_counts_a_tie_of_the_reward_half_and_a_tie_of_people_not_at_all():
    found = preference_accuracy(tensor(0.5, -0.5, 1e-7, 0.5), tensor(1.0, 1.0, 0.0, 0.5))
    assert found[:3].tolist() == [1.0, 0.0, 0.5]
    assert math.isnan(found[3])

"""Tokens that another engine sampled are weighed by what the policy gives them."""

import math

import pytest
import torch

from veridical.errors import ModelError
from veridical.objectives.ppo import clipped_policy_loss
from veridical.training.ppo.engines.importance import weigh
from veridical.training.ppo.engines.protocol import Sampled

MASK = torch.tensor([[[True, True, True], [True, False, False]]])
POLICY = torch.tensor([[[-1.0, -2.0, -3.0], [-0.5, 0.0, 0.0]]])


def engine(first, second):
    return [Sampled([[7, 8, 9], [7]], [True, False], [first, second])]


def test_weights_are_ratios_up_to_the_cap_and_what_was_cut_is_counted():
    """Ratios e^0, e^0.5, e^2 and e^-0.25 with a cap of 2: the third is truncated."""
    found = weigh(engine([-1.0, -2.5, -5.0], [-0.25]), POLICY, MASK, cap=2.0)
    ratios = [1.0, math.exp(0.5), math.exp(2.0), math.exp(-0.25)]
    expected = torch.tensor([[[1.0, ratios[1], 2.0], [ratios[3], 1.0, 1.0]]])
    torch.testing.assert_close(found.weights, expected)
    assert found.metrics == pytest.approx(
        {
            "importance": sum(ratios) / 4,
            "importance/truncated": 0.25,
            "importance/kl": -(0.5 + 2.0 - 0.25) / 4,
            "importance/largest_gap": 2.0,
        }
    )


def test_where_the_policy_itself_sampled_nothing_is_weighed_or_reported():
    found = weigh([Sampled([[7, 8, 9], [7]], [True, False])], POLICY, MASK, cap=2.0)
    assert bool((found.weights == 1).all())
    assert found.metrics == {}


@pytest.mark.parametrize(
    ("first", "second"),
    [([-1.0, -2.0], [-0.5]), ([-1.0, -2.0, -math.inf], [-0.5]), ([-1.0, -2.0, -3.0], [])],
)
def test_a_token_without_a_probability_is_refused(first, second):
    with pytest.raises(ModelError, match="not one finite log-probability per token"):
        weigh(engine(first, second), POLICY, MASK, cap=2.0)


def test_a_weight_on_the_advantage_is_a_weight_on_the_loss():
    generator = torch.Generator().manual_seed(0)
    new, old, advantages = (torch.randn(1, 2, 3, generator=generator) for _ in range(3))
    weights = torch.rand(1, 2, 3, generator=generator)
    plain = clipped_policy_loss(new, old, advantages, clip_range=0.2)
    weighed = clipped_policy_loss(new, old, advantages * weights, clip_range=0.2)
    torch.testing.assert_close(weighed[0], plain[0] * weights)

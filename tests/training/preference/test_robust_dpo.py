"""Robust DPO: values worked by hand; swapped labels do not change the expected loss."""

import pytest
import torch

from veridical.objectives.dpo import dpo_loss
from veridical.objectives.robust_dpo import robust_dpo_loss
from veridical.training.preference.losses import preference_losses
from veridical.training.preference.objectives.robust_dpo import RobustDpo

POLICY = torch.tensor([[[-1.0, -0.5, -2.0, -0.7], [-1.0, -1.5, -0.9, -9.0]]])
REFERENCE = torch.tensor([[[-1.1, -0.6, -2.2, -0.7], [-1.0, -1.2, -0.8, -7.0]]])
MASK = torch.tensor([[[True] * 4, [True, True, True, False]]])


@pytest.mark.parametrize(
    ("error_rate", "loss"),
    [
        (0.0, 0.653947),  # DPO
        (0.1, 0.643947),  # (0.9·0.653947 − 0.1·0.733947) / 0.8
        (0.4, 0.493947),  # (0.6·0.653947 − 0.4·0.733947) / 0.2 = 0.0987894 / 0.2
    ],
)
def test_values_worked_by_hand(error_rate, loss):
    objective = RobustDpo(error_rate=error_rate)
    losses, others = preference_losses(POLICY, REFERENCE, MASK, torch.zeros_like(MASK), objective)
    assert losses.tolist() == pytest.approx([loss], abs=1e-5)
    assert others["reward_margin"].tolist() == pytest.approx([0.08], abs=1e-5)


def test_the_expected_loss_under_swapped_labels_is_that_of_the_right_ones():
    torch.manual_seed(0)
    one, two, three, four = torch.randn(4, 50, dtype=torch.float64)
    right = robust_dpo_loss(one, two, three, four, beta=0.7, error_rate=0.2).loss
    swapped = robust_dpo_loss(two, one, four, three, beta=0.7, error_rate=0.2).loss
    torch.testing.assert_close(
        0.8 * right + 0.2 * swapped, dpo_loss(one, two, three, four, beta=0.7).loss
    )


def test_half_of_the_labels_wrong_says_nothing():
    with pytest.raises(ValueError, match=r"error_rate must be in \[0, 0.5\), got 0.5"):
        robust_dpo_loss(*[torch.zeros(1)] * 4, beta=0.1, error_rate=0.5)

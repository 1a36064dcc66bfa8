"""IPO: values worked by hand, and its law: the loss is least at the target and rises past it."""

import pytest
import torch

from veridical.objectives.ipo import ipo_loss
from veridical.training.preference.losses import preference_losses
from veridical.training.preference.objectives.ipo import Ipo

POLICY = torch.tensor([[[-1.0, -0.5, -2.0, -0.7], [-1.0, -1.5, -0.9, -9.0]]])
REFERENCE = torch.tensor([[[-1.1, -0.6, -2.2, -0.7], [-1.0, -1.2, -0.8, -7.0]]])
MASK = torch.tensor([[[True] * 4, [True, True, True, False]]])


@pytest.mark.parametrize(
    ("objective", "loss", "margin"),
    [
        # means −1.05, −1.133333 against −1.15, −1.0: h = 0.1 + 0.133333; target 1, then 5
        (Ipo(beta=0.5), 0.766667**2, 0.116667),
        (Ipo(beta=0.1), 4.766667**2, 0.023333),
        # sums −4.2, −3.4 against −4.6, −3.0: h = 0.4 + 0.4
        (Ipo(beta=0.5, normalize="sum"), 0.2**2, 0.4),
    ],
)
def test_values_worked_by_hand(objective, loss, margin):
    losses, others = preference_losses(POLICY, REFERENCE, MASK, torch.zeros_like(MASK), objective)
    assert losses.tolist() == pytest.approx([loss], abs=1e-5)
    assert others["reward_margin"].tolist() == pytest.approx([margin], abs=1e-5)
    assert others["accuracy"].tolist() == [1.0]


def test_the_gradient_vanishes_at_the_target_and_turns_beyond_it():
    """h = 1 with β = 0.5: nothing pulls; DPO would still push there."""
    chosen = torch.tensor([0.5, 1.0, 1.5], requires_grad=True)
    zeros = torch.zeros(3)
    ipo_loss(chosen, zeros, zeros, zeros, beta=0.5).loss.sum().backward()
    assert chosen.grad.tolist() == [-1.0, 0.0, 1.0]


def test_beta_must_be_positive():
    with pytest.raises(ValueError, match="beta must be above 0"):
        ipo_loss(*[torch.zeros(1)] * 4, beta=0.0)

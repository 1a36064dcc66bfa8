import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from veridical.objectives.dpo import dpo_loss

scores = st.floats(-50, 0)


def tensors(*values):
    return [torch.tensor([value], dtype=torch.float64) for value in values]


def test_the_worked_example():
    result = dpo_loss(*tensors(-4.2, -3.4, -4.6, -3.0), beta=0.1)
    assert result.margin.item() == pytest.approx(0.08)
    assert result.chosen_reward.item() == pytest.approx(0.04)
    assert result.rejected_reward.item() == pytest.approx(-0.04)
    assert result.loss.item() == pytest.approx(0.653947, abs=1e-6)


def test_gradient_is_beta_times_the_chance_of_being_wrong():
    """dL/ds(chosen) = −β·σ(−margin): equation 7's derivative in the DPO paper, section 4."""
    chosen, rejected, *reference = tensors(-4.2, -3.4, -4.6, -3.0)
    chosen.requires_grad_()
    rejected.requires_grad_()
    dpo_loss(chosen, rejected, *reference, beta=0.1).loss.sum().backward()
    expected = 0.1 / (1 + math.exp(0.08))
    assert chosen.grad.item() == pytest.approx(-expected)
    assert rejected.grad.item() == pytest.approx(expected)


@given(scores, scores, st.floats(0.01, 2))
def test_a_policy_that_is_its_reference_has_a_margin_of_nothing(chosen, rejected, beta):
    result = dpo_loss(*tensors(chosen, rejected, chosen, rejected), beta=beta)
    assert result.loss.item() == pytest.approx(math.log(2))
    assert result.margin.item() == 0


@given(scores, scores, scores, scores, st.floats(0.01, 2), st.floats(0, 0.49))
def test_smoothing_mixes_both_labellings(a, b, c, d, beta, smoothing):
    right = dpo_loss(*tensors(a, b, c, d), beta=beta)
    wrong = dpo_loss(*tensors(b, a, d, c), beta=beta)
    smooth = dpo_loss(*tensors(a, b, c, d), beta=beta, label_smoothing=smoothing)
    assert smooth.loss.item() == pytest.approx(
        (1 - smoothing) * right.loss.item() + smoothing * wrong.loss.item(), rel=1e-9, abs=1e-12
    )
    assert wrong.margin.item() == pytest.approx(-right.margin.item())


def test_smoothing_keeps_the_best_margin_finite():
    """With ε the loss is least where σ(margin) = 1 − ε, not at infinity."""
    margins = torch.linspace(-10, 10, 2001, dtype=torch.float64)
    zero = torch.zeros_like(margins)
    best = margins[dpo_loss(margins, zero, zero, zero, beta=1.0, label_smoothing=0.1).loss.argmin()]
    assert best.item() == pytest.approx(math.log(0.9 / 0.1), abs=0.01)


def test_huge_margins_stay_finite():
    result = dpo_loss(*tensors(-1e4, 0.0, 0.0, -1e4), beta=1.0)
    assert result.loss.item() == pytest.approx(2e4)
    assert dpo_loss(*tensors(0.0, -1e4, -1e4, 0.0), beta=1.0).loss.item() == 0


def test_rewards_carry_no_gradient():
    values = tensors(-1.0, -2.0, -1.0, -2.0)
    values[0].requires_grad_()
    result = dpo_loss(*values, beta=0.1)
    assert result.loss.requires_grad
    assert not any(
        x.requires_grad for x in (result.chosen_reward, result.rejected_reward, result.margin)
    )


@pytest.mark.parametrize(
    "wrong", [{"beta": 0.0}, {"beta": math.nan}, {"beta": 0.1, "label_smoothing": 0.5}]
)
def test_settings_without_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        dpo_loss(*tensors(-1.0, -1.0, -1.0, -1.0), **wrong)

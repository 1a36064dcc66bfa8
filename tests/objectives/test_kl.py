import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from veridical.objectives.kl import ESTIMATORS, adapt_kl_coefficient, kl_estimate


@pytest.mark.parametrize(
    ("estimator", "above", "below"),
    [("k1", 0.5, -0.5), ("k2", 0.125, 0.125), ("k3", 0.106531, 0.148721), ("clamped", 0.5, 0.0)],
)
def test_the_worked_example(estimator, above, below):
    policy, reference = torch.tensor([-1.0, -1.5]), torch.tensor([-1.5, -1.0])
    assert kl_estimate(policy, reference, estimator=estimator).tolist() == pytest.approx(
        [above, below], abs=1e-6
    )


def distributions():
    generator = torch.Generator().manual_seed(1)
    policy, reference = torch.randn(2, 50, generator=generator, dtype=torch.float64).log_softmax(-1)
    return policy, reference, float((policy.exp() * (policy - reference)).sum())


@pytest.mark.parametrize("estimator", ["k1", "k3"])
def test_k1_and_k3_are_unbiased(estimator):
    """The expectation over all tokens, not a sample of them, is the divergence."""
    policy, reference, truth = distributions()
    assert float(
        (policy.exp() * kl_estimate(policy, reference, estimator=estimator)).sum()
    ) == pytest.approx(truth)


def test_the_clamped_one_is_biased_upward():
    policy, reference, truth = distributions()
    assert (
        float((policy.exp() * kl_estimate(policy, reference, estimator="clamped")).sum())
        > 1.1 * truth
    )


@given(st.floats(-30, 0), st.floats(-30, 0))
def test_all_but_k1_are_never_negative(policy, reference):
    for estimator in ESTIMATORS[1:]:
        assert kl_estimate(torch.tensor(policy), torch.tensor(reference), estimator=estimator) >= 0


def test_k2_has_the_divergences_gradient():
    """E[∇k2] = E[d·∇log π] = ∇KL: what makes it right as a loss (k1 as a loss has none at all)."""
    logits = torch.tensor([0.3, -0.2, 0.9], dtype=torch.float64, requires_grad=True)
    reference = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64).log()
    policy = logits.log_softmax(-1)
    (wanted,) = torch.autograd.grad(
        (policy.exp() * (policy - reference)).sum(), logits, retain_graph=True
    )
    sampled = policy.detach().exp()
    (found,) = torch.autograd.grad(
        (sampled * kl_estimate(policy, reference, estimator="k2")).sum(), logits
    )
    torch.testing.assert_close(found, wanted)


def test_an_unknown_estimator_is_refused():
    with pytest.raises(ValueError, match="k1, k2, k3, clamped"):
        kl_estimate(torch.zeros(1), torch.zeros(1), estimator="k9")


def test_the_coefficient_goes_after_its_target():
    assert adapt_kl_coefficient(
        0.1, observed=9.0, target=6.0, samples=512, horizon=10_000
    ) == pytest.approx(0.101024)
    assert adapt_kl_coefficient(
        0.1, observed=0.0, target=6.0, samples=512, horizon=10_000
    ) == pytest.approx(0.098976)
    assert adapt_kl_coefficient(
        0.1, observed=6.6, target=6.0, samples=1000, horizon=10_000
    ) == pytest.approx(0.101)
    assert adapt_kl_coefficient(0.1, observed=6.0, target=6.0, samples=512, horizon=10_000) == 0.1
    assert math.isfinite(
        adapt_kl_coefficient(0.1, observed=-3.0, target=6.0, samples=512, horizon=10_000)
    )
    with pytest.raises(ValueError, match="above 0"):
        adapt_kl_coefficient(0.1, observed=1.0, target=0.0, samples=1, horizon=1)

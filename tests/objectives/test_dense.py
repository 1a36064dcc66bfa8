import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from veridical.objectives.dense import sequence_score
from veridical.objectives.dpo import dpo_loss

NORMALIZATIONS = ["sum", "weighted_mean", "mean"]

# Log-probabilities of policy and reference and the changed tokens, chosen and rejected: the table
# worked by hand.
CHOSEN = ([-1, -0.5, -2, -0.7], [-1.1, -0.6, -2.2, -0.7], [False, True, True, False])
REJECTED = ([-1, -1.5, -0.9], [-1, -1.2, -0.8], [False, True, False])
WORKED = {
    "RLHF-V, equation 5": (
        {"segment_weight": 5.0, "normalize": "weighted_mean"},
        0.5,
        (-1.183333, -1.316667, -1.342857, -1.114286),
        0.180952,
        0.606758,
    ),
    "sum, weight 5": (
        {"segment_weight": 5.0, "normalize": "sum"},
        0.5,
        (-14.2, -15.8, -9.4, -7.8),
        1.6,
        0.183901,
    ),
    "sum, weight 1.1": (
        {"segment_weight": 1.1, "normalize": "sum"},
        0.1,
        (-4.45, -4.88, -3.55, -3.12),
        0.086,
        0.651071,
    ),
    "plain DPO": (
        {"segment_weight": 1.0, "normalize": "sum"},
        0.1,
        (-4.2, -4.6, -3.4, -3.0),
        0.08,
        0.653947,
    ),
    "length-averaged DPO": (
        {"segment_weight": 1.0, "normalize": "mean"},
        0.1,
        (-1.05, -1.15, -1.133333, -1.0),
        0.023333,
        0.681549,
    ),
    "changed tokens only": (
        {"segment_weight": 1.0, "unchanged_weight": 0.0, "normalize": "sum"},
        0.1,
        (-2.5, -2.8, -1.5, -1.2),
        0.06,
        0.663597,
    ),
}


def score(logprobs, changed, **settings):
    values = torch.tensor(logprobs, dtype=torch.float64)
    return sequence_score(
        values, torch.ones(len(values), dtype=torch.bool), torch.tensor(changed), **settings
    )


@pytest.mark.parametrize("name", WORKED)
def test_the_table_worked_by_hand(name):
    settings, beta, expected, margin, loss = WORKED[name]
    scores = [score(side[i], side[2], **settings) for side in (CHOSEN, REJECTED) for i in (0, 1)]
    assert [s.item() for s in scores] == pytest.approx(expected, abs=1e-6)
    result = dpo_loss(scores[0], scores[2], scores[1], scores[3], beta=beta)
    assert result.margin.item() == pytest.approx(margin, abs=1e-6)
    assert result.loss.item() == pytest.approx(loss, abs=1e-6)


WEIGHTS = st.floats(0, 10, allow_subnormal=False)
"""The mean divides by the weights; one over a subnormal number is no number any more."""


@st.composite
def responses(draw):
    length = draw(st.integers(1, 12))
    logprobs = draw(st.lists(st.floats(-20, 0), min_size=length, max_size=length))
    changed = draw(st.lists(st.booleans(), min_size=length, max_size=length))
    return logprobs, changed


@given(responses())
def test_weight_one_summed_is_plain_dpo_and_averaged_the_mean(response):
    logprobs, changed = response
    assert score(logprobs, changed, segment_weight=1.0, normalize="sum").item() == pytest.approx(
        math.fsum(logprobs)
    )
    mean = math.fsum(logprobs) / len(logprobs)
    for normalize in ("mean", "weighted_mean"):
        assert score(
            logprobs, changed, segment_weight=1.0, normalize=normalize
        ).item() == pytest.approx(mean)


@given(responses(), WEIGHTS, st.sampled_from(NORMALIZATIONS), st.integers(0, 5))
def test_padding_changes_nothing_whatever_it_holds(response, weight, normalize, padding):
    logprobs, changed = response
    plain = score(logprobs, changed, segment_weight=weight, normalize=normalize)
    filler = [math.nan, -math.inf, -3.0, math.inf, 0.0][:padding]
    values = torch.tensor([logprobs + filler], dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True] * len(logprobs) + [False] * len(filler)])
    marked = torch.tensor([changed + [True] * len(filler)])
    padded = sequence_score(values, mask, marked, segment_weight=weight, normalize=normalize)
    assert padded.item() == pytest.approx(plain.item(), abs=1e-12)
    padded.sum().backward()
    assert torch.isfinite(values.grad).all()
    assert not values.grad[~mask].any()


@given(st.permutations(range(4)), st.sampled_from(NORMALIZATIONS))
def test_batch_order_changes_nothing(order, normalize):
    generator = torch.Generator().manual_seed(0)
    logprobs = -torch.rand(4, 7, generator=generator, dtype=torch.float64)
    changed = torch.rand(4, 7, generator=generator) < 0.4
    mask = torch.arange(7) < torch.tensor([[7], [3], [1], [0]])
    settings = {"segment_weight": 5.0, "normalize": normalize}
    scores = sequence_score(logprobs, mask, changed, **settings)
    turned = sequence_score(
        logprobs[list(order)], mask[list(order)], changed[list(order)], **settings
    )
    torch.testing.assert_close(turned, scores[list(order)])


@given(responses(), responses(), st.floats(1, 10), st.sampled_from(NORMALIZATIONS))
def test_identical_responses_teach_nothing(response, reference, weight, normalize):
    """Same text on both sides: loss ln 2 and a gradient of exactly zero, whatever the reference."""
    logprobs, changed = response
    values = torch.tensor(logprobs, dtype=torch.float64, requires_grad=True)
    mask, marked = torch.ones(len(values), dtype=torch.bool), torch.tensor(changed)
    settings = {"segment_weight": weight, "normalize": normalize}
    policy = sequence_score(values, mask, marked, **settings)
    frozen = sequence_score(values.detach() * 0.9, mask, marked, **settings)
    loss = dpo_loss(policy, policy, frozen, frozen, beta=0.5).loss
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2))
    assert not values.grad.any()


@given(
    st.lists(st.floats(-20, 0), min_size=1, max_size=8), responses(), responses(), st.floats(1, 10)
)
def test_a_shared_beginning_cancels_in_the_sum_and_leaves_the_papers_rest_in_the_mean(
    prefix, right, wrong, weight
):
    """RLHF-V's 1/N leaves (1/N_w − 1/N_l)·prefix; the sum leaves nothing."""

    def difference(start, normalize):
        sides = [
            score(
                start + logprobs,
                [False] * len(start) + changed,
                segment_weight=weight,
                normalize=normalize,
            )
            for logprobs, changed in (right, wrong)
        ]
        return (sides[0] - sides[1]).item()

    assert difference(prefix, "sum") == pytest.approx(difference([], "sum"), abs=1e-9)
    sizes = [
        len(prefix) + sum(weight if c else 1.0 for c in changed) for _, changed in (right, wrong)
    ]
    rest = (1 / sizes[0] - 1 / sizes[1]) * math.fsum(prefix)
    neutral = difference([0.0] * len(prefix), "weighted_mean")
    assert difference(prefix, "weighted_mean") - neutral == pytest.approx(rest, abs=1e-9)


@pytest.mark.parametrize("normalize", NORMALIZATIONS)
def test_an_empty_response_scores_nothing_and_gets_no_gradient(normalize):
    values = torch.tensor([[-1.0, -2.0]], requires_grad=True)
    nothing = torch.zeros(1, 2, dtype=torch.bool)
    result = sequence_score(values, nothing, ~nothing, segment_weight=5.0, normalize=normalize)
    assert result.tolist() == [0.0]
    result.sum().backward()
    assert not values.grad.any()


@pytest.mark.parametrize("normalize", NORMALIZATIONS)
def test_changed_only_without_changes_scores_nothing(normalize):
    result = score(
        [-1.0, -2.0], [False, False], segment_weight=1.0, unchanged_weight=0.0, normalize=normalize
    )
    assert result.item() == 0


def test_scores_keep_the_leading_shape():
    shape = (2, 3, 5)
    mask = torch.ones(shape, dtype=torch.bool)
    result = sequence_score(
        torch.zeros(shape), mask, ~mask, segment_weight=5.0, normalize="weighted_mean"
    )
    assert result.shape == (2, 3)


def test_settings_without_sense_are_refused():
    with pytest.raises(ValueError, match="must not be negative"):
        score([-1.0], [True], segment_weight=-1.0, normalize="sum")
    with pytest.raises(ValueError, match="normalize must be"):
        score([-1.0], [True], segment_weight=1.0, normalize="average")

import itertools
import math

import pytest
import torch

from veridical.objectives.best_of_n import best_of_n_values, kl_bound


def by_going_through_all(rewards, values, n):
    """Mean value of the best of every subset of n; ties by lot."""
    means = []
    for rows in itertools.combinations(range(len(rewards)), n):
        top = max(rewards[row] for row in rows)
        best = [values[row] for row in rows if rewards[row] == top]
        means.append(sum(best) / len(best))
    return sum(means) / len(means)


def exact_kl(probabilities, rewards, n):
    """KL(best-of-n ‖ policy) of a policy over few responses whose rewards all differ."""
    order = sorted(range(len(rewards)), key=rewards.__getitem__)
    reached, kl = 0.0, 0.0
    for row in order:
        p = probabilities[row]
        best = (reached + p) ** n - reached**n
        reached += p
        kl += best * math.log(best / p) if best > 0 else 0.0
    return kl


def test_worked_example():
    rewards, values = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([6.0, 0.0, 3.0])
    assert best_of_n_values(rewards, values).tolist() == pytest.approx([3.0, 2.0, 3.0])
    assert best_of_n_values(rewards).tolist() == pytest.approx([2.0, 8 / 3, 3.0])


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_mean_over_all_subsets_ties_by_lot(seed):
    generator = torch.Generator().manual_seed(seed)
    rewards = torch.randint(0, 4, (7,), generator=generator).float()
    values = torch.randn(7, generator=generator)
    got = best_of_n_values(rewards, values)
    for n in range(1, 8):
        # Ties are shared over all samples of one reward; a subset sees some of them, each equally
        # often.
        assert float(got[n - 1]) == pytest.approx(
            by_going_through_all(rewards.tolist(), values.tolist(), n), abs=1e-6
        )


def test_the_order_of_samples_and_other_prompts_change_nothing():
    generator = torch.Generator().manual_seed(0)
    rewards, values = torch.randn(3, 8, generator=generator), torch.randn(3, 8, generator=generator)
    shuffled = torch.randperm(8, generator=generator)
    together = best_of_n_values(rewards, values)
    torch.testing.assert_close(
        best_of_n_values(rewards[:, shuffled], values[:, shuffled]), together
    )
    torch.testing.assert_close(best_of_n_values(rewards[1], values[1]), together[1])


def test_it_is_unbiased():
    """2,000 draws of 16 samples: the mean of the best of 4 uniform rewards is 4/5."""
    rewards = torch.rand(2000, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    estimate = best_of_n_values(rewards)[:, 3]
    standard_error = float(estimate.std()) / math.sqrt(2000)
    assert abs(float(estimate.mean()) - 0.8) < 4 * standard_error


def test_the_last_is_the_best_and_rewards_never_fall_with_n():
    rewards = torch.randn(5, 9, generator=torch.Generator().manual_seed(2))
    got = best_of_n_values(rewards)
    torch.testing.assert_close(got[:, -1], rewards.double().amax(-1))
    assert bool((got.diff(dim=-1) >= -1e-12).all())


def test_the_bound_holds_for_any_policy_and_is_reached_by_many_equally_likely_responses():
    generator = torch.Generator().manual_seed(3)
    for size in (2, 5, 50):
        probabilities = torch.rand(size, generator=generator).pow(3)
        probabilities = (probabilities / probabilities.sum()).tolist()
        rewards = torch.randn(size, generator=generator).tolist()
        for n in (1, 2, 4, 16):
            assert exact_kl(probabilities, rewards, n) <= kl_bound(n) + 1e-9
    many = [1 / 20_000] * 20_000
    assert exact_kl(many, list(range(20_000)), 8) == pytest.approx(kl_bound(8), abs=1e-3)


def test_the_bound_in_numbers():
    assert kl_bound(1) == 0
    assert kl_bound(4) == pytest.approx(math.log(4) - 0.75)
    with pytest.raises(ValueError, match="at least 1"):
        kl_bound(0)


def test_what_cannot_be_ordered_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        best_of_n_values(torch.tensor([1.0, float("nan")]))
    with pytest.raises(ValueError, match="both be"):
        best_of_n_values(torch.zeros(3), torch.zeros(2))
    with pytest.raises(ValueError, match="both be"):
        best_of_n_values(torch.zeros(2, 0))

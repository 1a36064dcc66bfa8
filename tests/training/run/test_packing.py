"""Micro-batches by tokens: all rows once, within the budget, as full as it allows."""

from itertools import chain, pairwise
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training_runs import lines_of
from veridical.training.preference.train import train_dpo
from veridical.training.run.steps.packing import cut_by_tokens


def tokens_of(part, processes, more=0):
    """Tokens of the fullest process, padding included, if `more` rows came to the part."""
    return max(part) * ceil((len(part) + more) / processes)


@given(
    st.lists(st.integers(1, 40), max_size=30),
    st.integers(1, 100),
    st.integers(1, 4),
)
def test_parts_hold_every_row_once_and_are_as_full_as_the_budget_allows(rows, tokens, processes):
    parts = cut_by_tokens(rows, lambda row: row, tokens=tokens, processes=processes)
    assert list(chain.from_iterable(parts)) == sorted(rows, reverse=True)
    for part in parts:
        assert len(part) == 1 or tokens_of(part, processes) <= tokens
    for part, _ in pairwise(parts):
        assert tokens_of(part, processes, more=1) > tokens


def test_a_worked_example():
    assert cut_by_tokens([3, 9, 2, 4, 1], lambda row: row, tokens=8) == [[9], [4, 3], [2, 1]]


def test_dpo_learns_the_same_by_tokens_as_by_number(make_recipe, tmp_path):
    by_number = {"batch_size": 4, "micro_batch_size": 4, "max_steps": 3}
    runs = [
        train_dpo(make_recipe(train={**by_number, **more}), tmp_path / f"run-{number}")
        for number, more in enumerate(({}, {"micro_batch_tokens": 1}))
    ]
    lines = [lines_of(run.run_dir, "train") for run in runs]
    for first, second in zip(*lines, strict=True):
        assert first["loss"] == pytest.approx(second["loss"], abs=1e-5)
        assert first["grad_norm"] == pytest.approx(second["grad_norm"], rel=1e-4)

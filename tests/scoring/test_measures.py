"""A metric and its measure are one number: what is tested in pairs is what is reported."""

import pytest

from miniature_benchmarks import COMPARED, MINIATURES, OPTIONS
from official_data import DATA
from veridical.errors import ConfigError
from veridical.scoring.comparison import compare_scores, is_headline
from veridical.scoring.files import score
from veridical.scoring.registry import find_benchmark, own_benchmark_names

NAMES = [name for name in own_benchmark_names() if name in MINIATURES]
CASES = [(name, variant) for name in NAMES for variant in find_benchmark(name).card.variants]
NO_TEST = {("pope", "lmms-eval")}
"""Counted so oddly that a pair by pair comparison has no meaning."""


@pytest.fixture(autouse=True)
def _tagger(monkeypatch):
    if (DATA / "nltk_data").is_dir():
        monkeypatch.setenv("NLTK_DATA", str(DATA / "nltk_data"))


def speaker(*words):
    """Says one thing after another."""
    said = iter(words * 100)
    return lambda question: next(said)


def scored(folder, name, variant, *words):
    folder.mkdir()
    try:
        return score(
            name,
            MINIATURES[name](folder, speaker(*words)),
            variant=variant,
            options=OPTIONS.get(name),
        )
    except ConfigError as error:
        pytest.skip(str(error))


SAID = ("Yes", "8 6", "No", "8 6", "A dog and a cat. Rating: 4", "8 6", "B", "Rating: 2")
OTHER = ("No", "7 9", "A dog. Rating: 6", "7 9", "Yes", "7 9", "Rating: 1", "A")


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_every_headline_metric_can_be_compared(tmp_path, name, variant):
    result = scored(tmp_path / "first", name, variant, *SAID)
    benchmark = find_benchmark(name, options=OPTIONS.get(name))
    measures = benchmark.measures(result.items, variant=variant)
    if (name, variant) in NO_TEST:
        assert measures == {}
        return
    assert COMPARED[name] <= set(measures)
    headline = {
        label for label, metric in result.total.metrics.items() if is_headline(label) and metric.n
    }
    for label in headline & set(measures):
        measure = measures[label]
        value = sum(measure.numerators) / sum(measure.denominators)
        # AMBER's official values carry a bias in the denominator and are rounded.
        near = 0.02 if (name, variant) == ("amber", "official") else 1e-9
        assert result.total.metrics[label].value == pytest.approx(value, abs=near), label


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_two_runs_are_compared_both_ways(tmp_path, name, variant):
    first, second = (
        scored(tmp_path / str(i), name, variant, *words) for i, words in enumerate((SAID, OTHER))
    )
    there, back = compare_scores(first, second), compare_scores(second, first)
    assert there.keys() == back.keys()
    for label, one in there.items():
        assert one.difference.difference == pytest.approx(-back[label].difference.difference), label
        assert one.difference.p == pytest.approx(back[label].difference.p, abs=0.02), label
    same = compare_scores(first, first)
    assert all(one.difference.difference == 0 and one.difference.p == 1 for one in same.values())

"""Models that say nothing sensible get a sensible score or a clear error in every benchmark."""

import math

import pytest

from miniature_benchmarks import MINIATURES, OPTIONS
from official_data import DATA
from veridical.errors import ConfigError, DataError
from veridical.scoring.files import score
from veridical.scoring.page import score_table
from veridical.scoring.registry import find_benchmark, own_benchmark_names

EVERYTHING = (
    "There is a person, bicycle, car, bus, train, boat, bench, bird, cat, dog, horse, sheep, cow,"
    " tie, cup, fork, knife, bowl, apple, pizza, cake, chair, couch, bed, tv, mouse, book, clock,"
    " sky and tree. Yes. No. A. B. Rating: 6 8 9"
)
MODELS = {
    "always yes": lambda question: "Yes",
    "always no": lambda question: "No",
    "always A": lambda question: "A",
    "empty": lambda question: "",
    "blanks": lambda question: " \n\t ",
    "echo": lambda question: question,
    "everything at once": lambda question: EVERYTHING,
    "never an object": lambda question: "It is nice and looks good.",
    "refusal": lambda question: "I'm sorry, but I can't help with images.",
    "another language": lambda question: "写真には何もありません。",
    "endless": lambda question: "dog " * 5000,
    "odd signs": lambda question: "\u0000\u200b\ufffd\U0001f415 {}%s\\",
}
NAMES = [name for name in own_benchmark_names() if name in MINIATURES]
CASES = [(name, variant) for name in NAMES for variant in find_benchmark(name).card.variants]
STATUSES = ("scored", "empty", "unparsed", "refused", "failed")


@pytest.fixture(autouse=True)
def _tagger(monkeypatch):
    if (DATA / "nltk_data").is_dir():
        monkeypatch.setenv("NLTK_DATA", str(DATA / "nltk_data"))


def score_or_refuse(name, files, **settings):
    """A score; skipped where a variant says that it needs nltk's data and that is not here."""
    try:
        return score(name, files, options=OPTIONS.get(name), **settings)
    except ConfigError as error:
        if "NLTK_DATA" not in str(error):
            raise
        pytest.skip("nltk's data is not here")


def test_every_benchmark_has_its_miniature():
    assert set(own_benchmark_names()) - {"world"} <= set(
        MINIATURES
    )  # the world's are in evaluation/test_world.py


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("name", "variant"), CASES)
def test_no_model_breaks_a_benchmark(name, variant, model, tmp_path):
    files = MINIATURES[name](tmp_path, MODELS[model])
    scored = score_or_refuse(name, files, variant=variant)
    specs = find_benchmark(name).card.metrics
    assert scored.total.metrics
    for metric, found in scored.total.metrics.items():
        assert math.isfinite(found.value), metric
        assert found.low <= found.value <= found.high, metric
        spec = (
            specs.get(metric)
            or specs.get(f"{metric.partition('/')[0]}/*")
            or specs[metric.partition("/")[0]]
        )
        if spec.unit == "rate":
            assert -1 <= found.value <= 1, metric
    counts = scored.total.counts
    assert counts["items"] == len(scored.items) > 0
    assert (
        sum(
            counts.get(status, 0) for status in ("scored", "empty", "unparsed", "refused", "failed")
        )
        == counts["items"]
    )
    assert "nan" not in score_table(scored.total).lower()


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_nothing_to_score_gives_no_number(name, variant):
    benchmark = find_benchmark(name, options=OPTIONS.get(name))
    metrics = benchmark.aggregate([], variant=variant)
    assert all(metric.n == 0 for metric in metrics.values())
    assert not any(benchmark.count([]).values())
    assert isinstance(benchmark.warnings([], metrics, variant=variant), tuple)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_file_is_a_fault_and_no_score(name, tmp_path):
    files = MINIATURES[name](tmp_path, MODELS["always yes"])
    first = files.reviews or files.responses
    first.write_bytes(b"")
    with pytest.raises(DataError, match=f"{first.name}: .*empty"):
        score(name, files, options=OPTIONS.get(name))


@pytest.mark.parametrize("name", NAMES)
def test_scoring_twice_gives_the_same_and_the_seed_moves_intervals_only(name, tmp_path):
    files = MINIATURES[name](tmp_path, lambda question: "Yes, a dog. Rating: 3\n8 9")
    one, two, other = (score_or_refuse(name, files, seed=seed) for seed in (0, 0, 1))
    assert one == two
    values = [
        {key: metric.value for key, metric in scored.total.metrics.items()}
        for scored in (one, other)
    ]
    assert values[0] == values[1]

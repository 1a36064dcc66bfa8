"""Benchmarks are found by name, those of other packages too; what cannot be had is not offered."""

import subprocess
import sys

import pytest

from official_data import write_lines
from veridical.errors import ConfigError
from veridical.scoring import registry
from veridical.scoring.files import score
from veridical.scoring.page import benchmark_lines
from veridical.scoring.protocol import Benchmark, Files

ALL = registry.own_benchmark_names()


def test_benchmarks_of_this_package_are_offered():
    assert set(ALL) >= {"pope", "vqa", "hallusionbench", "multiple-choice"}
    assert registry.benchmark_names()[: len(ALL)] == ALL


def test_names_are_listed_in_one_order_and_without_importing_a_benchmark():
    code = (
        "import sys\nfrom veridical.scoring.registry import own_benchmark_names\n"
        "names = own_benchmark_names()\nassert names == sorted(names) and 'pope' in names\n"
        "print([name for name in sys.modules if name.startswith('veridical.benchmarks.')"
        " and name.count('.') > 2])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def a_package(folder, monkeypatch, name, folders):
    """A package of the given folders: name → text of its `__init__`."""
    for inner, text in {"": "", **folders}.items():
        (folder / name / inner).mkdir(parents=True, exist_ok=True)
        (folder / name / inner / "__init__.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))


def test_a_folder_registers_itself_with_one_line(tmp_path, monkeypatch):
    folders = {"one": 'BENCHMARK = "first-one = code:One"\n', "shared": '"""Several use it."""\n'}
    a_package(tmp_path, monkeypatch, "some_benchmarks", folders)
    found = registry.declared_in("some_benchmarks")
    assert {name: point.value for name, point in found.items()} == {
        "first-one": "some_benchmarks.one.code:One"
    }


def test_two_folders_of_one_name_are_refused(tmp_path, monkeypatch):
    folders = {folder: f'BENCHMARK = "same = code:{folder.title()}"\n' for folder in ("a", "b")}
    a_package(tmp_path, monkeypatch, "alike_benchmarks", folders)
    with pytest.raises(ConfigError, match=r"Two folders declare the benchmark 'same': .*a\.code"):
        registry.declared_in("alike_benchmarks")


@pytest.mark.parametrize("name", ALL)
def test_every_card_says_all_that_a_page_needs(name):
    benchmark = registry.find_benchmark(name)
    card = benchmark.card
    assert benchmark.name == name
    assert isinstance(benchmark, Benchmark)
    for text in (card.title, card.paper, card.measures, card.leaves_out, card.data):
        assert text.strip()
    for group in (card.variants, card.inputs, card.metrics):
        assert group
        assert all(spec.meaning.strip() for spec in group.values())
    assert card.faults or not any(spec.official for spec in card.variants.values())
    for reference in card.references:
        assert reference.variant in card.variants
        assert reference.source
        for metric, value in reference.values.items():
            spec = card.metrics.get(metric) or card.metrics.get(f"{metric.partition('/')[0]}/*")
            assert spec is not None, metric
            assert spec.unit != "rate" or -1 <= value <= 1, metric


def test_an_unknown_name_says_what_there_is():
    with pytest.raises(ConfigError, match=r"There is no benchmark 'popo'\. There are: amber, "):
        registry.find_benchmark("popo")


def test_an_unknown_variant_and_files_too_few_or_too_many_are_reported(tmp_path):
    there = write_lines(tmp_path / "a.jsonl", [{"question_id": 1, "answer": "No"}])
    with pytest.raises(ConfigError, match=r"has no variant 'best'\. It has: official, strict"):
        score("pope", Files(responses=there, questions=there), variant="best")
    with pytest.raises(
        ConfigError, match=r"The benchmark 'pope' needs --questions\. --responses: Rows of"
    ):
        score("pope", Files(responses=there))
    with pytest.raises(
        ConfigError, match=r"The benchmark 'pope' does not read --reviews\. Leave it out\."
    ):
        score("pope", Files(responses=there, questions=there, reviews=there))


def install(folder, monkeypatch, *, body, name="mine"):
    """An installed distribution with an entry point, as pip leaves it."""
    (folder / "theirs.py").write_text(body)
    info = folder / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{name} = theirs:Theirs\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "theirs", raising=False)


def test_an_entry_point_that_is_no_benchmark_is_reported(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, body="Theirs = 3\n")
    assert registry.benchmark_names()[-1] == "mine"
    with pytest.raises(
        ConfigError, match=r"entry point 'mine' \(theirs:Theirs\) is not a Benchmark class, got 3"
    ):
        registry.find_benchmark("mine")


def test_a_foreign_benchmark_takes_no_name_of_ours(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, body="Theirs = 3\n", name="pope")
    assert registry.benchmark_names().count("pope") == 1
    assert registry.find_benchmark("pope").card.title == "POPE"


def test_the_list_goes_on_after_a_foreign_benchmark_that_cannot_be_had(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, body="Theirs = 3\n")
    listed = benchmark_lines()
    assert [line.partition(":")[0] for line in listed] == [*ALL, "mine"]
    assert listed[ALL.index("pope")].startswith(
        "pope: POPE · variants official, strict, vlmevalkit, lmms-eval · reads responses"
    )
    assert "is not a Benchmark class" in listed[-1]


def test_a_foreign_benchmark_that_cannot_be_imported_is_reported(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, body="import no_such_package_at_all\n")
    with pytest.raises(
        ConfigError, match=r"'mine' \(theirs:Theirs\) cannot be loaded: No module named 'no_such"
    ):
        registry.find_benchmark("mine")

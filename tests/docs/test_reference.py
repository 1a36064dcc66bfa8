import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_what_the_code_says(generator):
    for name, text in generator.pages().items():
        written = (ROOT / "docs" / name).read_text(encoding="utf-8")
        assert written == text, f"docs/{name} is out of date: run `make docs`"


def test_every_benchmark_has_its_page(generator):
    from veridical.scoring.registry import own_benchmark_names

    assert {f"benchmarks/{name}.md" for name in own_benchmark_names()} <= set(generator.pages())


def test_the_check_names_the_page_that_is_out_of_date(generator, tmp_path, monkeypatch):
    monkeypatch.setattr(generator, "FOLDER", tmp_path / "docs")
    monkeypatch.setattr(generator, "pages", lambda: {"reference/a.md": "new\n"})
    monkeypatch.setattr(generator.sys, "argv", ["generate.py"])
    generator.main()
    monkeypatch.setattr(generator.sys, "argv", ["generate.py", "--check"])
    generator.main()
    (tmp_path / "docs" / "reference" / "a.md").write_text("old\n")
    with pytest.raises(SystemExit, match=r"docs/reference/a\.md"):
        generator.main()

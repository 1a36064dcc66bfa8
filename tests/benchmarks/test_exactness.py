"""Every value that the official code returned is reproduced or accounted for in exactness.md."""

from pathlib import Path

import pytest

from exactness.accounts import MISSING, page, reason, values
from official_data import DATA, needs_data

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks" / "exactness.md"
pytestmark = needs_data


@pytest.fixture(scope="module")
def found():
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("NLTK_DATA", str(DATA / "nltk_data"))
        return list(values())


def same(ours, official):
    if isinstance(official, (str, bool)):
        return ours == official
    return ours == pytest.approx(official, rel=1e-9, abs=1e-12)


def test_what_the_official_code_returned_is_given_again(found):
    wrong = [
        value
        for value in found
        if value.ours is not MISSING and not same(value.ours, value.official)
    ]
    assert not wrong, "\n".join(
        f"{'/'.join(one.path)}: {one.official} there, {one.ours} here" for one in wrong[:40]
    )


def test_what_is_not_given_again_has_its_reason(found):
    assert [value.path for value in found if value.ours is MISSING and reason(value) is None] == []


def test_nearly_all_is_given_again(found):
    assert sum(value.ours is not MISSING for value in found) > 0.95 * len(found) > 1000


def test_the_page_says_so(found):
    assert PAGE.read_text(encoding="utf-8") == page(found), "behind: python tests/exactness"

"""Every link of every page leads somewhere, and every page can be found from the README."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/**/*.md", "examples/**/*.md", "notes/*.md")
    for path in ROOT.glob(pattern)
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)
FROM = [ROOT / "README.md", ROOT / "docs" / "README.md"]


def prose(page):
    """The text of a page without its code blocks."""
    text = page.read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def links(page):
    """(file, anchor) of every relative link of a page; a link to a folder leads to its README."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if not re.match(r"https?:|mailto:", target):
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            yield (file / "README.md" if file.is_dir() else file), anchor, target


def anchors(page):
    """The anchors that GitHub makes of a page's headings."""
    for heading in re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        yield re.sub(r"[^\w\- ]", "", text).strip().replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading_that_exist(page):
    for file, anchor, target in links(page):
        assert file.is_file(), f"{page.relative_to(ROOT)} links to {target}"
        if anchor and file.suffix == ".md":
            assert anchor in set(anchors(file)), f"{page.relative_to(ROOT)} links to {target}"


def test_every_page_can_be_reached_from_the_readme():
    waiting, found = [*FROM], set()
    while waiting:
        page = waiting.pop()
        if page not in found and page.suffix == ".md":
            found.add(page)
            waiting += [file for file, _, _ in links(page)]
    assert set(PAGES) - found == set()


def test_there_are_pages_and_links_to_check():
    assert len(PAGES) > 30
    assert sum(1 for page in PAGES for _ in links(page)) > 50

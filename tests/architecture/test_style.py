"""Size, layout and voice of the source: what a reader would stumble over fails, with a reason."""

import ast
import io
import re
import statistics
import tokenize
from pathlib import Path

import pytest

import veridical

PACKAGE = Path(veridical.__file__).parent
ROOT = PACKAGE.parents[1]
FILES = sorted(PACKAGE.rglob("*.py"))
FOLDERS = sorted({path.parent for path in FILES})
PAGES = [
    path
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "benchmarks/**/*.md", "notes/*.md")
    for path in sorted(ROOT.glob(pattern))
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
]
RECIPES = sorted((PACKAGE / "recipes").glob("*.toml"))


def name(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [p for p in FILES if p.parent.name != "versions"], ids=name)
def test_a_module_fits_in_the_head(path):
    """Migrations of the studio's database (`versions/`) are frozen once released, at any length."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize("folder", FOLDERS, ids=name)
def test_a_folder_can_be_taken_in_at_a_glance(folder):
    assert len(list(folder.glob("*.py"))) <= 15


def body_lines(function):
    """Lines of a function's body, docstring not counted."""
    body = function.body
    first = body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        body = body[1:]
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_functions_are_short():
    lengths = [
        body_lines(node)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    ]
    assert len(lengths) > 500
    assert statistics.median(lengths) < 8


def holds_numbers(statement):
    """Whether a statement assigns a literal with numbers in it: a table."""
    if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
        return False
    return any(
        isinstance(node, ast.Constant) and isinstance(node.value, int | float)
        for node in ast.walk(statement.value)
    )


@pytest.mark.parametrize(
    "path",
    [p for p in (*FILES, *ROOT.glob("tests/**/*.py")) if "fmt: " in p.read_text(encoding="utf-8")],
    ids=name,
)
def test_only_tables_of_numbers_are_laid_out_by_hand(path):
    text = path.read_text(encoding="utf-8")
    statements = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.stmt)]
    for number, line in enumerate(text.splitlines(), start=1):
        if re.search(r"#\s*fmt:\s*(skip|off)", line):
            inner = [s for s in statements if s.lineno <= number <= (s.end_lineno or 0)]
            assert inner, f"line {number}"
            assert holds_numbers(max(inner, key=lambda s: s.lineno)), (
                f"line {number}: {line.strip()}"
            )


BANNED = {
    r"\bmend(?:s|ed|ing)?\b": "say fix",
    r"\btold\b(?! (?:apart|from)\b)": "say reported, shown or trained on",
    r"\baloud\b": "leave it out, or say with a message",
    r"\breckon(?:s|ed|ing)?\b": "say compute or estimate",
    r"\blet(?:s)? go of\b": "say release",
    r"\bput aside\b|\bputs? \w+ aside\b": "say reject, quarantine or write to",
    r"\b(?:is|are|was|were) no (?!longer\b|more\b|better\b)": ("say is not a, does not have"),
    r"\bof which\b": "use two sentences, or a comma",
    r"\bof one's own\b": "say your own",
    r"\b(?:tokens?|responses?|words?|steps?|points?|nats) an? "
    r"(?:image|response|prompt|step|token|pair)\b": ("a rate takes per: tokens per response"),
    r"\bgoes on where\b|\bgo on where\b": "say resumes",
    r"\bunsaid\b": "say silently",
}
"""Pattern → what to say instead. Each was a habit of this code base that native readers stumbled
over; where one has a plain sense too, the sentence is rephrased rather than excepted."""


def texts_of(path):
    """(line, text) of what people read: docstrings, comments and messages; all lines of a page."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type in {tokenize.STRING, tokenize.COMMENT}:
                yield token.start[0], token.string
    else:
        prose = re.sub(
            r"^```.*?^```",
            lambda m: "\n" * m[0].count("\n"),
            source,
            flags=re.DOTALL | re.MULTILINE,
        )
        yield 1, prose


def findings(path):
    """Where a banned word stands."""
    for line, text in texts_of(path):
        for pattern, advice in BANNED.items():
            for found in re.finditer(pattern, text, flags=re.IGNORECASE):
                if re.search(r"\b[Tt]here\s+$", text[: found.start()]):  # "there is no" is plain
                    continue
                place = line + text.count("\n", 0, found.start())
                yield f"{name(path)}:{place}: {found[0]!r}: {advice}"


@pytest.mark.parametrize("path", [*FILES, *PAGES, *RECIPES], ids=name)
def test_plain_words_are_used(path):
    assert list(findings(path)) == []


def test_the_words_are_found_where_they_stand(tmp_path):
    module = PACKAGE / "voice.py"
    text = '"""Faults are told.\n\nMend them; there is no other way."""\nX = "he is no judge"\n'
    pages = {module: text}

    class Fake(type(module)):
        def read_text(self, **_):
            return pages[module]

    found = list(findings(Fake(module)))
    assert [row.split(": ")[0].rpartition(":")[2] for row in found] == ["3", "1", "4"]

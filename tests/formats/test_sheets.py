"""Tables and workbooks: which sheet counts, and where a row begins."""

import io
import re
import zipfile

import openpyxl

from veridical.formats.sources.sheets import read_table, read_workbook


def reordered(data):
    """The workbook with the last of its tabs in front, as a spreadsheet saves it when moved."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            part = old.read(name)
            if name == "xl/workbook.xml":
                first, second = re.findall(rb"<sheet [^>]*/>", part)
                part = part.replace(first + second, second + first)
            new.writestr(name, part)
    return out.getvalue()


def test_the_sheet_that_stands_first_counts_whatever_its_file_is_called(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["id"])
    book.active.append(["of the first file"])
    second = book.create_sheet("Moved")
    second.append(["id"])
    second.append(["of the first tab"])
    stream = io.BytesIO()
    book.save(stream)
    (plain,) = read_workbook(tmp_path / "a.xlsx", stream.getvalue())
    (moved,) = read_workbook(tmp_path / "a.xlsx", reordered(stream.getvalue()))
    assert plain.values == {"id": "of the first file"}
    assert moved.values == {"id": "of the first tab"}


def test_a_row_of_several_lines_is_where_it_begins(tmp_path):
    text = 'id,text\n1,"two\nlines"\n2,one\n'
    rows = read_table(tmp_path / "a.csv", text, delimiter=",")
    assert [(row.line, row.values["text"]) for row in rows] == [(2, "two\nlines"), (4, "one")]

"""One set of answers in all layouts that circulate: wrappers, tables, other tools' outputs."""

import csv
import gzip
import io
import json
import re
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

from official_data import write_lines
from veridical.records import ImageRef, Prompt, Response, write_records


def array(folder, rows):
    return _write(folder / "rows.json", json.dumps(rows, ensure_ascii=False))


def pretty(folder, rows):
    return _write(folder / "pretty.json", json.dumps(rows, ensure_ascii=False, indent=2))


def lines(folder, rows):
    return write_lines(folder / "rows.jsonl", rows)


def one_after_the_other(folder, rows):
    return _write(folder / "many.json", "\n".join(json.dumps(row, indent=1) for row in rows))


def sentences(folder, rows):
    """OPERA's own output."""
    document = {"sentences": rows, "overall_metrics": {"CHAIRs": 0.5}}
    return _write(folder / "opera.json", json.dumps(document))


def image_to_eval(folder, rows):
    """The original CHAIR's input."""
    document = {"overall": {}, "imgToEval": {str(n): row for n, row in enumerate(rows)}}
    return _write(folder / "captions.json", json.dumps(document, indent=1))


def parts(folder, rows):
    """Rows of several workers, each wrapped by its own object."""
    half = len(rows) // 2
    return _write(folder / "parts.json", json.dumps([{"rows": rows[:half]}, {"rows": rows[half:]}]))


def zipped(folder, rows):
    path = folder / "rows.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    return path


def table(folder, rows, *, delimiter=",", name="rows.csv"):
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return _write(folder / name, "\ufeff" + out.getvalue())


def tabs(folder, rows):
    return table(folder, rows, delimiter="\t", name="rows.tsv")


def workbook(folder, rows, *, name="rows.xlsx"):
    """An Excel file with shared, inline and numeric cells."""
    texts: dict[str, int] = {}
    body = []
    for number, cells in enumerate([list(rows[0]), *(row.values() for row in rows)], start=1):
        made = []
        for place, value in enumerate(cells):
            where = f"{chr(65 + place)}{number}"
            if isinstance(value, int):
                made.append(f'<c r="{where}"><v>{value}.0</v></c>')
            elif place % 2:
                kept = _cell(value)
                made.append(
                    f'<c r="{where}" t="inlineStr"><is><t xml:space="preserve">{kept}</t></is></c>'
                )
            else:
                index = texts.setdefault(str(value), len(texts))
                made.append(f'<c r="{where}" t="s"><v>{index}</v></c>')
        body.append(f'<row r="{number}">{"".join(made)}</row>')
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    shared = "".join(f'<si><r><t xml:space="preserve">{_cell(text)}</t></r></si>' for text in texts)
    path = folder / name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/sharedStrings.xml", f"<sst {space}>{shared}</sst>")
        sheet = f"<worksheet {space}><sheetData>{''.join(body)}</sheetData></worksheet>"
        archive.writestr("xl/worksheets/sheet1.xml", sheet)
    return path


def lmms_eval(folder, rows, *, id_name, answer):
    """lmms-eval's --log_samples, out of order; the truth is under `target` and in the doc."""
    made = [
        {
            "doc_id": n,
            "doc": {
                **{name: row[name] for name in (id_name, "image_id", "category") if name in row},
                "question": "What is asked?",
                "answer": "the truth",
            },
            "target": "the truth",
            "arguments": [["What is asked?", {}]],
            "resps": [[f" {row[answer]}"]],
            "filtered_resps": [row[answer]],
            "exact_match": 0.0,
        }
        for n, row in enumerate(rows)
    ]
    return write_lines(folder / "samples.jsonl", made[::-1])


def vlmevalkit(folder, rows, *, id_name, answer, write=workbook):
    """VLMEvalKit's table of predictions; the truth is under `answer`."""
    made = [
        {
            "index": row[id_name],
            **({"image_id": row["image_id"]} if "image_id" in row else {}),
            "question": "What is asked?",
            "answer": "the truth",
            "prediction": row[answer],
        }
        for row in rows
    ]
    return write(folder, made)


def evalscope(folder, rows, *, answer):
    """evalscope's predictions, which hold no id of the dataset's own: rows are in its order."""
    made = [
        {
            "index": n,
            "model": "m",
            "model_output": {
                "choices": [{"message": {"role": "assistant", "content": [{"text": row[answer]}]}}]
            },
            "messages": [{"role": "user", "content": [{"type": "text", "text": "?"}]}],
        }
        for n, row in enumerate(rows)
    ]
    return write_lines(folder / "evalscope.jsonl", made[::-1])


def generated(folder, rows, *, id_name, answer, images=None, question="What is asked?"):
    """The folder that `veridical generate` leaves, with the prompts that its recipe names."""
    out = folder / "generated"
    out.mkdir(exist_ok=True)
    prompts = [
        Prompt(
            id=str(row[id_name]),
            image=ImageRef(path=images[n] if images else f"{n}.jpg"),
            question=row.get("question", question),
        )
        for n, row in enumerate(rows)
    ]
    write_records(folder / "prompts.jsonl", prompts, kind="Prompt")
    responses = [
        Response(id=f"{row[id_name]}#0", prompt_id=str(row[id_name]), text=row[answer], model="m")
        for row in rows
    ]
    write_records(out / "responses.jsonl", responses, kind="Response")
    (out / "recipe.toml").write_text(f'prompts = "{folder / "prompts.jsonl"}"\n')
    (out / "manifest.json").write_text("{}")
    return out


WRAPPERS = (array, pretty, lines, one_after_the_other, sentences, image_to_eval, parts, zipped)
"""What holds the rows as they are."""
TABLES = (table, tabs, workbook)
"""What holds rows of plain cells."""


def _cell(value) -> str:
    """A text as Excel writes it: what XML cannot hold as _xHHHH_."""
    kept = re.sub(r"[\x00-\x08\x0b-\x1f]", lambda m: f"_x{ord(m[0]):04X}_", str(value))
    return escape(kept)


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path

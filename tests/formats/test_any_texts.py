"""Any texts, written down as each project does, are read as they were."""

import base64
import csv
import io
import json

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from foreign_data import image_bytes
from veridical.formats.format import RowFields, RowReader
from veridical.formats.registry import find_format
from veridical.formats.sources import SourceRow, table_rows
from veridical.formats.text import clean_question
from veridical.records.texts import clean_text, same_text

LETTERS = st.sampled_from("abc ABC 019 .,;!?'\"-()éß中ש🐈\n\t%&/")
TEXT = (
    st.text(LETTERS, min_size=1, max_size=40)
    .map(clean_text)
    .filter(lambda text: text.strip() and clean_question(text) == text)
)
PICTURE = image_bytes(0)


def said(role, text):
    return {"role": role, "content": text}


def turns(*texts):
    return [{"from": ("human", "gpt")[n % 2], "value": text} for n, text in enumerate(texts)]


def rated(text, rating):
    names = ("Helpfulness", "Visual Faithfulness", "Ethical Considerations")
    ratings = {name: {"Rating": str(rating), "Rationale": ""} for name in names}
    return {"model": "m", "response": text, "annotations": ratings}


def label_studio(q, a, b):
    area = {"from_name": "corrected", "to_name": "response", "type": "textarea"}
    judged = [{"id": 1, "completed_by": 1, "result": [area | {"value": {"text": [a]}}]}]
    return {"data": {"image": "a.png", "question": q, "response": b}, "annotations": judged}


def argilla(q, a, b):
    fix = [{"value": a, "status": "submitted", "user_id": "u"}]
    fields = {"image": "a.png", "prompt": q, "response": b}
    return {"id": "1", "fields": fields, "responses": {"fix": fix}}


def encoded(text):
    return base64.b64encode(text.encode()).decode()


ONE = {"images": ["a.png"]}
PAIRS = {
    "povid": lambda q, a, b: {
        "image": "a.png",
        "conversations": turns(f"<image>\n{q}", a),
        "rejected_conversations": turns(f"<image>\n{q}", b),
    },
    "csr": lambda q, a, b: {
        "image": "a.png",
        "conversations": turns(f"USER: <image>{q} ASSISTANT:", a),
        "rejected_conversations": turns(f"USER: <image>{q} ASSISTANT:", b),
    },
    "mdpo": lambda q, a, b: {
        "img_path": "a.png",
        "prompt": f"USER: <image>\n{q} ASSISTANT:",
        "chosen": a,
        "rejected": b,
    },
    "ha-dpo": lambda q, a, b: {"image_id": 7, "question": q, "chosen": a, "rejected": b},
    "mmpr": lambda q, a, b: {"image": "a.png", "question": q, "chosen": a, "rejected": b},
    "spa-vl": lambda q, a, b: {"image": "a.png", "question": q, "chosen": a, "rejected": b},
    "vti": lambda q, a, b: {"image": "a.png", "question": q, "value": a, "h_value": b},
    "rlaif-v": lambda q, a, b: {"image": "a.png", "question": q, "chosen": a, "rejected": b},
    "rlhf-v": lambda q, a, b: {
        "image": {"bytes": PICTURE},
        "text": json.dumps({"question": q, "chosen": a, "rejected": b}),
    },
    "rlhf-v-tsv": lambda q, a, b: {
        "name": "n",
        "image": base64.b64encode(PICTURE).decode(),
        "texts": encoded(json.dumps([q, a, b])),
        "dataset": "",
        "meta": "",
        "index": "1",
        "image_id": "i",
    },
    "plain": lambda q, a, b: {"image": "a.png", "prompt": q, "chosen": a, "rejected": b},
    "alpaca": lambda q, a, b: {"instruction": q, "chosen": a, "rejected": b, **ONE},
    "label-studio": label_studio,
    "argilla": argilla,
}
CHATS = {
    "LLaMA-Factory": lambda q, a, b: {
        "conversations": turns(f"<image>{q}"),
        "chosen": turns("", a)[1],
        "rejected": turns("", b)[1],
        **ONE,
    },
    "ms-swift, a text": lambda q, a, b: {
        "messages": [said("user", f"<image>{q}"), said("assistant", a)],
        "rejected_response": b,
        **ONE,
    },
    "ms-swift, messages": lambda q, a, b: {
        "messages": [said("user", f"<image>{q}"), said("assistant", a)],
        "rejected_messages": [said("user", f"<image>{q}"), said("assistant", b)],
        **ONE,
    },
    "ms-swift, query": lambda q, a, b: {
        "query": f"<image>{q}",
        "response": a,
        "rejected_response": b,
        **ONE,
    },
    "TRL, standard": lambda q, a, b: {"prompt": q, "chosen": a, "rejected": b, **ONE},
    "TRL, conversational": lambda q, a, b: {
        "prompt": [said("user", [{"type": "image"}, {"type": "text", "text": q}])],
        "chosen": [said("assistant", [{"type": "text", "text": a}])],
        "rejected": [said("assistant", [{"type": "text", "text": b}])],
        **ONE,
    },
    "TRL, implicit prompt": lambda q, a, b: {
        "chosen": [said("user", q), said("assistant", a)],
        "rejected": [said("user", q), said("assistant", b)],
        **ONE,
    },
    "LLaMA-Factory's next version": lambda q, a, b: {
        side: [
            said("user", [{"type": "image_url", "value": "a.png"}, {"type": "text", "value": q}]),
            said("assistant", [{"type": "text", "value": answer}]),
        ]
        for side, answer in (("chosen_messages", a), ("rejected_messages", b))
    },
}
EVERY = [(name, name, make) for name, make in PAIRS.items()]
EVERY += [(name, "chat", make) for name, make in CHATS.items()]


def read(form, row, folder):
    reader = RowReader(SourceRow(folder / "rows.jsonl", 1, row), judged_by="human")
    return find_format(form).read(RowFields(row), reader)


@pytest.mark.parametrize(("form", "make"), [row[1:] for row in EVERY], ids=[r[0] for r in EVERY])
@settings(max_examples=20)
@given(question=TEXT, chosen=TEXT, rejected=TEXT)
def test_any_pair_is_read_as_it_was(tmp_path_factory, form, make, question, chosen, rejected):
    assume(not same_text(chosen, rejected))
    found = read(form, make(question, chosen, rejected), tmp_path_factory.getbasetemp())
    (pair,) = found.corrections
    assert (pair.question, pair.chosen, pair.rejected) == (question, chosen, rejected)


RANKED = {
    "vlfeedback": lambda q, a, b: {
        "prompt": q,
        "img_path": "a.png",
        "completions": [rated(b, 2), rated(a, 5)],
    },
    "bpo": lambda q, a, b: {
        "prompt": f"{q}\n<image>",
        "image": "a.png",
        "completions": [{"score": 0, "response": b}, {"score": 1, "response": a}],
    },
}


@pytest.mark.parametrize("form", RANKED)
@settings(max_examples=20)
@given(question=TEXT, chosen=TEXT, rejected=TEXT)
def test_any_ranked_answers_are_read_as_they_were(
    tmp_path_factory, form, question, chosen, rejected
):
    assume(not same_text(chosen, rejected))
    row = RANKED[form](question, chosen, rejected)
    found = read(form, row, tmp_path_factory.getbasetemp())
    texts = {response.id: response.text for response in found.responses}
    (comparison,) = found.comparisons
    assert comparison.preferred == "second"
    assert [texts[name] for name in comparison.response_ids] == [rejected, chosen]
    assert found.prompts[0].question == question


@settings(max_examples=20)
@given(question=TEXT, answer=TEXT, good=st.booleans())
def test_any_unpaired_answer_is_read_as_it_was(tmp_path_factory, question, answer, good):
    talk = [said("user", f"<image>{question}"), said("assistant", answer)]
    found = read("kto", {"messages": talk, "label": good, **ONE}, tmp_path_factory.getbasetemp())
    assert found.prompts[0].question == question
    assert found.responses[0].text == answer
    assert found.ratings[0].score == (6 if good else 0)


@settings(max_examples=20)
@given(texts=st.lists(TEXT, min_size=2, max_size=6).filter(lambda texts: len(texts) % 2 == 0))
def test_any_conversation_is_read_as_it_was(tmp_path_factory, texts):
    row = {"image": "a.png", "conversations": turns(f"<image>\n{texts[0]}", *texts[1:])}
    found = read("llava-rlhf-conversations", row, tmp_path_factory.getbasetemp())
    assert [turn.text for turn in found.conversations[0].turns] == texts


def workbook(rows):
    import openpyxl

    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def separated(delimiter):
    def write(rows):
        stream = io.StringIO(newline="")
        csv.writer(stream, delimiter=delimiter).writerows(rows)
        return stream.getvalue().encode()

    return write


SHEETS = {".csv": separated(","), ".tsv": separated("\t"), ".xlsx": workbook}


@pytest.mark.parametrize("suffix", SHEETS)
@settings(max_examples=15)
@given(question=TEXT, chosen=TEXT, rejected=TEXT)
def test_any_cells_of_a_sheet_are_read_as_they_were(
    tmp_path_factory, suffix, question, chosen, rejected
):
    """A cell that a spreadsheet takes for a formula is not a text: those are left out here."""
    texts = (question, chosen, rejected)
    assume(not same_text(chosen, rejected) and not any(text[:1] in "=[{" for text in texts))
    head = ["image", "prompt", "chosen", "rejected"]
    file = tmp_path_factory.getbasetemp() / f"sheet{suffix}"
    file.write_bytes(SHEETS[suffix]([head, ["a.png", *texts]]))
    (row,) = table_rows(file)
    (pair,) = read("plain", row.values, file.parent).corrections
    assert (pair.question, pair.chosen, pair.rejected) == texts

"""What the judge of LLaVA-Bench reads: facts about the image, the question, two answers.

The layout (sections Context, Question, Assistant 1, Assistant 2, System) is that of LLaVA's
`eval_gpt_review_visual.py` for COCO and `eval_gpt_review_bench.py` in the wild; the instruction in
the last section is the template.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veridical.benchmarks.judged import Cases
from veridical.errors import ConfigError
from veridical.judges.protocol import Case, Message
from veridical.judges.templates import FileTemplate, read_prompt
from veridical.scoring.answers import Answers, read_responses
from veridical.scoring.protocol import Files
from veridical.scoring.rows import Faults, Row, field, id_text, index_rows, read_rows

OFFICIAL_RULES = {
    "dd7345a44ce9f7a24e51a30ee030cdab32346f9d08e3359c80545ff1312b1e07": (
        "LLaVA, llava/eval/table/rule.json"
    ),
}
"""Hashes of the published rules."""
ANSWER_FILES = ("qa90_gpt4_answer.jsonl", "answers_gpt4.jsonl")
"""Names of the reference answers: COCO, in the wild."""
CONTEXT_FILES = ("caps_boxes_coco2014_val_80.jsonl", "context.jsonl")
"""Names of what is known of the images: COCO, in the wild."""
SYSTEM = "You grade answers to questions about pictures. Be exact, and fair to both sides."
"""Our own system message; LLaVA's is in its `eval_gpt_review_visual.py` and can be set for the
judge."""


@dataclass(frozen=True)
class LlavaBenchTemplate(FileTemplate):
    """LLaVA's layout with an instruction by category; `prompt` is one for all, or the rules."""

    rules: dict[str, str] | None
    """Instruction by category; None: one for all."""

    @property
    def temperature(self) -> float:
        """As the official code asks."""
        return 0.2

    def messages(self, case: Case) -> tuple[Message, ...]:
        """System message and one user message, as the official code builds them."""
        get = case.fields
        instruction = (
            self.prompt.text.rstrip("\n") if self.rules is None else self.rules[get["rule"]]
        )
        sections = (
            f"[Context]\n{get['context']}",
            f"[Question]\n{get['question']}",
            f"[Assistant 1]\n{get['reference']}",
            "[End of Assistant 1]",
            f"[Assistant 2]\n{get['response']}",
            "[End of Assistant 2]",
            f"[System]\n{instruction}",
        )
        return Message("system", SYSTEM), Message(
            "user", "".join(f"{section}\n\n" for section in sections)
        )


def read_cases(files: Files, template: Path | None) -> Cases:
    """Read questions, both answers and facts, matched by `question_id` and `image`."""
    faults = Faults()
    folder = files.path("reference")
    questions = read_rows(files.path("questions"), faults)
    answers = _by_question(read_responses(files, faults), faults)
    references = _by_question(read_rows(_one_of(folder, ANSWER_FILES), faults), faults)
    known = read_rows(_one_of(folder, CONTEXT_FILES), faults)
    contexts = index_rows(known, lambda row: str(row.values.get("image")), faults)
    made = _template(template)
    index_rows(questions, _question_id, faults)
    asked = {_question_id(row): str(row.values.get("text", "")) for row in questions}
    rows = list(answers.values())
    said = Answers(rows, files, faults, questions=[asked.get(name, "") for name in answers])
    texts = {name: said.of(row) for name, row in answers.items()}
    cases = [_case(row, texts, references, contexts, made, faults) for row in questions]
    faults.stop()
    return Cases(cases, made)


def _case(
    row: Row,
    answers: dict[str, str],
    references: dict[str, Row],
    contexts: dict[str, Row],
    template: LlavaBenchTemplate,
    faults: Faults,
) -> Case:
    name = _question_id(row)
    image = field(row, "image", str, faults, otherwise="")
    category = field(row, "category", str, faults, otherwise="")
    wild = image in contexts and "caption" in contexts[image].values
    rule = f"llava_bench_{category.removeprefix('llava_bench_')}" if wild else category
    if template.rules is not None and rule not in template.rules:
        faults.add(
            row,
            f"category {rule!r} has no rule in the template, which has"
            f" {', '.join(template.rules)}.",
        )
    for what, where, key in (("answer", answers, name), ("reference answer", references, name)):
        if key not in where:
            faults.add(row, f"question {name} has no {what}. Add it, or leave the question out.")
    if image not in contexts:
        faults.add(
            row,
            f"nothing is known of the image {image!r}. Add its captions, or leave the question"
            " out.",
        )
    texts = ("text", "answer")
    return Case(
        name,
        {
            "category": category,
            "rule": rule,
            "context": _context(contexts[image], faults) if image in contexts else "",
            "question": field(row, "text", str, faults, otherwise=""),
            "reference": (
                field(references[name], texts, str, faults, otherwise="")
                if name in references
                else ""
            ),
            "response": answers.get(name, ""),
        },
    )


def _context(row: Row, faults: Faults) -> str:
    if "caption" in row.values:
        caption = row.values["caption"]
        return "\n".join(map(str, caption)) if isinstance(caption, list) else str(caption)
    captions = field(row, "captions", list, faults, otherwise=[])
    boxes = field(row, "instances", list, faults, otherwise=[])
    lines = [f"{box.get('category')}: {box.get('bbox')}" for box in boxes if isinstance(box, dict)]
    return "\n".join(map(str, captions)) + "\n\n" + "\n".join(lines)


def _template(path: Path | None) -> LlavaBenchTemplate:
    prompt = read_prompt(path, own="llava_bench.txt", official=OFFICIAL_RULES)
    if path is None or path.suffix != ".json":
        return LlavaBenchTemplate(prompt, None)
    try:
        rules: Any = json.loads(prompt.text)
        return LlavaBenchTemplate(
            prompt, {category: rule["prompt"] for category, rule in rules.items()}
        )
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise ConfigError(
            f'The rules `{path}` must be a JSON object {{"CATEGORY": {{"prompt": …}}}}, got'
            f" {prompt.text[:60]!r}. Give the official rule.json or a text file."
        ) from error


def _one_of(folder: Path, names: tuple[str, ...]) -> Path:
    found = [folder / name for name in names if (folder / name).is_file()]
    if len(found) != 1:
        what = "both" if found else "neither"
        raise ConfigError(
            f"--reference must be a folder that holds one of {' and '.join(names)}; `{folder}`"
            f" holds {what}. Give the folder of one dataset."
        )
    return found[0]


def _by_question(rows: list[Row], faults: Faults) -> dict[str, Row]:
    return index_rows(rows, _question_id, faults)


def _question_id(row: Row) -> str:
    return id_text(row.values.get("question_id")) or f"line {row.line}"

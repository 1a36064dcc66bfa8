"""Ours for POPE, HallusionBench, VQA and AMBER."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path as File
from typing import Any

from official_data import DATA, write_lines
from veridical.benchmarks.pope.benchmark import PARSERS
from veridical.scoring.files import Scored, score
from veridical.scoring.protocol import Files
from veridical.scoring.vqa_text import normalise_answer, strip_punctuation

Ours = Iterator[tuple[tuple[str, ...], Any]]
_YES_NO = ("accuracy", "precision", "recall", "f1")
_HALLUSION = {
    "aAcc": "a_acc",
    "qAcc": "q_acc",
    "fAcc": "f_acc",
    "easy_aAcc": "easy_a_acc",
    "hard_aAcc": "hard_a_acc",
    "LH": "error/language",
    "VI": "error/vision",
    "Mixed": "error/mixed",
}
_AMBER = {
    "Descriminative Task": "",
    "Exsitence": "/existence",
    "Attribute": "/attribute",
    "State": "/state",
    "Number": "/number",
    "Action": "/action",
    "Relation": "/relation",
}
_COUNTERS = {
    "qa": "",
    "as_qa": "state",
    "an_qa": "number",
    "aa_qa": "action",
    "asso_qa": "relation",
    "ha_qa": "existence",
}


def pope(results: dict[str, Any]) -> Ours:
    """All files, in three readings; edge cases; degenerate models."""
    for case, want in results.items():
        if case == "parse_edge_cases":
            rows = [json.loads(line) for line in (DATA / want["file"]).read_text().splitlines()]
            yield (case, "n"), sum(_read_as_published(row) for row in rows)
            yield (
                (case, "official_no"),
                sum(PARSERS["official"](row["answer"]) == "no" for row in rows),
            )
        elif case == "degenerate":
            for name, one in want.items():
                yield from _degenerate(name, one)
        elif "length_mismatch" in case:
            yield from _cut(case, want)
        else:
            files = Files(DATA / want["answers"], questions=DATA / want["labels"])
            yield from _yes_no((case, "metrics"), score("pope", files))
            if "prompt_mismatch" in want:
                yield (case, "prompt_mismatch"), _other_prompts(want)
            for key, variant in (
                ("vlmevalkit_variant", "vlmevalkit"),
                ("lmms_eval_variant", "lmms-eval"),
            ):
                if key in want:
                    scored = score("pope", files, variant=variant)
                    yield from (
                        ((case, key, name), scored.total.metrics[name].value) for name in _YES_NO
                    )
                    if "n_unknown" in want[key]:
                        yield (
                            (case, key, "n_unknown"),
                            sum(item.parsed == "unknown" for item in scored.items),
                        )


def hallusionbench(results: dict[str, Any]) -> Ours:
    """All accuracies, the kinds of error, the bias; lmms-eval's reading; a perfect model."""
    case = "hallusionbench_synth_a"
    files = Files(DATA / results[case]["file"])
    metrics = score("hallusionbench", files).total.metrics
    for theirs, ours in _HALLUSION.items():
        yield (case, "official", theirs), round(100 * metrics[ours].value, 4)
    for category in ("VD", "VS"):
        for theirs in ("aAcc", "qAcc", "fAcc"):
            value = metrics[f"{_HALLUSION[theirs]}/{category}"].value
            yield (case, "official", "by_category", category, theirs), round(100 * value, 4)
    for theirs, ours in (("n_questions", "a_acc"), ("n_pairs", "q_acc"), ("n_figures", "f_acc")):
        yield (case, "official", theirs), metrics[ours].n
    figures = {"correct": "f_acc", "inconsistent": "figures_inconsistent", "wrong": "figures_wrong"}
    for theirs, ours in figures.items():
        yield (case, "official", "consistency", theirs), round(100 * metrics[ours].value, 4)
    yield (case, "official", "consistency", "score"), metrics["figure_score"].value
    yield (case, "official", "yes_pct_diff"), metrics["yes_difference"].value
    yield (case, "official", "fp_ratio"), metrics["fp_ratio"].value
    rows = json.loads((DATA / results[case]["file"]).read_text())
    with tempfile.TemporaryDirectory() as folder:
        perfect = [
            {
                **row,
                "model_prediction": ["No", "Yes"][int(row["gt_answer"])],
                "gpt4v_output_gpt_check": "1",
            }
            for row in rows
        ]
        perfect_files = Files(write_lines(File(folder) / "perfect.jsonl", perfect))
        for name, some in ((case, files), ("hallusionbench_synth_perfect", perfect_files)):
            lmms = score("hallusionbench", some, variant="lmms-eval").total.metrics
            for theirs in ("aAcc", "qAcc", "fAcc"):
                yield (
                    (name, "lmms_eval_string_match_variant", theirs),
                    lmms[_HALLUSION[theirs]].value,
                )


def vqa(results: dict[str, Any]) -> Ours:
    """Accuracies, both ways; the official ones only where the table of normalisations holds too."""
    folder, want = DATA / "vqa", results["vqa_official"]["accuracy"]
    for line in (folder / "normalisation_table.jsonl").read_text().splitlines():
        row = json.loads(line)
        if strip_punctuation(row["text"]) != row["processPunctuation"]:
            return
        if normalise_answer(row["text"]) != row["processDigitArticle(processPunctuation)"]:
            return
    files = Files(folder / "results.json", folder / "questions.json", folder / "annotations.json")
    metrics = score("vqa", files).total.metrics
    yield ("vqa_official", "accuracy", "overall"), round(100 * metrics["accuracy"].value, 2)
    for group in ("perQuestionType", "perAnswerType"):
        for name in want[group]:
            yield (
                ("vqa_official", "accuracy", group, name),
                round(100 * metrics[f"accuracy/{name}"].value, 2),
            )
    always = score("vqa", files, variant="normalized").total.metrics["accuracy"].value
    yield ("vqa_lmms_eval_variant", "overall"), round(100 * always, 2)


def amber(results: dict[str, Any]) -> Ours:
    """Both halves, every dimension, the script's own counters, the score."""
    nouns = str(DATA / "amber" / "generative_nouns.json")
    synthetic = DATA / "amber" / "responses_synth"
    read = {
        name: json.loads((synthetic / f"{name}.json").read_text())
        for name in ("discriminative_a", "discriminative_raw_strings", "generative")
    }
    asked = [row["id"] for row in read["discriminative_a"]]
    first_word = [
        {**row, "response": _first_word(row["response"])}
        for row in read["discriminative_raw_strings"]
    ]
    cases: dict[str, tuple[list[dict[str, Any]], str, str]] = {
        "disc_a": (read["discriminative_a"], "discriminative", "exact"),
        "disc_all_yes": (
            [{"id": one, "response": "Yes"} for one in asked],
            "discriminative",
            "exact",
        ),
        "disc_all_no": (
            [{"id": one, "response": "No"} for one in asked],
            "discriminative",
            "exact",
        ),
        "disc_raw_strings": (read["discriminative_raw_strings"], "discriminative", "exact"),
        "disc_raw_strings_after_startswith_normalisation": (first_word, "discriminative", "exact"),
        "gen_exact_match": (read["generative"], "generative", "exact"),
        "gen_table": (
            read["generative"],
            "generative",
            str(DATA / "amber" / "similarity_table.json"),
        ),
        "all_generative_plus_disc_a_exact": (
            [*read["generative"], *read["discriminative_a"]],
            "all",
            "exact",
        ),
    }
    for case, (rows, task, similarity) in cases.items():
        with tempfile.TemporaryDirectory() as folder:
            files = Files(write_lines(File(folder) / "rows.jsonl", rows), reference=DATA / "amber")
            scored = score(
                "amber", files, options={"task": task, "nouns": nouns, "similarity": similarity}
            )
        metrics = scored.total.metrics
        for title, values in results[case]["official"].items():
            for name in values:
                metric = metrics.get(name.lower() + _AMBER.get(title, ""))
                yield (
                    (case, "official", title, name),
                    0.0 if metric is None else round(100 * metric.value, 1),
                )
        yield from (
            ((case, "counters", name), value)
            for name, value in _counters(scored, results[case]).items()
        )
        if "amber_score" in results[case]:
            yield (case, "amber_score"), round(metrics["amber_score"].value, 1)
    for model, (chair, f1, _) in (
        (m, v) for m, v in results["published_amber_score_check"].items() if m != "formula"
    ):
        yield ("published_amber_score_check", model, "2"), round((100 - chair + f1) / 2 + 1e-9, 1)


def _read_as_published(row: dict[str, Any]) -> bool:
    lmms = row["lmms_eval"] if row["lmms_eval"] in ("yes", "no") else "unknown"
    want = {"official": row["official"], "vlmevalkit": row["vlmevalkit"].lower(), "lmms-eval": lmms}
    return all(PARSERS[variant](row["answer"]) == answer for variant, answer in want.items())


def _other_prompts(want: dict[str, Any]) -> int:
    """Answers whose prompt is not the text of the question with their id."""
    answers, questions = (
        [json.loads(line) for line in (DATA / want[name]).read_text().splitlines()]
        for name in ("answers", "labels")
    )
    asked = {row["question_id"]: row["text"] for row in questions}
    return sum(row["prompt"] != asked[row["question_id"]] for row in answers)


def _yes_no(path: tuple[str, ...], scored: Scored) -> Ours:
    pairs = [(item.values["label"], item.values["predicted"]) for item in scored.items]
    for name, cell in (("TP", (1, 1)), ("FP", (0, 1)), ("TN", (0, 0)), ("FN", (1, 0))):
        yield (*path, name), pairs.count(cell)
    for name in (*_YES_NO, "yes_ratio"):
        yield (*path, name), scored.total.metrics[name].value
    yield (*path, "n_answers"), scored.total.inputs["responses"].rows
    yield (*path, "n_labels"), scored.total.inputs["questions"].rows


def _cut(case: str, want: dict[str, Any]) -> Ours:
    """What the official script makes of files of unequal length; here they must be cut by hand."""
    labels = [json.loads(line) for line in (DATA / want["labels"]).read_text().splitlines()]
    answers = len((DATA / want["answers"]).read_text().splitlines())
    with tempfile.TemporaryDirectory() as folder:
        cut = write_lines(File(folder) / "cut.jsonl", labels[:answers])
        scored = score("pope", Files(DATA / want["answers"], questions=cut))
    yield from (
        (path, value)
        for path, value in _yes_no((case, "metrics"), scored)
        if path[-1] != "n_labels"
    )
    yield (case, "metrics", "n_labels"), len(labels)


def _degenerate(name: str, one: dict[str, Any]) -> Ours:
    if "raises" in one["official"]:
        return
    with tempfile.TemporaryDirectory() as folder:
        said = write_lines(File(folder) / "a.jsonl", [{"answer": text} for text in one["answers"]])
        asked = [
            {"image": str(number), "label": label} for number, label in enumerate(one["labels"])
        ]
        scored = score("pope", Files(said, questions=write_lines(File(folder) / "q.jsonl", asked)))
    yield from _yes_no(("degenerate", name, "official"), scored)


def _first_word(text: str) -> str:
    lower = text.strip().lower()
    return "Yes" if lower.startswith("yes") else "No" if lower.startswith("no") else text


def _counters(scored: Scored, want: dict[str, Any]) -> dict[str, float]:
    """The official script's counters; those of denominators begin at 0.001."""
    found: dict[str, float] = {}
    for prefix, dimension in _COUNTERS.items():
        items = [
            item.values
            for item in scored.items
            if "label" in item.values and dimension in ("", item.group)
        ]
        said_no = [values for values in items if values.get("predicted") == 0]
        hits = sum(values["label"] == 0 for values in said_no)
        right = sum(values.get("predicted") == values["label"] for values in items)
        found |= {f"{prefix}_correct_score": right, f"{prefix}_correct_num": len(items) + 0.001}
        found |= {
            f"{prefix}_no_score": hits,
            f"{prefix}_ans_no_score": hits,
            f"{prefix}_ans_no_num": len(said_no) + 0.001,
        }
        found[f"{prefix}_no_num"] = sum(values["label"] == 0 for values in items) + 0.001
    described = [item.values for item in scored.items if "mentions" in item.values]
    sums = {name: sum(values[name] for values in described) for name in (described or [{}])[0]}
    if described:
        found |= {"chair_num": sums["mentions"] + 0.001, "chair_score": sums["hallucinated"]}
        found |= {"safe_cover_num": sums["truth"] + 0.001, "safe_cover_score": sums["covered"]}
        found |= {"hallu_cover_num": sums["traps"] + 0.001, "hallu_cover_score": sums["imagined"]}
        found |= {
            "non_hallu_num": len(described) + 0.001,
            "non_hallu_score": sum(values["hallucinated"] == 0 for values in described),
        }
    return {name: found[name] for name in want.get("counters", {})}

"""Ours for MMHal-Bench and LLaVA-Bench."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path as File
from typing import Any

from official_data import DATA, write_lines
from veridical.benchmarks.llava_bench.benchmark import LlavaBench
from veridical.benchmarks.llava_bench.grades import Grades, official_grades, printed_relative
from veridical.benchmarks.mmhal.benchmark import MMHal
from veridical.benchmarks.mmhal.ratings import official_rating
from veridical.files import hash_bytes
from veridical.scoring.files import Scored, score
from veridical.scoring.protocol import Files

Ours = Iterator[tuple[tuple[str, ...], Any]]


def mmhal(results: dict[str, Any]) -> Ours:
    """Scores of every item, totals, what is printed, and the judge's prompts."""
    printed = []
    for case, want in results.items():
        if case == "mmhal_prompts":
            for name in want:
                yield from _mmhal_prompts(name)
        elif case != "mmhal_rlhfv_summary_stdout":
            scored = score("mmhal", Files(reviews=DATA / want["file"]))
            metrics = {name: metric.value for name, metric in scored.total.metrics.items()}
            yield from (
                ((case, "scores", str(n)), item.values["score"])
                for n, item in enumerate(scored.items)
            )
            unparsed = [
                number for number, item in enumerate(scored.items) if item.status == "unparsed"
            ]
            yield from (
                ((case, "unparsed_indices", str(n)), index) for n, index in enumerate(unparsed)
            )
            yield (case, "average_score"), metrics["score"]
            yield (case, "hallucination_rate"), metrics["hallucination_rate"]
            yield (case, "informativeness_rlhfv"), metrics["informativeness"]
            yield from (
                ((case, "per_type", kind), metrics[f"score/{kind}"]) for kind in want["per_type"]
            )
            by_type = ",".join(str(round(metrics[f"score/{kind}"], 2)) for kind in want["per_type"])
            lines = [
                f"Average score: {metrics['score']:.2f}",
                f"Hallucination rate: {metrics['hallucination_rate']:.2f}",
                f"Average score for each question type: {by_type}",
            ]
            yield from (((case, "official_stdout", str(n)), line) for n, line in enumerate(lines))
            printed.append([f"Informativeness: {metrics['informativeness']:.2f}", *lines])
            for number, one in enumerate(want.get("edge_texts_and_scores", [])):
                rating = official_rating(one["text"])
                yield (case, "edge_texts_and_scores", str(number), "score"), rating or 0
                yield (case, "edge_texts_and_scores", str(number), "warned"), rating is None
    in_their_order = [printed[1], printed[0], printed[2]]
    for number, lines in enumerate(in_their_order):
        for line_number, line in enumerate(lines):
            yield ("mmhal_rlhfv_summary_stdout", str(5 * number + 1 + line_number)), line


def llava_bench(results: dict[str, Any]) -> Ours:
    """Grades, ratios in both ways, what is printed, and the judge's prompts."""
    for number, row in enumerate(results["llava_bench_parse_score"]):
        for place, grade in enumerate(official_grades(row["text"])):
            yield ("llava_bench_parse_score", str(number), "official", str(place)), grade
    for case, want in results.items():
        if "file" not in want:
            continue
        llava = score("llava-bench", Files(reviews=DATA / want["file"]), variant="llava")
        if "all" in want:  # text-only reviews, without categories
            yield from _ratios((case,), llava, ["all"])
            yield from _printed(
                (case, "official_llava_stdout"),
                want["official_llava_stdout"],
                llava,
                llava_style=True,
            )
            relative = f"{printed_relative(_grades(llava, 'all')):.1f}"
            yield (case, "official_llava_rlhf_stdout", "1"), f"all {relative}"
            yield (case, "official_llava_rlhf_stdout", "2"), relative
            continue
        rlhf_v = score("llava-bench", Files(reviews=DATA / want["file"]), variant="rlhf-v")
        yield (case, "n_failed"), sum(item.status == "unparsed" for item in llava.items)
        yield from _ratios(
            (case, "llava_official(no skip)"), llava, want["llava_official(no skip)"]
        )
        yield from _ratios((case, "rlhfv(skip -1)"), rlhf_v, want["rlhfv(skip -1)"])
        yield from _printed(
            (case, "official_llava_stdout"), want["official_llava_stdout"], llava, llava_style=True
        )
        yield from _printed((case, "rlhfv_stdout"), want["rlhfv_stdout"], rlhf_v, llava_style=False)
    yield from _llava_prompts()


def _ratios(path: tuple[str, ...], scored: Scored, categories: Any) -> Ours:
    for category in categories:
        metrics = {
            part: scored.total.metrics[f"{part}/{category}"]
            for part in ("relative", "reference", "model")
        }
        yield (*path, category, "n"), metrics["relative"].n
        yield (*path, category, "mean_ref"), metrics["reference"].value
        yield (*path, category, "mean_model"), metrics["model"].value
        yield (*path, category, "relative_score"), metrics["relative"].value


def _grades(scored: Scored, category: str) -> list[Grades]:
    counted = [item for item in scored.items if item.values and category in ("all", item.group)]
    return [Grades(item.values["reference"], item.values["model"]) for item in counted]


def _printed(path: tuple[str, ...], lines: list[str], scored: Scored, *, llava_style: bool) -> Ours:
    for number, line in enumerate(lines):
        category = line.split()[0]
        grades = _grades(scored, category)
        if category not in ("all", "conv", "detail", "complex") or not grades:
            continue
        reference, model = (
            round(sum(column) / len(column), 3) for column in zip(*grades, strict=True)
        )
        relative = printed_relative(grades)
        if llava_style:
            yield (
                (*path, str(number)),
                f"{category} {relative} {round(reference * 10, 1)} {round(model * 10, 1)}",
            )
        else:
            yield (*path, str(number)), f"{category} [{reference}, {model}] {relative}"


def _hashes(path: tuple[str, ...], hashes: list[str]) -> Ours:
    yield (*path, "prompt0_sha256"), hashes[0]
    yield (*path, f"prompt{len(hashes) - 1}_sha256"), hashes[-1]
    yield (*path, "sha256_of_concatenated_prompt_hashes"), hash_bytes("".join(hashes).encode())


def _mmhal_prompts(name: str) -> Ours:
    files = Files(responses=DATA / "mmhal" / "responses" / name)
    cases, template = MMHal().cases(files, template=DATA / "mmhal" / "judge_prompt_template.txt")
    path = ("mmhal_prompts", name)
    yield (*path, "n"), len(cases)
    yield from _hashes(
        path, [hash_bytes(template.messages(case)[0].content.encode()) for case in cases]
    )
    answers = [case.fields["response"] for case in cases]
    yield (*path, "mean_answer_words"), sum(len(text.split()) for text in answers) / len(answers)
    yield (*path, "empty_answers"), sum(not text.strip() for text in answers)


def _llava_prompts() -> Ours:
    folder = DATA / "llava_bench"
    questions = [
        json.loads(line) for line in (folder / "qa90_questions.jsonl").read_text().splitlines()
    ]
    answers = [
        {"question_id": row["question_id"], "text": "I see " + row["text"].lower()}
        for row in questions
    ]
    with tempfile.TemporaryDirectory() as temporary:
        said = write_lines(File(temporary) / "a.jsonl", answers)
        files = Files(responses=said, questions=folder / "qa90_questions.jsonl", reference=folder)
        cases, template = LlavaBench().cases(files, template=folder / "rule.json")
    hashes = [hash_bytes(template.messages(case)[1].content.encode()) for case in cases]
    yield from _hashes(("llava_bench_prompts",), hashes)

"""Ours for CHAIR and Object HalBench."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path as File
from typing import Any

from official_data import DATA
from veridical.benchmarks.coco.extraction import (
    OFFICIAL_PROMPTS,
    ExtractionTemplate,
    parse_extraction,
)
from veridical.benchmarks.coco.readings import reader_of
from veridical.benchmarks.coco.vocabulary import vocabulary, word_forms
from veridical.files import hash_bytes
from veridical.judges.protocol import Case
from veridical.judges.templates import read_prompt
from veridical.scoring.files import Scored, score
from veridical.scoring.protocol import Files

Ours = Iterator[tuple[tuple[str, ...], Any]]
_TRUTH = "chair/coco2014_gt_objects.json"
_VARIANTS = {
    "pattern (official singularize; CHAIR-metric-standalone chair.py)": "original",
    "wordnet_pos (OPERA chair.py)": "wordnet",
}


def chair(results: dict[str, Any]) -> Ours:
    """Released captions in two readings, COCO's ground truth, edge cases, word forms, labels."""
    for case, want in results.items():
        if case.startswith("mini_coco/"):
            scored = score(
                "chair", Files(DATA / want["cap_file"], reference=DATA / want["annotations"])
            )
            yield (case, "overall", "CHAIRs"), scored.total.metrics["chair_s"].value
            yield (case, "overall", "CHAIRi"), scored.total.metrics["chair_i"].value
            yield (case, "overall", "n_captions"), len(scored.items)
            yield (case, "overall", "hallucinated_words"), scored.total.counts["hallucinated"]
            yield (case, "overall", "coco_words"), scored.total.counts["mentions"]
    for case, want in results["corpora"].items():
        yield from _corpus(case, want)
    edge = _lines(results["edge_case_captions"]["file"])
    yield ("edge_case_captions", "n"), sum(_reads_alike(row) for row in edge)
    forms = json.loads((DATA / results["word_forms"]["file"]).read_text())
    yield ("word_forms", "n"), sum(_same_forms(row) for row in forms)
    seen = _lines(results["seen_token_forms"]["file"])
    yield ("seen_token_forms", "n"), sum(_same_forms(row) for row in seen)
    for number, path in enumerate(results["expected_sentences"]):
        if _sentences_agree(path):
            yield ("expected_sentences", str(number)), path
    truth = json.loads((DATA / _TRUTH).read_text())
    asked = _lines(results["pope_label_consistency"]["file"])
    yield ("pope_label_consistency", "disagreements"), sum(_disagrees(row, truth) for row in asked)


def object_halbench(results: dict[str, Any]) -> Ours:
    """The stage after the judge, its parser, and the judge's prompts."""
    case = "objhal300_rlhfv_gptpath_synthetic_extraction"
    scored = _object_halbench(DATA / results[case]["file"])
    metrics = {name: metric.value for name, metric in scored.total.metrics.items()}
    counts = scored.total.counts
    ours = {
        "CHAIRs": metrics["chair_s"],
        "CHAIRs_refine": metrics["response_hallucination"],
        "CHAIRi": metrics["mention_hallucination"],
        "obj_rec": metrics["object_recall"],
        "sentence_num": counts["items"],
        "coco_sentence_num": counts["coco_sentences"],
        "coco_word_count": counts["coco_words"],
        "gt_word_count": counts["gt_words"],
        "avg_word_len": metrics["length"],
        "correct_rate": metrics["response_correct"],
        "object_correct_rate": metrics["mention_correct"],
    }
    yield from (((case, "overall", name), value) for name, value in ours.items())
    titles = {
        "Response Hall": 100 * ours["CHAIRs_refine"],
        "Object Hall": 100 * ours["CHAIRi"],
        "Response Correct": 100 * ours["correct_rate"],
        "Object Correct": 100 * ours["object_correct_rate"],
        "Object Recall": 100 * ours["obj_rec"],
        "Average Length": ours["avg_word_len"],
        "COCO Sent Number": ours["coco_sentence_num"],
        "COCO Word Number": ours["coco_word_count"],
        "GT Word Number": ours["gt_word_count"],
    }
    yield from (((case, "official_summary_labels", name), value) for name, value in titles.items())
    for number, row in enumerate(results["objhal_parse_object_list"]):
        parsed = parse_extraction(row["text"])
        if isinstance(row["official"], list):
            yield from (
                (("objhal_parse_object_list", str(number), "official", str(n)), name)
                for n, name in enumerate(parsed or ())
            )
        elif row["official"] == "ValueError":
            yield (
                ("objhal_parse_object_list", str(number), "official"),
                "ValueError" if parsed is None else parsed,
            )
    prompt = read_prompt(
        DATA / "object_halbench" / "extraction_prompt_template.txt",
        own="object_halbench.txt",
        official=OFFICIAL_PROMPTS,
    )
    # The stored hash is that of answers as they stand; the official script strips them first, and
    # so do we.
    asked = [
        {key: row[key] for key in ("question", "answer")} for row in _lines(results[case]["file"])
    ]
    filled = [
        ExtractionTemplate(prompt).messages(Case(str(n), fields))[0]
        for n, fields in enumerate(asked)
    ]
    hashes = [hash_bytes(message.content.encode()) for message in filled]
    yield (
        ("objhal_prompt_hash", "sha256_of_concatenated_prompt_hashes"),
        hash_bytes("".join(hashes).encode()),
    )


def _object_halbench(path: File) -> Scored:
    """With the truth that the rows bring."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    with tempfile.TemporaryDirectory() as folder:
        truth = File(folder) / "truth.json"
        truth.write_text(json.dumps({str(row["image_id"]): row["gt"] for row in rows}))
        return score("object-halbench", Files(path, reference=truth))


def _corpus(case: str, want: dict[str, Any]) -> Ours:
    files = Files(DATA / want["captions"], reference=DATA / want["gt"])
    for title, variant in _VARIANTS.items():
        scored = score("chair", files, variant=variant)
        metrics = {name: metric.value for name, metric in scored.total.metrics.items()}
        ours = {
            "CHAIRs": metrics["chair_s"],
            "CHAIRi": metrics["chair_i"],
            "Recall": metrics["recall"],
        }
        ours["Len"] = metrics["length"] / 100
        yield from ((("corpora", case, title, name), ours[name]) for name in want[title])
        if variant == "wordnet":
            yield ("corpora", case, "n_captions"), len(scored.items)
            for name in want.get("published_percent", {}).get("wordnet_pos", {}):
                yield (
                    ("corpora", case, "published_percent", "wordnet_pos", name),
                    round(100 * ours[name], 1),
                )


def _reads_alike(row: dict[str, Any]) -> bool:
    readings = {
        "pattern_official_chair": "original",
        "wordnet_pos_opera": "wordnet",
        "wordnet_noun_rlhfv_refine": "objhal",
    }
    for title, variant in readings.items():
        mentions = reader_of(variant)(row["caption"])
        if (mentions.words, mentions.objects) != (row[title]["words"], row[title]["objects"]):
            return False
    return True


def _same_forms(row: dict[str, Any]) -> bool:
    """Our tables hold the forms that lead to words of the lists; no other form may lead there."""
    for table, title, source in (
        ("pattern", "pattern_singularize", "chair"),
        ("noun", "wordnet_noun_lemma", "rlhf_v"),
    ):
        words = vocabulary(source)
        listed = set(words.objects) | {word for pair in words.pairs for word in pair}
        form, known = row[title], word_forms(table).get(row["token"])
        if known != form and (form in listed or known is not None):
            return False
    return True


def _sentences_agree(path: str) -> bool:
    corpus, name, reading = File(path).stem.split("__")
    captions = DATA / "chair" / "captions" / corpus / f"{name}.jsonl"
    if not captions.is_file():
        return False
    variant = "original" if reading == "pattern" else "wordnet"
    read = reader_of(variant)
    said = {str(row["image_id"]): row["caption"] for row in _lines(str(captions.relative_to(DATA)))}
    return all(read(said[str(row["image_id"])]).objects == row["objects"] for row in _lines(path))


def _disagrees(row: dict[str, Any], truth: dict[str, list[str]]) -> bool:
    image = str(int(row["image"].rpartition("_")[2].partition(".")[0]))
    name = (
        row["text"]
        .removeprefix("Is there a")
        .removeprefix("n")
        .removesuffix(" in the image?")
        .strip()
    )
    return (row["label"] == "yes") != (name in truth[image])


def _lines(path: str) -> list[Any]:
    return [json.loads(line) for line in (DATA / path).read_text().splitlines()]

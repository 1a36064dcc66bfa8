"""A handful of items of every benchmark, written as its own files, answered by whoever is asked.

A benchmark that joins adds its function to `MINIATURES` and its headline metrics to `COMPARED`;
tests that hold for all benchmarks take them from there.
"""

import json
from collections.abc import Callable
from pathlib import Path

from official_data import write_lines
from veridical.scoring.protocol import Files

Say = Callable[[str], str]
"""What a model (or, for reviews, a judge) says to a question."""

CONTEXT = "Describe this image."
OBJECTS = {1: ["dog", "person"], 2: ["cat"], 3: []}


def pope(folder: Path, say: Say) -> Files:
    asked = [
        {
            "question_id": number,
            "image": f"{number // 3}.jpg",
            "text": f"Is there a {name} in the image?",
            "label": truth,
        }
        for number, (name, truth) in enumerate(
            zip(["dog", "cat", "car"] * 4, ["yes", "no"] * 6, strict=True), start=1
        )
    ]
    said = [{"question_id": row["question_id"], "answer": say(row["text"])} for row in asked]
    return Files(
        write_lines(folder / "a.jsonl", said), questions=write_lines(folder / "q.jsonl", asked)
    )


def vqa(folder: Path, say: Say) -> Files:
    truth = [["yes"] * 10, ["no"] * 7 + ["yes"] * 3, ["2"] * 10, ["dog", "a dog"] * 5]
    annotations = [
        {
            "question_id": number,
            "image_id": number // 2,
            "question_type": "what is",
            "answer_type": "other",
            "answers": [{"answer": text, "answer_id": one} for one, text in enumerate(texts)],
        }
        for number, texts in enumerate(truth)
    ]
    said = [
        {"question_id": number, "answer": say("What is in the image?")}
        for number in range(len(truth))
    ]
    (folder / "annotations.json").write_text(json.dumps({"annotations": annotations}))
    return Files(write_lines(folder / "a.jsonl", said), reference=folder / "annotations.json")


def hallusionbench(folder: Path, say: Say) -> Files:
    rows = []
    for category, figure, question in [
        (c, f, q) for c in ("VD", "VS") for f in range(3) for q in range(2)
    ]:
        answer, truth = (
            say("Is the left line longer than the right one?"),
            str((figure + question) % 2),
        )
        read = "1" if "yes" in answer.lower() else "0" if "no" in answer.lower() else ""
        visual = "2" if figure == 2 else "1" if figure == 1 or category == "VD" else "0"
        rows.append(
            {
                "category": category,
                "subcategory": "chart",
                "visual_input": visual,
                "set_id": "0",
                "figure_id": str(figure),
                "question_id": str(question),
                "gt_answer": truth,
                "model_prediction": answer,
                "gpt4v_output_gpt_check": "2" if not read else str(int(read == truth)),
                "same": "1",
            }
        )
    return Files(write_lines(folder / "rows.jsonl", rows))


def multiple_choice(folder: Path, say: Say) -> Files:
    asked = [
        {
            "index": turn * 1_000_000 + number,
            "question": "What is it?",
            "A": first,
            "B": second,
            "answer": answer,
            "category": f"kind {number % 2}",
        }
        for number in range(4)
        for turn, (first, second, answer) in enumerate([("dog", "cat", "A"), ("cat", "dog", "B")])
    ]
    said = [
        {"index": row["index"], "prediction": say(f"What is it?\nA. {row['A']}\nB. {row['B']}")}
        for row in asked
    ]
    return Files(
        write_lines(folder / "a.jsonl", said), questions=write_lines(folder / "q.jsonl", asked)
    )


def chair(folder: Path, say: Say) -> Files:
    (folder / "truth.json").write_text(
        json.dumps({str(image): objects for image, objects in OBJECTS.items()})
    )
    said = [{"image_id": image, "caption": say(CONTEXT)} for image in OBJECTS]
    return Files(write_lines(folder / "a.jsonl", said), reference=folder / "truth.json")


def object_halbench(folder: Path, say: Say) -> Files:
    (folder / "truth.json").write_text(
        json.dumps({str(image): objects for image, objects in OBJECTS.items()})
    )
    said = [
        {
            "image_id": image,
            "question": CONTEXT,
            "answer": say(CONTEXT),
            "objs": say("Which objects?").split(),
        }
        for image in OBJECTS
    ]
    return Files(write_lines(folder / "a.jsonl", said), reference=folder / "truth.json")


def amber(folder: Path, say: Say) -> Files:
    data = folder / "amber"
    (data / "query").mkdir(parents=True)
    kinds = [
        "discriminative-attribute-state",
        "discriminative-attribute-number",
        "discriminative-attribute-action",
        "discriminative-hallucination",
        "discriminative-relation",
        "relation",
    ]
    annotations = [
        {"id": 1, "type": "generative", "truth": ["dog", "sky"], "hallu": ["cat"]},
        {"id": 2, "type": "generative", "truth": ["tree"], "hallu": ["bird"]},
        *(
            {"id": n, "type": kind, "truth": "no" if n % 2 or "hallu" in kind else "yes"}
            for n, kind in enumerate(kinds, 3)
        ),
    ]
    (data / "annotations.json").write_text(json.dumps(annotations))
    (data / "relation.json").write_text(
        json.dumps({word: [] for word in ("dog", "sky", "cat", "tree", "bird")})
    )
    (data / "safe_words.txt").write_text("light\n")
    queries = [
        {"id": row["id"], "image": f"AMBER_{row['id'] % 2}.jpg", "query": CONTEXT}
        for row in annotations
    ]
    (data / "query" / "query_all.json").write_text(json.dumps(queries))
    said = [
        {
            "id": row["id"],
            "response": say(CONTEXT if row["type"] == "generative" else "Is the dog brown?"),
        }
        for row in annotations
    ]
    return Files(write_lines(folder / "a.jsonl", said), reference=data)


def over_generalisation(folder: Path, say: Say) -> Files:
    (folder / "truth.json").write_text(json.dumps(OBJECTS))
    scenes = write_lines(
        folder / "q.jsonl",
        [
            {"image_id": number, "scene": scene}
            for number, scene in zip(
                OBJECTS, ["kitchen", ["kitchen", "living room"], None], strict=True
            )
        ],
    )
    said = [{"image_id": number, "caption": say(CONTEXT)} for number in OBJECTS]
    return Files(
        write_lines(folder / "a.jsonl", said), questions=scenes, reference=folder / "truth.json"
    )


def mmhal(folder: Path, say: Say) -> Files:
    reviews = [
        {"model": "judge", "choices": [{"message": {"content": say("Rate this.")}}]}
        for _ in range(96)
    ]
    (folder / "reviews.json").write_text(json.dumps(reviews))
    return Files(reviews=folder / "reviews.json")


def llava_bench(folder: Path, say: Say) -> Files:
    from veridical.benchmarks.llava_bench.grades import official_grades

    rows = []
    for number in range(9):
        text = say("Rate both.")
        rows.append(
            {
                "question_id": number,
                "category": ["conv", "detail", "complex"][number % 3],
                "content": text,
                "tuple": list(official_grades(text)),
            }
        )
    return Files(reviews=write_lines(folder / "reviews.jsonl", rows))


def mme(folder: Path, say: Say) -> Files:
    rows = [
        {
            "question_id": f"{task}/{image}.jpg",
            "question": (asked := f"Is there {thing} in this image? Please answer yes or no."),
            "answer": say(asked),
            "label": truth,
        }
        for task in ("existence", "OCR", "code_reasoning")
        for image in range(2)
        for thing, truth in (("a dog", "Yes"), ("a cat", "No"))
    ]
    return Files(write_lines(folder / "a.jsonl", rows))


def mhumaneval(folder: Path, say: Say) -> Files:
    kinds = ["object", "position", "number", "other"]
    said = [
        {
            "id": str(number),
            "image": f"{number}.jpg",
            "text": text,
            "segments": kinds[: len(text.split()) % 5],
        }
        for number in range(4)
        for text in [say(CONTEXT)]
    ]
    return Files(write_lines(folder / "a.jsonl", said))


MINIATURES: dict[str, Callable[[Path, Say], Files]] = {
    "pope": pope,
    "chair": chair,
    "object-halbench": object_halbench,
    "over-generalisation": over_generalisation,
    "mmhal": mmhal,
    "amber": amber,
    "llava-bench": llava_bench,
    "hallusionbench": hallusionbench,
    "mme": mme,
    "mhumaneval": mhumaneval,
    "vqa": vqa,
    "multiple-choice": multiple_choice,
}
"""By name: writes the files and says where they are."""

OPTIONS = {"amber": {"nouns": "lexicon", "similarity": "exact"}}
"""What to set so that no installed package changes the numbers."""

COMPARED = {
    "pope": {"accuracy", "precision", "recall", "f1", "yes_ratio"},
    "chair": {"chair_s", "chair_i", "recall", "length"},
    "object-halbench": {"response_hallucination", "mention_hallucination", "object_recall"},
    "over-generalisation": set(),
    "mmhal": {"score", "hallucination_rate", "informativeness"},
    "amber": {"chair", "cover", "hal", "cog", "accuracy", "precision", "recall", "f1"},
    "llava-bench": {"relative/all"},
    "hallusionbench": {"a_acc", "q_acc", "f_acc"},
    "mme": {"perception", "cognition", "accuracy", "accuracy_plus"},
    "mhumaneval": {"hallucination/all"},
    "vqa": {"accuracy"},
    "multiple-choice": {"accuracy"},
}
"""Headline metrics that runs are compared by. AMBER's score is no ratio of sums, nor are means over
objects."""

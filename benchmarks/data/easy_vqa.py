"""The world's small model on pictures and questions that nobody here made: `easy-vqa` of PyPI.

    pip download --no-deps easy-vqa && unzip easy_vqa-*.whl -d easy_vqa
    python benchmarks/data/easy_vqa.py --data easy_vqa/easy_vqa/data --out /tmp/easy

Its shapes, colours and wording are none of the world's. The test questions are written in VQA-v2's
official layout and scored by the `vqa` benchmark, as any model's would be.
"""

import argparse
import json
import time
from collections import Counter, defaultdict
from pathlib import Path
from random import Random

import veridical
from veridical.evaluation.recipe import BenchmarkSettings, EvaluateRecipe, ModelSettings
from veridical.formats.mix.parts import SHORT_ANSWER
from veridical.records import Conversation, ImageRef, Turn, write_records

YES_NO = {"yes", "no"}


def read(data, split):
    """Questions and answers by picture."""
    found = defaultdict(list)
    for question, answer, image in json.loads((data / split / "questions.json").read_text()):
        found[image].append((question, answer))
    return found


def conversations(data, *, pictures, random):
    """One conversation per picture of the training split."""
    rows = []
    for image, exchanges in sorted(read(data, "train").items())[:pictures]:
        random.shuffle(exchanges)
        turns = [
            Turn(role=role, text=text)
            for question, answer in exchanges
            for role, text in (("user", f"{question}\n{SHORT_ANSWER}"), ("assistant", answer))
        ]
        ref = ImageRef(path=str((data / "train" / "images" / f"{image}.png").absolute()))
        row = {"id": str(image), "image": ref, "turns": tuple(turns), "source": "human"}
        rows.append(Conversation(**row, origin="easy-vqa"))
    return rows


def official(data, out, *, count, random):
    """The test split in VQA-v2's layout; returns how often each answer is right."""
    rows = [(i, q, a) for i, found in sorted(read(data, "test").items()) for q, a in found]
    rows = random.sample(rows, min(count, len(rows)))
    questions = [
        {"question_id": n, "image_id": image, "question": question, "image": f"{image}.png"}
        for n, (image, question, _) in enumerate(rows)
    ]
    annotations = [
        {
            "question_id": n,
            "image_id": image,
            "question_type": "easy",
            "answer_type": "yes/no" if answer in YES_NO else "other",
            "multiple_choice_answer": answer,
            "answers": [
                {"answer": answer, "answer_id": k, "answer_confidence": "yes"} for k in range(1, 11)
            ],
        }
        for n, (image, _, answer) in enumerate(rows)
    ]
    (out / "questions.json").write_text(json.dumps({"questions": questions}))
    (out / "annotations.json").write_text(json.dumps({"annotations": annotations}))
    return Counter(answer for _, _, answer in rows)


def main():
    """Train, ask, score, write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=4000)
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--result", type=Path, default=None)
    words = parser.parse_args()
    words.out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    rows = conversations(words.data, pictures=words.pictures, random=Random(0))
    write_records(words.out / "conversations.jsonl", rows, kind="Conversation")
    right = official(words.data, words.out, count=words.questions, random=Random(1))
    recipe = veridical.SftRecipe(
        model={"base": "world", "tuning": "full"},
        data={
            "conversations": str(words.out / "conversations.jsonl"),
            "images_outside": True,
            "validation_fraction": 0.02,
        },
        train={
            "learning_rate": 1e-3,
            "batch_size": 8,
            "micro_batch_size": 8,
            "epochs": words.epochs,
        },
    )
    run = veridical.train_sft(recipe, words.out / "run")
    trained = time.monotonic() - started
    veridical.evaluate(
        EvaluateRecipe(
            models=(
                ModelSettings(model="world", name="base"),
                ModelSettings(model=str(run.weights), name="trained"),
            ),
            benchmarks=(
                BenchmarkSettings(
                    benchmark="vqa",
                    questions=words.out / "questions.json",
                    reference=words.out / "annotations.json",
                    images=words.data / "test" / "images",
                ),
            ),
            out=words.out / "evaluation",
            batch_size=32,
        )
    )
    total = sum(right.values())
    yes = sum(count for answer, count in right.items() if answer in YES_NO)
    result = {
        "data": "easy-vqa 1.0 (PyPI), test split",
        "pictures": len(rows),
        "epochs": words.epochs,
        "questions": total,
        "most frequent answer": max(right.values()) / total,
        "yes or no by chance": 0.5 * yes / total,
        "seconds of training": round(trained),
        "scores": json.loads((words.out / "evaluation" / "scores.json").read_text()),
    }
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    (words.result or words.out / "result.json").write_text(text)


if __name__ == "__main__":
    main()

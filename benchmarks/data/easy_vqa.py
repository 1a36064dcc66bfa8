"""The world's small model on pictures and questions that nobody here made: `easy-vqa` of PyPI.

    pip download --no-deps easy-vqa && unzip easy_vqa-*.whl -d easy_vqa
    python benchmarks/data/easy_vqa.py --data easy_vqa/easy_vqa/data --out /tmp/easy

Its shapes, colours and wording are none of the world's. The test questions are written in VQA-v2's
official layout and scored by the `vqa` benchmark, as any model's would be. Beside it stands what
needs no picture: the most frequent answer, the most frequent training answer to the same question
(the best that a text-only model can do), and the trained model asked about another picture.
"""

import argparse
import json
from collections import Counter, defaultdict
from pathlib import Path
from random import Random

import veridical
from veridical.evaluation.recipe import BenchmarkSettings, EvaluateRecipe, ModelSettings
from veridical.records import Conversation, ImageRef, Turn, write_records
from veridical.statistics.intervals import wilson

YES_NO = {"yes", "no"}


def read(data, split):
    """Questions and answers by picture."""
    found = defaultdict(list)
    for question, answer, image in json.loads((data / split / "questions.json").read_text()):
        found[image].append((question, answer))
    return found


def conversations(data, *, pictures, turns, random):
    """Conversations of a few drawn questions each about a picture of the training split.

    Asked in a few turns, most answers are learnt without others about the same picture before them,
    as test questions are asked. Sentences begin with capitals: the world's small vocabulary has
    those words whole.
    """
    rows = []
    for image, exchanges in sorted(read(data, "train").items())[:pictures]:
        random.shuffle(exchanges)
        ref = ImageRef(path=str((data / "train" / "images" / f"{image}.png").absolute()))
        for start in range(0, len(exchanges), turns):
            said = [
                Turn(role=role, text=text.capitalize())
                for exchange in exchanges[start : start + turns]
                for role, text in zip(("user", "assistant"), exchange, strict=True)
            ]
            row = {"id": f"{image}-{start}", "image": ref, "turns": said, "source": "human"}
            rows.append(Conversation(**row, origin="easy-vqa"))
    return rows


def questions_of_test(data, *, count, random):
    """Test questions: picture, question, answer."""
    rows = [(i, q, a) for i, found in sorted(read(data, "test").items()) for q, a in found]
    return random.sample(rows, min(count, len(rows)))


def write_official(rows, out):
    """Write questions in VQA-v2's layout, and once more about the pictures of other questions."""
    others = rows[len(rows) // 2 :] + rows[: len(rows) // 2]
    for name, shown in (("test", rows), ("swapped", others)):
        pictures = [image for image, _, _ in shown]
        questions = [
            {
                "question_id": n,
                "image_id": image,
                "question": question.capitalize(),
                "image": f"{image}.png",
            }
            for n, (image, (_, question, _)) in enumerate(zip(pictures, rows, strict=True))
        ]
        annotations = [
            {
                "question_id": n,
                "image_id": image,
                "question_type": "easy",
                "answer_type": "yes/no" if answer in YES_NO else "other",
                "multiple_choice_answer": answer,
                "answers": [
                    {"answer": answer, "answer_id": k, "answer_confidence": "yes"}
                    for k in range(1, 11)
                ],
            }
            for n, (image, (_, _, answer)) in enumerate(zip(pictures, rows, strict=True))
        ]
        (out / f"{name}-questions.json").write_text(json.dumps({"questions": questions}))
        (out / f"{name}-answers.json").write_text(json.dumps({"annotations": annotations}))


def without_pictures(data, rows):
    """Accuracy of the answers that need no picture, with Wilson intervals."""
    said = defaultdict(Counter)
    for found in read(data, "train").values():
        for question, answer in found:
            said[question][answer] += 1
    everything = sum(said.values(), Counter())
    most = everything.most_common(1)[0][0]
    best = {question: answers.most_common(1)[0][0] for question, answers in said.items()}
    return {
        "most frequent answer": share(sum(answer == most for _, _, answer in rows), len(rows)),
        "most frequent answer to the same question": share(
            sum(best.get(question, most) == answer for _, question, answer in rows), len(rows)
        ),
    }


def share(count, total):
    """A share with its interval."""
    interval = wilson(count, total)
    return {"value": count / total, "n": total, "low": interval.low, "high": interval.high}


def accuracies(folder):
    """Metrics by model and benchmark, as the evaluation wrote them."""
    found = {}
    for score in json.loads((folder / "scores.json").read_text())["scores"]:
        metrics = json.loads((folder / score["score"]).read_text())["metrics"]
        found[f"{score['model']} · {score['benchmark']}"] = metrics
    return found


def main():
    """Train, ask, score, write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=4000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--result", type=Path, default=None)
    words = parser.parse_args()
    words.out.mkdir(parents=True, exist_ok=True)
    rows = conversations(words.data, pictures=words.pictures, turns=words.turns, random=Random(0))
    write_records(words.out / "conversations.jsonl", rows, kind="Conversation")
    asked = questions_of_test(words.data, count=words.questions, random=Random(1))
    write_official(asked, words.out)
    recipe = veridical.SftRecipe(
        model={"base": "world", "tuning": "full"},
        data={
            "conversations": str(words.out / "conversations.jsonl"),
            "images_outside": True,
            "validation_fraction": 0.02,
        },
        train={
            "learning_rate": 1e-3,
            "batch_size": 16,
            "micro_batch_size": 16,
            "epochs": words.epochs,
        },
    )
    folder = words.out / "run"
    run = veridical.train_sft(recipe, folder, resume=folder.exists())
    trained = run.manifest.seconds["training"]
    veridical.evaluate(
        EvaluateRecipe(
            models=(
                ModelSettings(model="world", name="base"),
                ModelSettings(model=str(run.weights), name="trained"),
            ),
            benchmarks=tuple(
                BenchmarkSettings(
                    benchmark="vqa",
                    name=name,
                    questions=words.out / f"{file}-questions.json",
                    reference=words.out / f"{file}-answers.json",
                    images=words.data / "test" / "images",
                    templates=("{question}",),
                    variants=("normalized",),  # the official one takes "Yes" and "yes" for two
                )
                for name, file in (("test", "test"), ("other pictures", "swapped"))
            ),
            out=words.out / "evaluation",
            batch_size=32,
        )
    )
    result = {
        "data": "easy-vqa 1.0 (PyPI), test split",
        "pictures": words.pictures,
        "conversations": len(rows),
        "epochs": words.epochs,
        "steps": run.manifest.notes["chosen_step"],
        "questions": len(asked),
        "seconds of training": round(trained),
        "without pictures": without_pictures(words.data, asked),
        "accuracy": accuracies(words.out / "evaluation"),
    }
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    (words.result or words.out / "result.json").write_text(text)


if __name__ == "__main__":
    main()

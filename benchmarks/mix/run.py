"""LLaVA-RLHF's claim about its SFT mix, in the world: does human data beside machine captions help?

    python benchmarks/mix/run.py --out /tmp/mix [--base FOLDER]

Both arms fine-tune the same base for the same number of steps: `captions` on machine captions with
the world's noise alone, `mix` on those and human data in the released mix's shares (90 : 83 : 16 :
23): yes/no questions, several of one picture in a conversation; multiple choice with a rationale;
true captions. Each seed draws its own scenes, and all are measured on the same unseen ones.
"""

import argparse
import gc
import json
import random
import time
from pathlib import Path

import veridical
from veridical.evaluation.world import evaluate_world
from veridical.models.loading import load_model
from veridical.records import Conversation, Turn, write_records
from veridical.statistics.intervals import paired_t
from veridical.studies.reproduce.bench import Bench
from veridical.world.descriptions import DESCRIPTION_QUESTIONS, caption_with_noise, describe
from veridical.world.export import save_image
from veridical.world.scenes import sample_scenes
from veridical.world.tasks import ask

SHARES = {"captions": 90, "yes_no": 83, "choice": 16, "true captions": 23}
"""Thousands of records of the released mix: LLaVA, VQA-v2, A-OKVQA, Flickr30k."""
MEASURED = ("hallucination_rate", "object_coverage", "yes_no_accuracy", "mmhal_score")


def talk(part, scene, rng):
    """What one conversation of a part asks about a scene and how it is answered."""
    if part == "captions":
        return [(rng.choice(DESCRIPTION_QUESTIONS), caption_with_noise(scene, rng))]
    if part == "true captions":
        return [(rng.choice(DESCRIPTION_QUESTIONS), describe(scene, rng))]
    kind, count = ("other", 1) if part == "choice" else ("yes_no", 4)
    asked = [ask(scene, kind, rng) for _ in range(count)]
    return [(question.text, question.answer) for question in asked if question is not None]


def write_conversations(folder, *, parts, count, seed):
    """Conversations of some parts in their shares, one drawn scene each."""
    rng = random.Random(seed)
    drawn = rng.choices(parts, [SHARES[part] for part in parts], k=count)
    rows = []
    for part, scene in zip(drawn, sample_scenes(1000 + seed, "mix", count), strict=True):
        image = save_image(scene, folder / "images")
        turns = [
            Turn(role=role, text=text)
            for exchange in talk(part, scene, rng)
            for role, text in zip(("user", "assistant"), exchange, strict=True)
        ]
        if turns:
            row = {"id": scene.id, "image": image, "turns": turns, "source": "simulated"}
            rows.append(Conversation(**row, origin=part))
    return write_records(folder / "conversations.jsonl", rows, kind="Conversation")


def main():
    """Train both arms from every seed, measure, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--base", default="world")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--per-type", type=int, default=6)
    parser.add_argument("--without", nargs="*", default=[], help="parts that the mix lacks")
    parser.add_argument("--result", type=Path, default=None)
    words = parser.parse_args()
    bench = Bench(words.base, 0, words.scenes, words.scenes, words.per_type)
    items = bench.items()
    parts_of_mix = [part for part in SHARES if part not in words.without]
    arms = {"captions": ["captions"], "mix": parts_of_mix}
    found = {"base": [measure(bench.base_path, items)]}
    started = time.process_time()
    for seed in range(words.seeds):
        for arm, parts in arms.items():
            folder = words.out / f"{arm}-{seed}"
            data = write_conversations(folder, parts=parts, count=16 * words.steps, seed=seed)
            run = train(bench.base_path, data, folder / "run", steps=words.steps, seed=seed)
            found.setdefault(arm, []).append(measure(str(run.weights), items))
            print(arm, seed, found[arm][-1], flush=True)
    compared = {
        name: paired_t(
            [one[name] for one in found["captions"]], [one[name] for one in found["mix"]]
        ).model_dump(mode="json")
        for name in found["base"][0]
    }
    result = {
        "settings": {**vars(words), "out": "", "result": "", "base": bench.settings()["base"]},
        "arms": found,
        "mix less captions": compared,
        "processor seconds": round(time.process_time() - started),
    }
    text = json.dumps(result, indent=2, default=str) + "\n"
    (words.result or words.out / "result.json").write_text(text)


def train(base, data, folder, *, steps, seed):
    """Fine-tune the whole language model and projector."""
    recipe = veridical.SftRecipe(
        model={"base": base, "tuning": "full"},
        data={"conversations": str(data), "validation_fraction": 0},
        train={
            "learning_rate": 3e-4,
            "batch_size": 16,
            "micro_batch_size": 16,
            "max_steps": steps,
            "epochs": 1,
            "seed": seed,
        },
    )
    return veridical.train_sft(recipe, folder)


def measure(model, items):
    """General ability and hallucination of a model on the unseen scenes."""
    metrics = evaluate_world(load_model(model), items).metrics
    gc.collect()
    return {name: round(float(metric.value), 4) for name, metric in metrics.items()}


if __name__ == "__main__":
    main()

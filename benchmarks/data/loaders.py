"""Do other trainers read what is exported when it has several pictures, earlier turns and a system?

    python benchmarks/data/loaders.py --environments DIR

Each row shows two pictures at their places, has an earlier turn and a system message. TRL,
LLaMA-Factory and ms-swift take one DPO step on it in environments of their own, which
`benchmarks/studio/loaders/run.py` makes, and must say that they have read every text of it.
RLHF-V's Parquet holds one picture; `datasets` decodes it.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[0] / "studio" / "loaders")]
import run as trainers  # noqa: E402 (found through the line above)

SYSTEM = "Answer as a careful witness."
EARLIER = ("<image> What stands in the first picture?", "A green lamp stands there.")
QUESTION = "And in this one? <image> What is gone?"
CHOSEN, REJECTED = "The lamp is gone.", "A dog is gone."
DECODE = """
import json, sys
from datasets import load_dataset
rows = load_dataset("parquet", data_files=sys.argv[1], split="train")
print(json.dumps({"rows": len(rows), "size": rows[0]["image"].size, **json.loads(rows[0]["text"])}))
"""


def write_records_into(folder):
    """Corrections about two pictures each, and some about one."""
    from PIL import Image

    from veridical.records import Correction, ImageRef, write_records

    (folder / "images").mkdir(parents=True)
    for number in range(12):
        Image.effect_noise((64, 48), 20 + number).convert("RGB").save(
            folder / "images" / f"{number}.png"
        )
    refs = [ImageRef(path=f"images/{number}.png") for number in range(12)]
    texts = {"chosen": CHOSEN, "rejected": REJECTED, "source": "human"}
    whole = {"question": QUESTION, "history": (EARLIER,), "system": SYSTEM}
    rows = [
        Correction(
            id=f"c{n}",
            prompt_id=f"p{n}",
            image=refs[2 * n],
            more_images=(refs[2 * n + 1],),
            **texts,
            **whole,
        )
        for n in range(6)
    ]
    plain = [
        Correction(id=f"c{n}", prompt_id=f"p{n}", image=refs[n], question="What is gone?", **texts)
        for n in range(6)
    ]
    write_records(folder / "corrections.jsonl", rows, kind="Correction")
    one = folder / "one"
    (one / "images").mkdir(parents=True)
    for ref in refs:
        (one / ref.path).write_bytes((folder / ref.path).read_bytes())
    write_records(one / "corrections.jsonl", plain, kind="Correction")
    return folder


def main():
    """Export, let each trainer read, print what they say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environments", type=Path, required=True)
    parser.add_argument("--result", type=Path, default=None)
    words = parser.parse_args()
    from veridical.feedback.datasets import export_dataset

    texts = [SYSTEM, EARLIER[1], "And in this one?", "What is gone?"]
    checks = {
        "trl": (trainers.trl, "data.parquet"),
        "llama-factory": (trainers.llama_factory, "data.json"),
        "ms-swift": (trainers.ms_swift, "data.jsonl"),
    }
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        records = write_records_into(Path(scratch) / "records")
        for name, (check, file) in checks.items():
            folder = Path(scratch) / name
            folder.mkdir()
            export_dataset(records, folder / file, format_name=name)
            python = trainers.environment(words.environments / name, name)
            try:
                found[name] = check(python, folder, Path(scratch), texts)
            except SystemExit as error:
                found[name] = {"failed": str(error)[-1500:]}
            print(json.dumps({name: found[name]}, ensure_ascii=False), flush=True)
        file = export_dataset(records / "one", Path(scratch) / "v.parquet", format_name="rlhf-v")
        python = trainers.environment(words.environments / "trl", "trl")
        found["rlhf-v, datasets"] = json.loads(
            trainers.call([python, "-c", DECODE, file]).splitlines()[-1]
        )
    text = json.dumps(found, indent=2, ensure_ascii=False) + "\n"
    print(text)
    if words.result:
        words.result.write_text(text)


if __name__ == "__main__":
    main()

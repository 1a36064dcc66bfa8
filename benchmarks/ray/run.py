"""Answer prompts with Ray while one worker is killed: none lost, none doubled, the same responses.

sh benchmarks/ray/run.sh          (a network of its own, in which there is nothing but loopback)
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
from miniatures import picture, tiny_llava
from veridical.evaluation.generate import GenerateRecipe, generate
from veridical.records import ImageRef, Prompt, write_records


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--prompts", type=int, default=96)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        result = measure(Path(name), arguments.prompts, arguments.workers)
    print(json.dumps(result, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


def measure(folder: Path, count: int, workers: int) -> dict[str, object]:
    model = tiny_llava(folder / "model")
    prompts = []
    for number in range(count):
        picture(number).save(folder / f"{number}.png")
        image = ImageRef(path=f"{number}.png")
        prompts.append(Prompt(id=f"p{number}", image=image, question=f"What is it, {number}?"))
    write_records(folder / "prompts.jsonl", prompts, kind="Prompt")
    common = {
        "model": str(model), "prompts": folder / "prompts.jsonl", "device": "cpu",
        "max_new_tokens": 64, "batch_size": 4, "save_every": count // 2,
    }  # fmt: skip
    plain = generate(GenerateRecipe(out=folder / "hf", **common)).responses
    killed: list[int] = []
    watcher = threading.Thread(target=kill_one, args=(killed,), daemon=True)
    watcher.start()
    started = time.monotonic()
    ray = {"workers": workers}
    spread = generate(GenerateRecipe(out=folder / "ray", engine="ray", ray=ray, **common)).responses
    ids = [one.id for one in spread]
    return {
        "prompts": count,
        "workers": workers,
        "workers_killed": len(killed),
        "network": "loopback alone" if own_network() else "all interfaces",
        "seconds": time.monotonic() - started,
        "responses": len(spread),
        "lost": len({one.id for one in plain} - set(ids)),
        "doubled": len(ids) - len(set(ids)),
        "equal_to_one_process": sum(a == b for a, b in zip(plain, spread)),
    }


def kill_one(killed: list[int]) -> None:
    """Kill the first worker that has answered for a while."""
    while True:
        found = [int(one.name) for one in Path("/proc").glob("[0-9]*") if is_ours(one)]
        if found:
            time.sleep(4)
            os.kill(found[0], signal.SIGKILL)
            killed.append(found[0])
            return
        time.sleep(0.2)


def is_ours(process: Path) -> bool:
    """Whether a process is a worker of this run: Ray names it for what it does."""
    try:
        title = (process / "cmdline").read_bytes()
        same = (process / "ns/net").stat().st_ino == Path("/proc/self/ns/net").stat().st_ino
    except OSError:
        return False
    return same and title.startswith(b"ray::") and b"Worker" in title and b"IDLE" not in title


def own_network() -> bool:
    """Whether this network has no interface but loopback."""
    lines = Path("/proc/net/dev").read_text().splitlines()[2:]
    return [line.partition(":")[0].strip() for line in lines] == ["lo"]


if __name__ == "__main__":
    main()

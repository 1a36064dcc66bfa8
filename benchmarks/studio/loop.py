"""The whole loop with the studio in the middle: a robot that knows the truth corrects there.

python benchmarks/studio/loop.py OUT [--items 60]

Scenes of the embedded world → `generate` → studio → a robot at the keyboard of a real Chromium →
export → `train dpo` → measured again on unseen scenes, in pairs → OUT/report.html. The robot's
judgements are marked simulated, and the report says so. Prints JSON; OUT keeps every stage.
"""

import argparse
import json
import sys
import threading
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from statistics import median

from veridical.benchmarks.world.evaluation import compare_world
from veridical.benchmarks.world.items import build_world_benchmark
from veridical.config import load_recipe
from veridical.evaluation.generate import GenerateRecipe, generate
from veridical.evaluation.world import evaluate_world
from veridical.models.loading import load_model
from veridical.records import KINDS, Correction, Prompt, read_records
from veridical.records.results import Results, write_results
from veridical.report.runs import write_report
from veridical.studio.export.folder import export_studio
from veridical.studio.serving import Address, login_link
from veridical.studio.settings import StudioSettings
from veridical.studio.start import SourceOptions, init_studio
from veridical.studio.web.app import make_app
from veridical.training.preference.config import PreferenceRecipe
from veridical.training.preference.train import train_dpo
from veridical.world.base import base_model_path
from veridical.world.export import write_scenes
from veridical.world.people.correcting import correct
from veridical.world.people.person import EXACT

ROBOT = "robot"
READY = '#work:not([hidden], [aria-busy="true"]), #nothing:not([hidden])'


def main() -> None:
    """Run the loop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--items", type=int, default=60)
    parser.add_argument("--test-scenes", type=int, default=200)
    options = parser.parse_args()
    out = options.out
    scenes = {
        one.id: one
        for one in write_scenes(out / "scenes", count=options.items, split="studio", seed=0)
    }
    prompts = {one.id: one for one in read_records(out / "scenes" / "prompts.jsonl", Prompt)}
    recipe = GenerateRecipe(
        model=str(base_model_path()),
        prompts=out / "scenes" / "prompts.jsonl",
        out=out / "before",
        max_new_tokens=96,
    )
    answers = generate(recipe).responses
    truth = {
        one.text: correct(scenes[one.prompt_id], prompts[one.prompt_id], one.text, EXACT, seed=0)
        for one in answers
    }
    studio, _ = init_studio(
        out / "studio",
        out / "before",
        SourceOptions(task="correct"),
        settings=StudioSettings(overlap_share=0.0, gold_share=0.0, repeat_share=0.0),
    )
    seconds = work(studio, truth)
    clock = {"correcting": sum(seconds)}
    exported = export_studio(studio, out / "mine")
    rows = read_records(out / "mine" / "corrections.jsonl", Correction)
    known = {row.rejected: row for row in truth.values() if row is not None}
    changed = [row for row in rows if row.chosen != row.rejected]
    exact = sum(
        row.chosen == known[row.rejected].chosen for row in changed if row.rejected in known
    )
    training = time.perf_counter()
    run = train_dpo(
        load_recipe(
            "dpo-world",
            PreferenceRecipe,
            settings={"data": {"corrections": str(out / "mine" / "corrections.jsonl")}},
        ),
        out / "dpo",
    )
    items = build_world_benchmark(
        0, "test", n_scenes=options.test_scenes, n_probe_scenes=20, n_per_type=5
    )
    clock["training"] = time.perf_counter() - training
    measuring = time.perf_counter()
    before = evaluate_world(load_model(str(base_model_path())), items, out=out / "1-base")
    after = evaluate_world(load_model(str(run.weights)), items, out=out / "2-aligned")
    compared = compare_world(before, after)
    change = compared["hallucination_rate"]
    write_results(
        out / "results.json",
        Results(
            base=before.metrics,
            aligned=after.metrics,
            comparison=compared,
            judgements=dict(Counter(row.source for row in rows)),
            seconds=clock | {"measuring": time.perf_counter() - measuring},
            seed=0,
            versions={"veridical": version("veridical"), "torch": version("torch")},
        ),
    )
    report = write_report([out], out / "report.html")
    print(
        json.dumps(
            {
                "items": len(rows),
                "corrected": len(changed),
                "as_the_robot_meant": exact,
                "sources": sorted({row.source for row in rows}),
                "seconds_per_item": round(median(seconds), 2),
                "counts": exported.counts,
                "hallucination_rate": [
                    before.metrics["hallucination_rate"].value,
                    after.metrics["hallucination_rate"].value,
                ],
                "change": change.model_dump(),
                "report": str(report),
            },
            indent=2,
        )
    )


def work(studio, truth):
    """Correct every item in the browser; give the seconds that each took."""
    import uvicorn
    from playwright.sync_api import sync_playwright

    sys.setswitchinterval(0.001)
    server = uvicorn.Server(
        uvicorn.Config(
            make_app(studio, hosts=["127.0.0.1"]),
            host="127.0.0.1",
            port=0,
            log_level="error",
            lifespan="off",
        )
    )
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    link = login_link(studio, ROBOT, Address(port=port), role="annotator", source="simulated")
    seconds = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.goto(link)
        page.wait_for_url("**/work")
        done = 0
        while True:
            page.wait_for_selector(READY)
            if page.is_visible("#nothing"):
                break
            started = time.perf_counter()
            text = page.input_value("#text")
            meant = truth[text]
            if meant is None:
                page.keyboard.press("n")
            else:
                page.fill("#text", meant.chosen)
                page.keyboard.press("Escape")
                page.wait_for_selector(".change")
                count = page.locator(".change").count()
                kinds = [KINDS.index(one.kind) + 1 for one in meant.segments]
                for kind in kinds if len(kinds) == count else [1] * count:
                    page.keyboard.press(str(kind))
                page.keyboard.press("Enter")
            done += 1
            page.wait_for_function(
                "n => document.getElementById('done').textContent === String(n)", arg=done
            )
            seconds.append(time.perf_counter() - started)
        page.wait_for_timeout(500)
        browser.close()
    server.should_exit = True
    return seconds


if __name__ == "__main__":
    main()

"""Seven ways of learning from the same corrections, three seeds each, with paired tests.

    veridical demo --out demo
    python benchmarks/objectives/run.py demo/2-corrections/corrections.jsonl runs/objectives

Prints a table; RUNS/objectives.json is the record. With --ship it also becomes the table that the
demo's report shows.
"""

import argparse
import shutil
from collections import defaultdict
from pathlib import Path
from statistics import mean

from veridical.studies.objectives import RECORDED, compare_objectives


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corrections", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--test-scenes", type=int, default=1000)
    parser.add_argument("--ship", action="store_true")
    options = parser.parse_args()
    table = compare_objectives(
        options.corrections, options.out, seeds=options.seeds, test_scenes=options.test_scenes
    )
    arms = defaultdict(list)
    for row in table.rows:
        arms[row.name].append(row)
    for name, rows in arms.items():
        rates = [row.metrics["hallucination_rate"].value for row in rows]
        coverage = mean(row.metrics["object_coverage"].value for row in rows)
        print(
            f"{name:34} {mean(rates):6.1%} ({min(rates):.1%}-{max(rates):.1%}) hallucinate,"
            f" coverage {coverage:.1%}"
        )
    for test in table.tests:
        result = test.result
        print(
            f"{test.second} - {test.first}, {test.metric}: {result.difference:+.4f} "
            f"[{result.low:+.4f}, {result.high:+.4f}] p {result.p:.3g}"
        )
    if options.ship:
        shutil.copy(options.out / "objectives.json", RECORDED)


if __name__ == "__main__":
    main()

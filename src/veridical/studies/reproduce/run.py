"""`veridical reproduce`: make the grid of a study, test its claims, write what came out."""

import json
from pathlib import Path
from typing import NamedTuple

from veridical.files import write_json_atomically, write_text_atomically
from veridical.models.hashing import model_hash
from veridical.models.loading import load_model
from veridical.progress import log
from veridical.records.claims import ClaimsReport, CurveRow
from veridical.records.manifests import build_manifest
from veridical.report.claims import claims_table, render_claims
from veridical.studies.reproduce.grid import CELL_FILE, run_grid
from veridical.studies.reproduce.plan import Plan
from veridical.studies.reproduce.rlhf_v import HABITS, rlhf_v_cells
from veridical.studies.reproduce.verdicts import judge_claims, summarise_arm
from veridical.world.base import WORLD_MODEL, base_model_path

_METRICS = ("hallucination_rate", "object_coverage", "mean_length")


class Study(NamedTuple):
    """A plan, and what it is run on."""

    plan: Plan
    """What is tested."""
    plan_hash: str
    """Hash of the plan's file."""
    base: str = WORLD_MODEL
    """The model that is aligned."""
    seed: int = 0
    """Root seed of test and validation scenes."""


def reproduce(study: Study, out: Path) -> ClaimsReport:
    """Run a study, or resume it, and write `results.json`, `results.md` and `report.html`.

    Args:
        study: What to test, on what.
        out: Folder of the grid; what is finished there is not made again.

    Raises:
        ConfigError: Another process works in `out`, or the plan names an arm that there is not.
    """
    plan = study.plan
    cells = rlhf_v_cells(plan, base=study.base, seed=study.seed)
    run_grid(cells, out, seed=study.seed)
    log("Testing the claims")
    arms = list(dict.fromkeys(cell.name.partition("/")[0] for cell in cells))
    policies = [
        one for one in arms if one != "habits" and not one.startswith(("corr", "comparisons"))
    ]
    report = ClaimsReport(
        title="What holds of RLHF-V's claims",
        note=plan.note,
        plan=study.plan_hash,
        fixed=plan.fixed,
        seeds=plan.seeds,
        scenes=plan.test_scenes,
        claims=judge_claims(plan, out, seed=study.seed),
        arms=tuple(summarise_arm(plan, out, arm, _METRICS) for arm in (*policies, *HABITS)),
        curve=tuple(CurveRow(corrections=size, arm=f"dense-{size}") for size in plan.corrections),
        cells=len(cells),
        hours=sum(_seconds(out / cell.name) for cell in cells) / 3600,
        machine=build_manifest(verb="reproduce", seed=study.seed).machine,
        base=model_hash(
            load_model(str(base_model_path()) if study.base == WORLD_MODEL else study.base).model
        ),
    )
    write_json_atomically(out / "results.json", report.model_dump(mode="json"))
    write_text_atomically(out / "results.md", claims_table(report))
    render_claims(report, out / "report.html")
    for claim in report.claims:
        log(f"{claim.verdict:9}  {claim.claim}")
    log(f"Numbers: {out / 'results.json'}, {out / 'results.md'}. Report: {out / 'report.html'}")
    return report


def _seconds(folder: Path) -> float:
    stated: float = json.loads((folder / CELL_FILE).read_text(encoding="utf-8"))["seconds"]["work"]
    return stated

"""`veridical reproduce`: make the grid of a study, test its claims, write what came out."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from veridical.errors import ConfigError
from veridical.files import write_json_atomically, write_text_atomically
from veridical.models.hashing import model_hash
from veridical.models.loading import load_model
from veridical.progress import log
from veridical.records.claims import ClaimsReport, CurveRow, TrainingPath
from veridical.records.manifests import build_manifest
from veridical.report.claims import claims_table, render_claims
from veridical.studies.fact_rlhf.curves import RunCurve, read_curve
from veridical.studies.reproduce.grid import CELL_FILE, Cell, run_grid
from veridical.studies.reproduce.llava_rlhf import EQUAL_KL, TRAINED_POLICIES, llava_rlhf_cells
from veridical.studies.reproduce.paths import training_path
from veridical.studies.reproduce.plan import LlavaRlhfPlan, RlhfVPlan
from veridical.studies.reproduce.rlhf_v import COVERAGE_TOLERANCE, HABITS, rlhf_v_cells
from veridical.studies.reproduce.verdicts import judge_claims, load_runs, summarise_arm
from veridical.studies.reproduce.warned import check_warnings
from veridical.world.base import WORLD_MODEL, base_model_path

_METRICS = (
    "hallucination_rate",
    "hallucination_rate/object",
    "object_coverage",
    "detail_coverage",
    "over_generalisation",
    "mean_length",
    "mmhal_score",
    "relative_score",
    "reward_accuracy",
    "judge",
    "judge_fall",
    "reward_rise",
    "kl",
    "hacking_warning",
)
"""What the table of arms shows, as far as an arm has it."""
_TITLES = {
    "rlhf-v": "What holds of RLHF-V's claims",
    "llava-rlhf": "What holds of LLaVA-RLHF's claims",
}
_NOT_MEASURED = ("corrections", "comparisons")
"""Cells with names that begin so are judgements."""


class Study(NamedTuple):
    """A plan, and what it is run on."""

    plan: RlhfVPlan | LlavaRlhfPlan
    """What is tested."""
    plan_hash: str
    """Hash of the plan's file."""
    base: str = WORLD_MODEL
    """The model that is aligned."""
    seed: int = 0
    """Root seed of all scenes."""


def reproduce(study: Study, out: Path, *, workers: int = 1) -> ClaimsReport:
    """Run a study, or resume it, and write `results.json`, `results.md` and `report.html`.

    Args:
        study: What to test, on what.
        out: Folder of the grid; what is finished there is not made again.
        workers: Cells made at once, each in a process of its own.

    Raises:
        ConfigError: Another process works in `out`, or the plan names an arm that there is not.
    """
    plan = study.plan
    cells = cells_of(study)
    arms = measured_arms(cells)
    _check_arms(plan, arms)
    run_grid(partial(cells_of, study), out, seed=study.seed, workers=workers)
    runs = load_runs(out, arms, seeds=plan.seeds, seed=study.seed)
    curves = _curves(arms, plan.seeds, out)
    report = ClaimsReport(
        title=_TITLES[plan.study],
        note=plan.note,
        plan=study.plan_hash,
        fixed=plan.fixed,
        seeds=plan.seeds,
        scenes=plan.test_scenes,
        claims=judge_claims(plan, runs, seed=study.seed),
        arms=tuple(summarise_arm(arm, runs[arm], _METRICS) for arm in arms),
        curve=_curve(plan, arms),
        paths=_paths(arms, plan.seeds, out),
        policies=tuple(
            point for group in curves.values() for one in group for point in one.measurements()
        ),
        warnings=tuple(check_warnings(arm, group) for arm, group in curves.items()),
        cells=len(cells),
        hours=sum(_seconds(out / cell.name) for cell in cells) / 3600,
        machine=build_manifest(verb="reproduce", seed=study.seed).machine,
        base=model_hash(
            load_model(str(base_model_path()) if study.base == WORLD_MODEL else study.base).model
        ),
    )
    keep_results_of_another_plan(out, study.plan_hash)
    write_json_atomically(out / "results.json", report.model_dump(mode="json"))
    write_text_atomically(out / "results.md", claims_table(report))
    render_claims(report, out / "report.html")
    for claim in report.claims:
        log(f"{claim.verdict:9}  {claim.claim}")
    log(f"Numbers: {out / 'results.json'}, {out / 'results.md'}. Report: {out / 'report.html'}")
    return report


def keep_results_of_another_plan(out: Path, plan_hash: str) -> None:
    """Rename what another plan left in a folder that both share: `results-HASH.json` and so on."""
    results = out / "results.json"
    if not results.is_file():
        return
    before = str(json.loads(results.read_text(encoding="utf-8"))["plan"])
    if before == plan_hash:
        return
    for name in ("results.json", "results.md", "report.html"):
        file = out / name
        if file.is_file():
            file.replace(file.with_stem(f"{file.stem}-{before[:12]}"))


def cells_of(study: Study) -> list[Cell]:
    """The grid of a study."""
    if isinstance(study.plan, LlavaRlhfPlan):
        return llava_rlhf_cells(study.plan, base=study.base, seed=study.seed)
    return rlhf_v_cells(study.plan, base=study.base, seed=study.seed)


def measured_arms(cells: Sequence[Cell]) -> list[str]:
    """Names of all arms of a grid, in order."""
    parts = {"habits": tuple(HABITS), "equal-kl": tuple(EQUAL_KL.values())}
    names = dict.fromkeys(cell.name.partition("/")[0] for cell in cells)
    return [
        arm
        for name in names
        if not name.startswith(_NOT_MEASURED)
        for arm in parts.get(name, (name,))
    ]


def _check_arms(plan: RlhfVPlan | LlavaRlhfPlan, arms: Sequence[str]) -> None:
    """Hours before the claims are tested, see that there is something to test them on."""
    named = {arm: one.id for one in plan.hypotheses for arm in (one.first, one.second)}
    unknown = [f"{arm!r} ({where})" for arm, where in named.items() if arm not in arms]
    if unknown:
        raise ConfigError(
            f"The plan names arms that its grid does not have: {', '.join(unknown)}. There are:"
            f" {', '.join(arms)}."
        )


def _curve(plan: RlhfVPlan | LlavaRlhfPlan, arms: Sequence[str]) -> tuple[CurveRow, ...]:
    """The curves over corrections, where the study has some."""
    sizes = plan.corrections if isinstance(plan, RlhfVPlan) else ()
    rows = (
        CurveRow(corrections=size, arm=f"{method}-{size}")
        for method in ("dense", "anchored")
        for size in sizes
    )
    return tuple(row for row in rows if row.arm in arms)


def _paths(arms: Sequence[str], seeds: int, out: Path) -> tuple[TrainingPath, ...]:
    """What arms did along training, at its end and at matched coverage."""
    found = (
        training_path(arm, _runs(out, arm, seeds), lost=COVERAGE_TOLERANCE)
        for arm in arms
        if arm not in TRAINED_POLICIES
    )
    return tuple(one for one in found if one is not None)


def _runs(out: Path, arm: str, seeds: int) -> list[Path]:
    """An arm's run directories, by seed."""
    return [out / arm / f"seed-{number}" / "run" for number in range(seeds)]


def _curves(arms: Sequence[str], seeds: int, out: Path) -> dict[str, list[RunCurve]]:
    """What policies measured along their training, by arm."""
    return {
        arm: [
            read_curve(run, arm=arm, seed=number, asked=())
            for number, run in enumerate(_runs(out, arm, seeds))
        ]
        for arm in arms
        if arm in TRAINED_POLICIES
    }


def _seconds(folder: Path) -> float:
    stated: float = json.loads((folder / CELL_FILE).read_text(encoding="utf-8"))["seconds"]["work"]
    return stated

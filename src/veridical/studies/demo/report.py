"""What a run of the demo says to its reader: records of the run → the inputs of the report."""

import json
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from veridical.benchmarks.world.evaluation import WorldEvaluation
from veridical.files import hash_file
from veridical.records import Manifest, Metric
from veridical.records.results import Results
from veridical.report.inputs import (
    Corrections,
    CurvePoint,
    DemoReport,
    OverGeneralisation,
    Probe,
    QuestionType,
    Rerun,
    Stage,
)
from veridical.statistics import clustered_bootstrap
from veridical.studies.collection import Collected
from veridical.studies.demo.recipe import DemoRecipe
from veridical.studies.illustrations import (
    GALLERY_SCENES,
    alt_text,
    find_showcase,
    picture,
    show_scene,
)
from veridical.studies.objectives import recorded_objectives
from veridical.training.preference.config import PreferenceRecipe
from veridical.training.run.frame import RunResult
from veridical.world.tasks import MMHAL_TYPES

_CHANCE_MARGIN = 0.55
"""Yes/no accuracy whose interval does not lie wholly above this counts as chance; a coin gives
0.5."""

_CAVEATS = (
    (
        "The world is drawn. It has 48 objects, 6 colours and short sentences; a photograph has far"
        " more to get wrong. What carries over is the code path and the method, not the numbers."
    ),
    (
        "The people are simulated: they correct from ground truth with the error rates stated"
        " above. Real annotators disagree more, and about more."
    ),
    (
        "The judge is exact because the scene is known. On photographs the judge is a person, a"
        " list of objects or another model, and errs."
    ),
    (
        "The base model was made to hallucinate: the last stage of its training used captions with"
        " the noise of a machine captioner. How much it hallucinates is a choice of ours,"
        " documented in the noise model."
    ),
    (
        "One base model, one seed of the world: the intervals cover the choice of scenes, not that"
        " of the base model."
    ),
    "Shorter answers hallucinate less. Read coverage and length together with every rate.",
)


class DemoRun(NamedTuple):
    """Everything that a run of the demo left."""

    out: Path
    """Its folder."""
    recipe: DemoRecipe
    """How large it was, and who corrected."""
    before: WorldEvaluation
    """The base model on the test scenes."""
    after: WorldEvaluation
    """The aligned model on the same."""
    collected: Collected
    """The corrections."""
    training: PreferenceRecipe
    """How it was trained."""
    run: RunResult
    """What training left."""
    results: Results
    """The numbers."""
    manifest: Manifest
    """What made the run."""


def describe_run(demo: DemoRun) -> DemoReport:
    """Turn a run into the inputs of its report."""
    gallery = tuple(
        show_scene(demo.before, demo.after, number)
        for number in range(min(GALLERY_SCENES, len(demo.before.descriptions)))
    )
    objectives = recorded_objectives(base=demo.manifest.inputs["base model"])
    caveats = (
        *_CAVEATS,
        *_chance_caveat(demo.results),
        *(() if objectives is None else (objectives.note,)),
    )
    notes = demo.run.manifest.notes
    return DemoReport(
        title="A model learns to say only what is in the picture",
        model="a LLaVA of 1.6 million parameters that describes drawn scenes",
        objective=demo.training.objective.describe(),
        results=demo.results,
        showcase=show_scene(demo.before, demo.after, find_showcase(demo.before, demo.after)),
        over_generalisation=_over_generalisation(demo),
        stages=_stages(demo),
        corrections=_corrections(demo),
        curve=_curve(demo.run.run_dir / "metrics.jsonl", demo.recipe.validation_scenes),
        chosen_step=notes["chosen_step"],
        selection_rule=(
            f"Rule, stated before training: {notes['choice_rule']}. Measured on validation scenes."
        ),
        question_types=_question_types(demo.results),
        probes=_probes(demo.results),
        objectives=() if objectives is None else objectives.rows,
        objective_tests=() if objectives is None else objectives.tests,
        gallery=gallery,
        gallery_note=f"The first {len(gallery)} test scenes, as they came: none was picked.",
        caveats=caveats,
        rerun=_rerun(demo),
    )


def _chance_caveat(results: Results) -> tuple[str, ...]:
    """Warn where the base answers yes/no probes no better than a coin: it can hardly get worse."""
    accuracy = results.base["yes_no_accuracy"]
    if accuracy.low > _CHANCE_MARGIN:
        return ()
    return (
        (
            "The base model answers yes/no questions about objects hardly better than a coin"
            f" ({accuracy.value:.1%} right, half of the probes being true). Its yes/no numbers show"
            " that alignment did not move them, and no more."
        ),
    )


def _over_generalisation(demo: DemoRun) -> tuple[OverGeneralisation, ...]:
    before, after = demo.before.over_generalisation, demo.after.over_generalisation
    if before is None or after is None:
        return ()
    return tuple(
        OverGeneralisation(
            context=old.context,
            objects=old.objects,
            everywhere_before=old.everywhere,
            in_context_before=old.in_context,
            everywhere_after=new.everywhere,
            in_context_after=new.in_context,
            delta_before=old.difference,
            delta_after=new.difference,
        )
        for old, new in zip(before.contexts, after.contexts, strict=True)
    )


def _stages(demo: DemoRun) -> tuple[Stage, ...]:
    scenes = len(demo.before.descriptions)
    count = len(demo.collected.corrections)
    texts = {
        "measure": (
            f"The base model describes {scenes:,} unseen scenes; an exact judge finds every fault."
        ),
        "collect": (
            f"Simulated people look at {demo.collected.shown:,} of its responses and correct"
            f" {count:,}."
        ),
        "align": (
            f"{demo.training.objective.describe()} on the corrected words; the checkpoint is chosen"
            " on other scenes."
        ),
        "measure again": "The same scenes and questions, the same judge, paired tests.",
    }
    # The page cannot know how long it takes to write itself: `results.json` does.
    seconds = demo.results.seconds
    return tuple(
        Stage(name=name.capitalize(), does=text, seconds=seconds[name])
        for name, text in texts.items()
        if name in seconds
    )


def _corrections(demo: DemoRun) -> Corrections:
    corrections = demo.collected.corrections
    # An example that shows a deletion and a replacement says more than one of either.
    example = next(
        (one for one in corrections if len({s.kind for s in one.segments}) > 1), corrections[0]
    )
    scene = demo.collected.scenes[example.prompt_id]
    kinds = Counter(segment.kind for one in corrections for segment in one.segments)
    person = demo.recipe.person
    return Corrections(
        count=len(corrections),
        source="simulated",
        segments_per_response=clustered_bootstrap(
            [len(one.segments) for one in corrections], seed=0
        ),
        kinds=dict(kinds.most_common()),
        example_question=example.question,
        example_image=picture(scene),
        example_alt=alt_text(scene),
        rejected=example.rejected,
        chosen=example.chosen,
        segments=example.segments,
        note=(
            f"Stated error rates: a fault is overlooked with probability {person.miss:g}, a true"
            f" statement made wrong with {person.slip:g}; an invented object gives way to an"
            f" overlooked one with {person.replace_absent:g}, where there is one."
        ),
    )


def _curve(metrics: Path, scenes: int) -> tuple[CurvePoint, ...]:
    points = []
    for line in metrics.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["part"] == "train":
            points.append(
                CurvePoint(step=row["step"], loss=row.get("loss"), margin=row.get("reward_margin"))
            )
        elif "hallucination_rate" in row:
            points.append(
                CurvePoint(
                    step=row["step"],
                    hallucination=_validation_metric(row, "hallucination_rate", scenes),
                    coverage=_validation_metric(row, "object_coverage", scenes),
                )
            )
    return tuple(points)


def _validation_metric(row: dict[str, float], name: str, scenes: int) -> Metric:
    return Metric(value=row[name], n=scenes, low=row[f"{name}/low"], high=row[f"{name}/high"])


def _question_types(results: Results) -> tuple[QuestionType, ...]:
    return tuple(
        QuestionType(
            name=name,
            before=results.base[f"mmhal_score/{name}"],
            after=results.aligned[f"mmhal_score/{name}"],
        )
        for name in MMHAL_TYPES
        if f"mmhal_score/{name}" in results.base
    )


def _probes(results: Results) -> tuple[Probe, ...]:
    names = {
        "yes_no_accuracy/random": "right, absent objects drawn at random",
        "yes_no_accuracy/typical": "right, absent objects typical of the place",
    }
    return tuple(
        Probe(name=text, before=results.base[name], after=results.aligned[name])
        for name, text in names.items()
        if name in results.base
    )


def _rerun(demo: DemoRun) -> Rerun:
    manifest = demo.manifest
    return Rerun(
        commands=(
            "make demo",
            f"veridical demo --out DIR --seed {manifest.seed}",
            (
                "veridical train dpo dpo-world data.corrections=DIR/2-corrections/corrections.jsonl"
                " --out RUN"
            ),
        ),
        created=manifest.created,
        git_commit=manifest.git_commit,
        machine=manifest.machine,
        hashes={
            "base model": manifest.inputs["base model"],
            "corrections": hash_file(demo.collected.path),
            "aligned model": str(manifest.notes["aligned model"]),
        },
    )

"""A made-up report: the numbers are invented and say so; only the shape is that of a real run."""

import random

import pytest

from made_up_scenes import draw_picture, mark_words
from veridical.records import Metric, Segment
from veridical.records.results import Results
from veridical.report.inputs import (
    Corrections,
    CurvePoint,
    DemoReport,
    ObjectiveRow,
    ObjectiveTest,
    OverGeneralisation,
    Probe,
    QuestionType,
    Rerun,
    ShownScene,
    Stage,
)
from veridical.statistics import clustered_bootstrap, mcnemar, paired_permutation, wilson

KINDS = ("object", "number", "colour", "place")


def make_scene(number: int) -> ShownScene:
    before = mark_words(
        "This is a kitchen. There are two red apples on the left. There is a knife on the right. "
        "A blue cup is in the middle.",
        *[
            [("knife", "object", "")],
            [("knife", "object", ""), ("two", "number", "one")],
            [("red", "colour", "green")],
            [],
        ][number % 4],
    )
    after = mark_words(
        "This is a kitchen. There are two red apples on the left. A blue cup is in the middle.",
        *[[], [("two", "number", "one")], [("red", "colour", "green")], []][number % 4],
    )
    return ShownScene(
        scene_id=f"scene-{number:04d}",
        context="kitchen",
        image=draw_picture(number),
        alt="Two red apples on the left, a blue cup in the middle.",
        question="Describe this picture in detail.",
        before=before,
        after=after,
    )


def make_results() -> Results:
    random_ = random.Random(0)
    n = 240
    base: dict[str, Metric] = {}
    aligned: dict[str, Metric] = {}
    comparison = {}

    def rate(name: str, old: float, new: float) -> None:
        first = [random_.random() < old for _ in range(n)]
        second = [
            (
                before and random_.random() < new / old
                if new < old
                else before or random_.random() < new - old
            )
            for before in first
        ]
        base[name], aligned[name] = wilson(sum(first), n), wilson(sum(second), n)
        comparison[name] = mcnemar(first, second)

    def mean(name: str, old: float, new: float, spread: float) -> None:
        first = [random_.gauss(old, spread) for _ in range(n)]
        second = [x + random_.gauss(new - old, spread / 2) for x in first]
        base[name] = clustered_bootstrap(first, seed=0, resamples=200)
        aligned[name] = clustered_bootstrap(second, seed=0, resamples=200)
        comparison[name] = paired_permutation(first, second, seed=0, resamples=200)

    rate("hallucination_rate", 0.573, 0.094)
    rate("mention_hallucination_rate", 0.22, 0.04)
    rate("object_coverage", 0.985, 0.97)
    mean("mean_length", 33.1, 30.4, 6)
    rate("yes_no_f1", 0.91, 0.915)
    mean("mmhal_score", 3.1, 4.4, 1.2)
    rate("yes_ratio", 0.52, 0.5)
    for kind, (old, new) in zip(
        KINDS, [(0.46, 0.05), (0.11, 0.03), (0.07, 0.04), (0.05, 0.03)], strict=True
    ):
        rate(f"hallucination_rate/{kind}", old, new)
    return Results(
        base=base,
        aligned=aligned,
        comparison=comparison,
        seconds={
            "measure": 41.0,
            "collect": 28.5,
            "align": 88.0,
            "measure again": 40.0,
            "report": 2.4,
        },
        seed=7,
        versions={"veridical": "0.1.0", "python": "3.11.0", "torch": "2.13.0"},
    )


def make_report() -> DemoReport:
    rejected = "There is a knife on the right. Two red apples are on the left."
    chosen = "A blue cup is on the right. Two red apples are on the left."
    objectives = [
        ObjectiveRow(
            name=name,
            seed=seed,
            settings={"beta": beta, "learning rate": "3e-5"},
            metrics={
                "hallucination_rate": wilson(round(512 * (rate + 0.012 * (seed - 1))), 512),
                "object_coverage": wilson(round(1500 * (coverage - 0.003 * seed)), 1500),
                "mean_length": Metric(
                    value=30 + seed / 2, n=512, low=29.5 + seed / 2, high=30.5 + seed / 2
                ),
            },
        )
        for name, beta, rate, coverage in [
            ("DPO", 0.1, 0.201, 0.973),
            ("dense DPO, sum (RLHF-V)", 0.5, 0.17, 0.975),
            ("dense DPO, normalised", 5, 0.174, 0.977),
        ]
        for seed in range(3)
    ]
    return DemoReport(
        title="Made-up report",
        notice="Made-up numbers: this page shows the layout only.",
        model="a LLaVA of 1.4 million parameters, trained on drawn scenes",
        objective="dense DPO (RLHF-V), normalised",
        results=make_results(),
        showcase=make_scene(1),
        over_generalisation=tuple(
            OverGeneralisation(
                context=context,
                objects=("knife", "bowl", "kettle"),
                everywhere_before=wilson(40 + i, 240),
                in_context_before=wilson(18 + i, 40),
                everywhere_after=wilson(6, 230),
                in_context_after=wilson(2, 38 - i),
                delta_before=Metric(value=0.28, n=240, low=0.12, high=0.43) if i else None,
            )
            for i, context in enumerate(["kitchen", "farm", "street"])
        ),
        stages=(
            Stage(
                name="Measure",
                does="The base model describes unseen scenes; an exact judge finds every fault.",
                seconds=41,
            ),
            Stage(
                name="Collect",
                does="Simulated people correct 1,400 of the model's own responses.",
                seconds=28.5,
            ),
            Stage(name="Align", does="Dense DPO learns from the corrected words.", seconds=88),
            Stage(
                name="Measure again",
                does="The same scenes and questions, the same judge.",
                seconds=40,
            ),
            Stage(name="Report", does="Paired tests, figures, this page.", seconds=2.4),
        ),
        corrections=Corrections(
            count=1400,
            source="simulated",
            segments_per_response=Metric(value=1.42, n=1400, low=1.37, high=1.47),
            kinds={"object": 1100, "number": 480, "attribute": 250, "position": 160},
            example_question="Describe this picture.",
            example_image=draw_picture(3),
            example_alt="Two red apples and a blue cup.",
            rejected=rejected,
            chosen=chosen,
            segments=(Segment(rejected_span=(0, 16), chosen_span=(0, 13), kind="object"),),
            note="Stated error rates: 3 % slips, 5 % misses.",
        ),
        curve=tuple(
            CurvePoint(
                step=step,
                loss=0.69 * 0.97**step + 0.05,
                margin=0.12 * step,
                hallucination=(
                    wilson(round(200 * (0.57 * 0.955**step + 0.05)), 200) if step % 8 == 0 else None
                ),
                coverage=(
                    wilson(round(600 * (0.985 - step * 0.0006)), 600) if step % 8 == 0 else None
                ),
            )
            for step in range(0, 45, 2)
        ),
        chosen_step=32,
        selection_rule=(
            "Rule: least hallucination among the checkpoints whose coverage is within 2 points of"
            " the base."
        ),
        question_types=tuple(
            QuestionType(
                name=name,
                before=Metric(
                    value=2.4 + i % 3 * 0.5, n=60, low=2.1 + i % 3 * 0.5, high=2.7 + i % 3 * 0.5
                ),
                after=Metric(
                    value=3.9 + i % 4 * 0.3, n=60, low=3.6 + i % 4 * 0.3, high=4.2 + i % 4 * 0.3
                ),
            )
            for i, name in enumerate(
                [
                    "attribute",
                    "adversarial",
                    "comparison",
                    "counting",
                    "relation",
                    "environment",
                    "holistic",
                    "other",
                ]
            )
        ),
        probes=(
            Probe(
                name="right, random absent objects", before=wilson(352, 400), after=wilson(360, 400)
            ),
            Probe(
                name="right, co-occurring absent objects",
                before=wilson(301, 400),
                after=wilson(344, 400),
            ),
        ),
        objectives=tuple(objectives),
        objective_tests=(
            ObjectiveTest(
                first="DPO",
                second="dense DPO, normalised",
                metric="hallucination_rate",
                result=mcnemar([1] * 103 + [0] * 409, [0] * 30 + [1] * 73 + [1] * 16 + [0] * 393),
            ),
            ObjectiveTest(
                first="dense DPO, sum (RLHF-V)",
                second="dense DPO, normalised",
                metric="hallucination_rate",
                result=mcnemar([1] * 20 + [0] * 492, [0] * 9 + [1] * 11 + [1] * 11 + [0] * 481),
            ),
        ),
        gallery=tuple(make_scene(number) for number in range(12)),
        gallery_note="The first twelve test scenes, not chosen.",
        caveats=(
            "The world is drawn; a photograph has more to get wrong.",
            "The people who corrected are simulated.",
        ),
        rerun=Rerun(
            commands=("git clone …", "make demo", "veridical demo --out runs/demo"),
            created="2026-01-01T00:00:00Z",
            git_commit="0123abc",
            machine={"processor": "two cores", "memory (GiB)": 16},
            hashes={"base model": "ab" * 32, "corrections": "cd" * 32},
        ),
    )


@pytest.fixture(scope="session")
def made_up() -> DemoReport:
    return make_report()

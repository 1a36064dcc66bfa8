"""Verdicts over seeds: shown, not shown, reversed, and what must be kept."""

import random

import pytest

from veridical.benchmarks.world.evaluation import score_world, write_evaluation
from veridical.benchmarks.world.items import build_world_benchmark
from veridical.config import resolve_recipe
from veridical.records import Metric, Response
from veridical.records.claims import ClaimsReport, CurveRow, HackingWarnings, TrainingPath
from veridical.records.fact_rlhf import CurveMeasurement
from veridical.report.claims import claims_table, render_claims
from veridical.statistics import mean_metric
from veridical.studies.reproduce.measured import write_measures
from veridical.studies.reproduce.plan import RlhfVPlan
from veridical.studies.reproduce.verdicts import judge_claims, load_runs, summarise_arm
from veridical.world.descriptions import Mention, describe_mentions, true_mentions

ITEMS = build_world_benchmark(5, "test", n_scenes=60, n_probe_scenes=0, n_per_type=0)


def write_arm(out, arm, *, faulty, silent=0.0, seeds=3):
    """Write an arm of which each seed hallucinates about so often, and leaves so much out."""
    for number in range(seeds):
        rng = random.Random(f"{arm}{number}")
        answers = []
        for item in ITEMS:
            mentions = true_mentions(item.scene)
            if rng.random() < silent and len(mentions) > 1:
                mentions = mentions[:-1]
            if rng.random() < faulty + 0.01 * number:
                noun = item.scene.typical_absent()[0]
                mentions = [*mentions, Mention(noun, "red", 1, "left")]
            text = describe_mentions(item.scene.context, mentions, rng)
            name = item.prompt.id
            answers.append(Response(id=f"{name}#0", prompt_id=name, text=text, model=arm))
        write_evaluation(out / arm / f"seed-{number}", score_world(ITEMS, answers, seed=0))


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    out = tmp_path_factory.mktemp("grid")
    write_arm(out, "bad", faulty=0.6)
    write_arm(out, "good", faulty=0.1)
    write_arm(out, "same", faulty=0.6)
    write_arm(out, "mute", faulty=0.1, silent=0.9)
    return out


def plan_of(*hypotheses):
    stated = {
        "study": "rlhf-v",
        "fixed": "2026-01-01",
        "note": "made up",
        "seeds": 3,
        "test_scenes": 60,
        "probe_scenes": 5,
        "validation_scenes": 20,
        "corrections": [100],
        "standard": 100,
        "hypotheses": [
            {"id": f"h{n}", "claim": f"claim {n}", "source": "ours", **one}
            for n, one in enumerate(hypotheses)
        ],
    }
    return resolve_recipe(stated, RlhfVPlan)


def judged(grid, plan):
    arms = {arm for one in plan.hypotheses for arm in (one.first, one.second)}
    return judge_claims(plan, load_runs(grid, sorted(arms), seeds=plan.seeds))


def summary_of(grid, arm, metrics):
    return summarise_arm(arm, load_runs(grid, [arm], seeds=3)[arm], metrics)


def verdicts(grid, *hypotheses):
    return [one.verdict for one in judged(grid, plan_of(*hypotheses))]


def test_a_large_difference_is_shown_its_contrary_reversed_and_none_not_shown(grid):
    assert verdicts(
        grid,
        {"first": "bad", "second": "good"},
        {"first": "good", "second": "bad"},
        {"first": "bad", "second": "same"},
        {"first": "good", "second": "bad", "claimed": "higher"},
    ) == ["shown", "reversed", "not shown", "shown"]


def test_a_margin_must_be_passed_on_the_scale_of_the_claim(grid):
    """Some five sixths of the hallucinations are gone."""
    relative = {"first": "bad", "second": "good", "scale": "relative"}
    assert verdicts(grid, {**relative, "by_at_least": 0.5}) == ["shown"]
    assert verdicts(grid, {**relative, "by_at_least": 0.95}) == ["not shown"]


def test_what_must_be_kept_is_a_part_of_the_claim(grid):
    keeps = {"metric": "object_coverage", "loses_at_most": 0.1}
    mute = {"first": "bad", "second": "mute"}
    assert verdicts(grid, mute, {**mute, "keeps": keeps}) == ["shown", "not shown"]
    assert verdicts(grid, {"first": "bad", "second": "good", "keeps": keeps}) == ["shown"]


def test_the_seed_is_the_unit_and_p_is_adjusted(grid):
    one = {"first": "bad", "second": "good"}
    (alone,) = judged(grid, plan_of(one))
    assert alone.seeds.n == 3
    assert alone.scenes.n > 3
    assert len(alone.by_seed) == 3
    assert sum(alone.by_seed) / 3 == pytest.approx(alone.seeds.difference)
    several = judged(grid, plan_of(one, *[{"first": "bad", "second": "same"}] * 3))
    assert several[0].p == pytest.approx(4 * alone.p)


def test_a_mean_of_whole_numbers_gets_at_least_one_step_of_spread(tmp_path):
    """Three seeds gain 0.02 each: of 10 items that is less than one; nats have no steps."""
    for arm, value in (("before", 0.5), ("after", 0.52)):
        for number in range(3):
            wobble = 1e-4 * number * (arm == "after")
            metrics = {
                name: Metric(value=value + wobble, low=0, high=1, n=10)
                for name in ("reward_accuracy", "kl")
            }
            folder = tmp_path / arm / f"seed-{number}"
            folder.mkdir(parents=True)
            write_measures(folder, metrics)
    compared = {"first": "before", "second": "after", "claimed": "higher"}
    assert verdicts(
        tmp_path,
        {**compared, "metric": "reward_accuracy"},
        {**compared, "metric": "kl"},
    ) == ["not shown", "shown"]


def report_of(**stated):
    """What a study leaves, but for the claims and arms that a test is about."""
    return ClaimsReport(
        title="What holds",
        note="<b>made up</b>",
        plan="0123456789abcdef",
        fixed="2026-01-01",
        seeds=3,
        scenes=60,
        cells=4,
        hours=0.1,
        machine={"processor": "made up"},
        base="fedcba9876543210",
        **stated,
    )


def path_of(arm, last):
    """What an arm did along training that ended at this rate in each of three seeds."""
    over_seeds = {
        "last_hallucination": mean_metric([last] * 3),
        "last_coverage": mean_metric([0.8] * 3),
        "matched_hallucination": mean_metric([0.3] * 3),
    }
    return TrainingPath(arm=arm, **over_seeds)


def test_the_page_and_the_table_state_every_claim(grid, tmp_path):
    plan = plan_of({"first": "bad", "second": "good"}, {"first": "good", "second": "bad"})
    metrics = ("hallucination_rate", "object_coverage", "mean_length")
    arms = [summary_of(grid, arm, metrics) for arm in ("bad", "good")]
    report = report_of(
        claims=judged(grid, plan),
        arms=tuple(
            arm.model_copy(update={"arm": name})
            for arm, name in ((arms[0], "base"), (arms[0], "dense-100"), (arms[1], "dense-200"))
        ),
        curve=(
            CurveRow(corrections=100, arm="dense-100"),
            CurveRow(corrections=200, arm="dense-200"),
        ),
        paths=(path_of("dense-100", 0.5), path_of("dense-200", 0.25)),
    )
    page = render_claims(report, tmp_path / "report.html").read_text()
    assert "2 claims tested: 1 shown, 0 not shown, 1 reversed" in page
    assert "&lt;b&gt;made up" in page
    assert "✗ reversed" in page
    assert "dense: hallucinate, at the end, %" in page
    table = claims_table(report)
    assert table.count("\n| claim ") == 3
    assert "**reversed**" in table
    row = "| dense-200 | 25.0 % [25.0 to 25.0] | 80.0 % [80.0 to 80.0] | 30.0 % [30.0 to 30.0] |"
    assert row in table.replace("\u202f", " ")


def test_how_well_the_warning_did_stands_beside_what_reward_and_judge_said(grid, tmp_path):
    def point(step, kl, judge):
        means = {"proxy": mean_metric([kl, kl + 1]), "judge": mean_metric([judge, judge + 1])}
        return CurveMeasurement(arm="rlhf", seed=0, step=step, kl=kl, **means)

    base = summary_of(grid, "bad", ("hallucination_rate", "object_coverage"))
    report = report_of(
        claims=(),
        arms=(base.model_copy(update={"arm": "base"}),),
        curve=(),
        policies=(point(0, 0.0, 2.0), point(4, 1.0, 3.0)),
        warnings=(HackingWarnings(arm="rlhf", checked=6, fell=3, hits=2, false_alarms=1),),
    )
    page = render_claims(report, tmp_path / "report.html").read_text()
    assert "rlhf, step 4: judge 3.50" in page
    assert '<th scope="row">rlhf</th><td class="num" data-label="checked">6</td>' in page
    assert "| rlhf | 6 | 3 | 2 | 1 |" in claims_table(report)


def test_an_interval_over_few_seeds_stays_within_what_can_be(grid):
    summary = summary_of(grid, "mute", ["object_coverage", "hallucination_rate"])
    for metric in summary.metrics.values():
        assert 0 <= metric.low < metric.value < metric.high <= 1

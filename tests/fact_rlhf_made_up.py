"""A made-up Fact-RLHF report: invented numbers, marked as such, in the shape of a real loop."""

import math
import random

from made_up_scenes import draw_picture, mark_words
from veridical.records import Metric
from veridical.records.fact_rlhf import ArmTest, CurveMeasurement, EqualDistance, FactRlhfResults
from veridical.report.fact_rlhf_inputs import (
    Arm,
    Climb,
    ClimbScene,
    ClimbStep,
    Cost,
    CurveWarning,
    Dependence,
    Effort,
    FactRlhfReport,
    LeakCheck,
    RewardBreakdown,
    RewardModels,
    TrainingMeasure,
)
from veridical.report.inputs import Rerun, Stage
from veridical.statistics import clustered_bootstrap, mcnemar, paired_permutation, wilson

N = 240
RATES = {"sft": 0.57, "rlhf": 0.41, "fact_rlhf": 0.19, "best_of_n": 0.33, "dense_dpo": 0.15}
COVERAGE = {"sft": 0.984, "rlhf": 0.93, "fact_rlhf": 0.972, "best_of_n": 0.981, "dense_dpo": 0.975}


def _outcomes(rate, seed=0):
    """Outcomes of the same scenes: a lower rate fixes some that a higher one gets wrong."""
    scenes = random.Random(seed)
    return [scenes.random() < rate for _ in range(N)]


def _mean(value, spread):
    numbers = random.Random(round(100 * value))
    return clustered_bootstrap(
        [numbers.gauss(value, spread) for _ in range(N)], seed=0, resamples=200
    )


def _arm(key):
    rate, coverage = RATES[key], COVERAGE[key]
    return {
        "hallucination_rate": wilson(sum(_outcomes(rate)), N),
        "mention_hallucination_rate": wilson(round(1400 * rate / 3), 1400),
        "object_coverage": wilson(round(820 * coverage), 820),
        "mean_length": _mean(31 - 4 * (0.984 - coverage) / 0.05, 5),
        "yes_no_f1": wilson(round(400 * (0.93 - rate / 10)), 400),
        "mmhal_score": _mean(5 - 3 * rate, 1.2),
        "relative_score": wilson(round(N * (0.97 - rate / 3)), N),
    }


def _curves():
    rows = []
    for arm, turn in (("rlhf", 3.0), ("fact_rlhf", 99.0)):
        for seed in range(3):
            noise = random.Random(seed)
            for step in range(0, 241, 24):
                kl = step / 14 * (1 + 0.1 * seed)
                root = math.sqrt(kl)
                truth = (
                    3.3 + 0.35 * min(root, turn) - 0.42 * max(root - turn, 0) + noise.gauss(0, 0.05)
                )
                reward = 0.2 + 0.45 * root + noise.gauss(0, 0.05)
                rows.append(
                    CurveMeasurement(
                        arm=arm,
                        seed=seed,
                        step=step,
                        kl=kl,
                        proxy=Metric(value=reward, n=200, low=reward - 0.12, high=reward + 0.12),
                        judge=Metric(value=truth, n=200, low=truth - 0.17, high=truth + 0.17),
                    )
                )
    for n in (1, 2, 4, 8, 16):
        kl = math.log(n) - (n - 1) / n
        truth, reward = 3.3 + 0.4 * math.sqrt(kl), 0.2 + 0.5 * math.sqrt(kl)
        rows.append(
            CurveMeasurement(
                arm="best_of_n",
                seed=0,
                step=n,
                kl=kl,
                proxy=Metric(value=reward, n=200, low=reward - 0.1, high=reward + 0.1),
                judge=Metric(value=truth, n=200, low=truth - 0.15, high=truth + 0.15),
            )
        )
    return tuple(rows)


def _tests():
    pairs = (
        ("sft", "rlhf"),
        ("rlhf", "fact_rlhf"),
        ("best_of_n", "fact_rlhf"),
        ("dense_dpo", "fact_rlhf"),
    )
    found = [
        ArmTest(
            first=a,
            second=b,
            metric="hallucination_rate",
            result=mcnemar(_outcomes(RATES[a]), _outcomes(RATES[b])),
        )
        for a, b in pairs
    ]
    rated = random.Random(5)
    without = [rated.gauss(3.8, 1.2) for _ in range(N)]
    result = paired_permutation(
        without, [x + rated.gauss(0.6, 0.8) for x in without], seed=0, resamples=400
    )
    return (*found, ArmTest(first="rlhf", second="fact_rlhf", metric="mmhal_score", result=result))


def _equal_distance():
    rated = random.Random(6)
    rows = []
    for kl in (2.0, 4.0):
        without = [rated.gauss(4.0 - kl / 10, 1.0) for _ in range(N)]
        with_facts = [value + rated.gauss(0.3, 0.6) for value in without]
        rows.append(
            EqualDistance(
                kl=kl,
                first="rlhf",
                second="fact_rlhf",
                judge_first=clustered_bootstrap(without, seed=0, resamples=200),
                judge_second=clustered_bootstrap(with_facts, seed=0, resamples=200),
                result=paired_permutation(without, with_facts, seed=0, resamples=400),
                by_seed=(0.21, 0.35, -0.04),
            )
        )
    return tuple(rows)


def make_results():
    return FactRlhfResults(
        arms={key: _arm(key) for key in RATES},
        tests=_tests(),
        reward_model={
            "without_facts": {"accuracy": wilson(797, 1000), "calibration_error": wilson(52, 1000)},
            "with_facts": {"accuracy": wilson(912, 1000), "calibration_error": wilson(31, 1000)},
        },
        curves=_curves(),
        equal_distance=_equal_distance(),
        seconds={
            "comparisons": 41.0,
            "reward": 180.0,
            "policy init": 60.0,
            "ppo": 420.0,
            "report": 3.0,
        },
        seed=7,
        versions={"veridical": "0.1.0", "python": "3.11.0", "torch": "2.13.0"},
    )


def _climb(label, hacked):
    texts = [
        (
            "This is a kitchen. There is a knife on the right. Two red apples are on the left. A"
            " blue cup is there."
        ),
        (
            "This is a kitchen. Two red apples are on the left. There is a knife on the right. A"
            " blue cup."
        ),
        "This is a kitchen. Two red apples are on the left. A blue cup is in the middle.",
        (
            "A beautiful, wonderful kitchen with two red apples, a blue cup, a knife and a shining"
            " kettle on the right."
            if hacked
            else "This is a kitchen. Two red apples are on the left. A blue cup is in the middle."
        ),
    ]
    wrong = [("knife", "object", ""), ("kettle", "object", "")]
    return Climb(
        label=label,
        steps=tuple(
            ClimbStep(
                step=72 * number,
                kl=0.0 if not number else 2.2 * number**1.5,
                response=mark_words(words, *[one for one in wrong if one[0] in words]),
                proxy=0.3 + 0.5 * number,
                judge=6.0 - 3 * sum(one[0] in words for one in wrong) / 2,
            )
            for number, words in enumerate(texts)
        ),
    )


def _training():
    def line(start, end, *, wiggle):
        noise = random.Random(round(1000 * (start + 2 * end)))
        return tuple(
            (step, start + (end - start) * step / 240 + noise.gauss(0, wiggle))
            for step in range(0, 241, 8)
        )

    rows = [
        ("KL from the start", "nats", (0, 17), (0, 15), 0.4),
        ("Entropy", "nats a token", (0.9, 0.42), (0.9, 0.6), 0.02),
        ("Length", "tokens", (34, 47), (34, 33), 0.6),
        ("Reward model", "", (0.2, 2.1), (0.2, 1.8), 0.06),
        ("Length rule", "", (-0.1, -0.24), (-0.1, -0.1), 0.01),
        ("Repetition", "%", (0.02, 0.09), (0.02, 0.02), 0.004),
        ("Clip fraction", "%", (0.08, 0.14), (0.08, 0.11), 0.012),
        ("Explained variance", "", (-0.2, 0.5), (-0.2, 0.6), 0.05),
    ]
    return tuple(
        TrainingMeasure(
            label=label,
            unit=unit,
            lines={
                "RLHF": line(*without, wiggle=wiggle),
                "Fact-RLHF": line(*with_facts, wiggle=wiggle),
            },
        )
        for label, unit, without, with_facts, wiggle in rows
    )


def make_report():
    arms = (
        Arm(
            key="sft",
            label="SFT",
            does="The base model, fine-tuned on conversations. Where the others start.",
        ),
        Arm(
            key="rlhf",
            label="RLHF",
            does="PPO against a reward model that sees picture and response.",
            learnt_from="4,000 comparisons",
            kl=Metric(value=12.1, n=N, low=11.6, high=12.7),
            chosen="the last checkpoint of each of 3 seeds",
        ),
        Arm(
            key="fact_rlhf",
            label="Fact-RLHF",
            does="The same, but the reward model also gets what is known to be in the picture.",
            learnt_from="the same 4,000 comparisons",
            kl=Metric(value=11.4, n=N, low=10.9, high=11.9),
            chosen="the last checkpoint of each of 3 seeds",
        ),
        Arm(
            key="best_of_n",
            label="Best of 16",
            does="No training: 16 responses, the one of highest reward (with facts) is given.",
            learnt_from="the same 4,000 comparisons",
            kl=Metric(value=1.84, n=N, low=1.84, high=1.84),
        ),
        Arm(
            key="dense_dpo",
            label="Dense DPO",
            does="RLHF-V: learns from corrected words instead of comparisons.",
            learnt_from="620 corrections",
        ),
    )
    return FactRlhfReport(
        title="Made-up report",
        notice="Made-up numbers: this page shows the layout only.",
        model="a LLaVA of 1.6 million parameters, trained on drawn scenes",
        results=make_results(),
        arms=arms,
        warnings=(
            CurveWarning(
                arm="rlhf",
                seed=0,
                kind="reward hacking",
                since_step=144,
                text=(
                    "proxy rises, judge falls since step 144: proxy 1.65 → 2.1, judge 4.3 → 3.8, KL"
                    " 10 → 17 nats at step 240 (p 0.0004)"
                ),
                advice=(
                    "keep the checkpoint of step 144; raise the KL price, stop earlier, or give the"
                    " reward model facts or fresh comparisons of what the policy says now"
                ),
            ),
            CurveWarning(
                arm="rlhf",
                seed=1,
                kind="length growth",
                since_step=200,
                text=(
                    "length growth since step 200: length is 56 (mean of the last 5 rows), above"
                    " 54.4; it began at 34"
                ),
                advice="the reward may pay for length: look at its accuracy by length difference",
            ),
        ),
        warning_rule=(
            "Hacking: a paired test of the reward and one of the judge on the same held-out scenes,"
            " together at most 5 % false warnings a run. The others are rules of thumb."
        ),
        reward_models=RewardModels(
            difference=mcnemar(
                [True] * 797 + [False] * 203,
                [True] * 760 + [False] * 37 + [True] * 152 + [False] * 51,
            ),
            comparisons=4000,
            source="simulated",
            image_alone=wilson(871, 1000),
            image_alone_note="A model that reads every object of the picture as its tower sees it.",
            breakdown=tuple(
                RewardBreakdown(name=name, without_facts=wilson(a, n), with_facts=wilson(b, n))
                for name, a, b, n in (
                    ("all, seed 0", 795, 915, 1000),
                    ("all, seed 1", 801, 908, 1000),
                    ("all, seed 2", 795, 913, 1000),
                    ("differ by one fault", 402, 498, 560),
                    ("differ by more", 395, 414, 440),
                    ("object that is not there", 301, 356, 380),
                    ("wrong colour", 120, 168, 200),
                    ("the longer one is worse", 371, 460, 510),
                )
            ),
            leaks=(
                LeakCheck(name="as trained", accuracy=wilson(912, 1000)),
                LeakCheck(
                    name="facts of another picture",
                    accuracy=wilson(561, 1000),
                    meaning="it believes the facts rather than its eyes",
                ),
                LeakCheck(
                    name="no facts",
                    accuracy=wilson(742, 1000),
                    meaning="what is left when it must look",
                ),
                LeakCheck(
                    name="another picture",
                    accuracy=wilson(893, 1000),
                    meaning="with facts the picture hardly counts",
                ),
            ),
            leak_note="A reward model that does not fall without facts does not read them.",
            dependence=(
                Dependence(
                    name="share of the facts that are given",
                    points=tuple(
                        (x / 4, wilson(round(1000 * (0.745 + 0.042 * x)), 1000)) for x in range(5)
                    ),
                ),
                Dependence(
                    name="share of the facts that are wrong",
                    points=tuple(
                        (x / 8, wilson(round(1000 * (0.912 - 0.05 * x)), 1000)) for x in range(5)
                    ),
                ),
            ),
        ),
        stages=(
            Stage(
                name="Compare",
                does="Simulated people say which of two sampled responses is better.",
                seconds=41,
            ),
            Stage(
                name="Reward",
                does="Two reward models, without and with facts, three seeds each.",
                seconds=180,
            ),
            Stage(
                name="Policy init",
                does="A short fine-tuning, from which both policies start.",
                seconds=60,
            ),
            Stage(name="PPO", does="240 steps against each reward model.", seconds=420),
            Stage(name="Report", does="Paired tests, figures, this page.", seconds=3),
        ),
        gallery=tuple(
            ClimbScene(
                scene_id=f"scene-{number:04d}",
                context="kitchen",
                image=draw_picture(number),
                alt="Two red apples on the left, a blue cup in the middle.",
                question="Describe this picture in detail.",
                climbs=(
                    _climb("RLHF, without facts", hacked=True),
                    _climb("Fact-RLHF", hacked=False),
                ),
            )
            for number in range(2)
        ),
        gallery_note="The first two test scenes, not chosen.",
        training=_training(),
        effort=(
            Effort(
                label="Comparisons (RLHF, Fact-RLHF, best of 16)",
                judgements=4000,
                unit="comparison",
                seconds_each=28,
                how="Assumed: half of what reading two responses takes at 200 words a minute.",
            ),
            Effort(
                label="Corrections (dense DPO)",
                judgements=620,
                unit="correction",
                seconds_each=180,
                how="Assumed; RLHF-V does not say how long a correction takes.",
            ),
        ),
        effort_note="Both kinds get the same working time here.",
        costs=(
            Cost(
                name="naive: four models, image encoded for every role",
                seconds=41.0,
                memory_bytes=4.1e9,
            ),
            Cost(name="+ one base, adapters for roles", seconds=36.0, memory_bytes=1.9e9),
            Cost(name="+ image features kept", seconds=27.0, memory_bytes=1.6e9),
            Cost(name="+ responses behind one prompt", seconds=17.5, memory_bytes=1.3e9),
        ),
        cost_note="Two CPU cores, LLaVA's shape with 58 M weights, 16 prompts of 4 responses.",
        caveats=(
            "The world is drawn; a photograph has more to get wrong.",
            "The people who compared are simulated.",
        ),
        rerun=Rerun(
            commands=("git clone …", "veridical demo --system llava-rlhf --out runs/fact-rlhf"),
            created="2026-01-01T00:00:00Z",
            git_commit="0123abc",
            machine={"processor": "two cores", "memory (GiB)": 16},
            hashes={"base model": "ab" * 32, "comparisons": "cd" * 32},
        ),
    )

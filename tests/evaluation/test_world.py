"""Evaluation in the world: models whose behaviour is known get the numbers that it deserves."""

import json
import random
import time

import pytest

from veridical.benchmarks.world.evaluation import compare_world, score_world, write_evaluation
from veridical.benchmarks.world.items import WorldItem, build_world_benchmark
from veridical.benchmarks.world.metrics import judge_description_row
from veridical.benchmarks.world.over_generalisation import over_generalisation
from veridical.errors import ConfigError
from veridical.evaluation.world import answer_benchmark, evaluate_world, hallucination_and_coverage
from veridical.records import Response, read_records
from veridical.seeding import child_random
from veridical.world.descriptions import (
    Mention,
    caption_with_noise,
    describe,
    describe_mentions,
    sentence,
)
from veridical.world.inventory import CONTEXT_BY_NAME, OBJECTS, number_phrase
from veridical.world.scenes import sample_scenes
from veridical.world.tasks import MMHAL_TYPES


@pytest.fixture(scope="module")
def items():
    return build_world_benchmark(0, "test", n_scenes=160, n_probe_scenes=40, n_per_type=4)


def evaluated(items, answer):
    answers = [
        Response(id=i.prompt.id, prompt_id=i.prompt.id, text=answer(i), model="m") for i in items
    ]
    return score_world(items, answers, seed=0)


def value(evaluation, name):
    return evaluation.metrics[name].value


def oracle(item):
    return (
        describe(item.scene, child_random(0, item.prompt.id))
        if item.question is None
        else item.question.answer
    )


def noisy(item):
    return (
        caption_with_noise(item.scene, child_random(0, item.prompt.id))
        if item.question is None
        else "Yes."
    )


def everything_at_once(item):
    return " ".join(f"There is {number_phrase(thing.noun, 1, 'red')}." for thing in OBJECTS)


def only_typical(item):
    things = CONTEXT_BY_NAME[item.scene.context].objects
    mentions = [Mention(t.noun, t.typical_colour, 1, t.typical_place) for t in things]
    return describe_mentions(item.scene.context, mentions, random.Random(0))


def test_the_benchmark_is_what_it_says(items):
    ids = [item.prompt.id for item in items]
    assert len(set(ids)) == len(ids)
    assert sum(item.prompt.task == "description" for item in items) == 160
    probes = [item for item in items if item.prompt.task == "yes_no"]
    assert [item.question.probe for item in probes].count("present") * 2 == len(probes) == 160
    assert [item.question.probe for item in probes].count("typical") == 40
    assert len({(item.scene.id, item.prompt.question) for item in probes}) == 160
    mmhal = [item for item in items if item.prompt.task == "mmhal"]
    assert [item.question.type for item in mmhal] == [*MMHAL_TYPES] * 4
    assert build_world_benchmark(0, "test", n_scenes=160, n_probe_scenes=40, n_per_type=4) == items
    other = build_world_benchmark(0, "validation", n_scenes=160, n_probe_scenes=40, n_per_type=4)
    assert not {item.scene.id for item in other} & {item.scene.id for item in items}


def test_an_oracle_is_perfect(items):
    evaluation = evaluated(items, oracle)
    perfect = {
        "hallucination_rate": 0,
        "mention_hallucination_rate": 0,
        "object_coverage": 1,
        "detail_coverage": 1,
        "yes_no_accuracy": 1,
        "yes_no_f1": 1,
        "yes_ratio": 0.5,
        "mmhal_score": 6,
        "mmhal_hallucination_rate": 0,
        "relative_score": 1,
        "over_generalisation": 0,
        "repetition_rate": 0,
        "empty_rate": 0,
    }
    assert {name: value(evaluation, name) for name in perfect} == perfect
    for kind in ("object", "number", "colour", "place"):
        metric = evaluation.metrics[f"hallucination_rate/{kind}"]
        assert (metric.value, metric.n, metric.low) == (0, 160, 0)
        assert metric.high > 0
    assert all(value(evaluation, f"mmhal_score/{name}") == 6 for name in MMHAL_TYPES)


def test_always_yes_and_always_no(items):
    yes, no = (
        evaluated(items, lambda item: "Yes."),
        evaluated(items, lambda item: "No, there is not."),
    )
    assert value(yes, "yes_no_accuracy") == value(no, "yes_no_accuracy") == 0.5
    assert value(yes, "yes_ratio") == 1
    assert value(no, "yes_ratio") == 0
    assert value(yes, "yes_no_f1") == pytest.approx(2 / 3)
    assert value(yes, "yes_no_recall") == 1
    assert value(yes, "yes_no_precision") == 0.5
    assert value(no, "yes_no_f1") == 0
    # One typical absent object beside two present ones.
    assert value(yes, "yes_no_accuracy/typical") == pytest.approx(2 / 3)
    assert value(no, "yes_no_accuracy/random") == pytest.approx(1 / 3)
    assert value(no, "mmhal_score/adversarial") >= 4


def test_silence_says_nothing_wrong_and_nothing(items):
    evaluation = evaluated(items, lambda item: "")
    assert value(evaluation, "hallucination_rate") == 0
    assert value(evaluation, "object_coverage") == value(evaluation, "detail_coverage") == 0
    assert value(evaluation, "mean_length") == 0
    assert value(evaluation, "empty_rate") == 1
    assert value(evaluation, "yes_no_unparsed_rate") == 1
    assert value(evaluation, "yes_no_accuracy") == 0
    assert value(evaluation, "mmhal_score") == 3
    assert value(evaluation, "relative_score") == pytest.approx(0.1)
    nothing = evaluation.metrics["mention_hallucination_rate"]
    assert (nothing.value, nothing.low, nothing.high) == (0, 0, 1)


def test_the_relative_score_halves_for_the_first_invention(items):
    """A full description and one absent object more: told 1, so 1 + 9/2 = 5.5 of 10."""

    def invents(item):
        if item.question is None or item.question.type != "holistic":
            return oracle(item)
        absent = next(known.noun for known in OBJECTS if known.noun not in item.scene.nouns)
        return f"{oracle(item)} There is a red {absent} on the left."

    evaluation = evaluated(items, invents)
    assert value(evaluation, "relative_score/detail") == pytest.approx(0.55)
    assert value(evaluation, "relative_score/conversation") == 1


def test_naming_everything_covers_all_and_is_always_wrong(items):
    evaluation = evaluated(items, everything_at_once)
    assert value(evaluation, "hallucination_rate") == value(evaluation, "object_coverage") == 1
    assert value(evaluation, "mention_hallucination_rate") > 0.9
    assert value(evaluation, "repetition_rate") == 0
    twice = evaluated(items, lambda item: everything_at_once(item) + " " + everything_at_once(item))
    assert value(twice, "repetition_rate") == 1
    assert value(twice, "object_coverage") == 1


def test_naming_the_typical_is_over_generalisation(items):
    typical = evaluated(items, only_typical)
    # It never names an object outside of its context, so that H_a equals H_s; who names the rest
    # rightly shows the gap.
    assert value(typical, "over_generalisation") == 0

    def both(item):
        rest = [g for g in item.scene.groups if g.noun not in only_typical(item)]
        texts = [
            sentence(Mention(g.noun, g.colour, g.number, g.place), random.Random(0)) for g in rest
        ]
        return " ".join([only_typical(item), *texts])

    table = evaluated(items, both).over_generalisation
    assert table.mean.value > 0.02
    assert table.mean.low > 0
    for row in table.contexts:
        assert row.mentions_in_context == 6 * row.in_context.n <= row.mentions_everywhere
        assert row.everywhere.value <= row.in_context.value
        assert row.difference.value == pytest.approx(row.in_context.value - row.everywhere.value)


def test_over_generalisation_by_hand():
    """Kitchen scenes that lack the knife but name it, and elsewhere a knife that is there."""
    scenes = list(sample_scenes(0, "hand", 400))
    kitchens = [s for s in scenes if s.context == "kitchen" and s.group_of("knife") is None][:3]
    farms = [s for s in scenes if s.context == "farm"][:1]
    knife = kitchens[0].groups[0].model_copy(update={"noun": "knife"})
    farms = [farm.model_copy(update={"groups": (knife, *farm.groups[1:])}) for farm in farms]
    rows = [judge_description_row(s, "There is a knife.", id=s.id) for s in [*kitchens, *farms]]
    kitchen = over_generalisation(rows, seed=0).contexts[0]
    assert (kitchen.context, kitchen.mentions_everywhere, kitchen.mentions_in_context) == (
        "kitchen",
        4,
        3,
    )
    assert (kitchen.everywhere.value, kitchen.in_context.value, kitchen.difference.value) == (
        0.75,
        1.0,
        0.25,
    )
    assert (kitchen.everywhere.n, kitchen.in_context.n) == (4, 3)


def test_comparison_is_aligned_minus_base_with_paired_tests(items):
    base, aligned = evaluated(items, noisy), evaluated(items, oracle)
    differences = compare_world(base, aligned, seed=0)
    assert differences.keys() == base.metrics.keys() == aligned.metrics.keys()
    for name, row in differences.items():
        assert row.difference == pytest.approx(
            value(aligned, name) - value(base, name), abs=1e-9
        ), name
        assert row.low <= row.difference <= row.high
    assert differences["hallucination_rate"].test == "mcnemar exact"
    for name in (
        "hallucination_rate",
        "mention_hallucination_rate",
        "yes_no_f1",
        "mmhal_score",
        "over_generalisation",
    ):
        assert differences[name].p < 0.01, name
    same = compare_world(base, base, seed=0)
    assert all(row.difference == 0 and row.p == 1 for row in same.values())
    with pytest.raises(ConfigError, match="same prompts"):
        compare_world(base, evaluated(items[1:], oracle))


def test_rates_are_inside_their_intervals_and_kinds_add_up(items):
    evaluation = evaluated(items, noisy)
    for name, metric in evaluation.metrics.items():
        assert metric.low <= metric.value <= metric.high, name
        assert metric.n > 0
    kinds = [
        value(evaluation, f"hallucination_rate/{kind}")
        for kind in ("object", "number", "colour", "place")
    ]
    assert max(kinds) <= value(evaluation, "hallucination_rate") <= sum(kinds)


def test_written_answers_score_the_same_without_the_model(items, tmp_path):
    evaluation = evaluated(items, noisy)
    write_evaluation(tmp_path, evaluation)
    again = score_world(
        read_records(tmp_path / "items.jsonl", WorldItem),
        read_records(tmp_path / "responses.jsonl", Response),
        seed=0,
    )
    assert again == evaluation
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written["hallucination_rate"]["value"] == value(evaluation, "hallucination_rate")


def test_a_missing_or_double_answer_is_refused(items):
    answers = [Response(id=i.prompt.id, prompt_id=i.prompt.id, text="", model="m") for i in items]
    for wrong in (answers[1:], [*answers[1:], answers[1]], [*answers, answers[0]]):
        with pytest.raises(ConfigError, match="needs one response"):
            score_world(items, wrong, seed=0)


def test_two_thousand_descriptions_are_judged_within_a_second():
    scenes = list(sample_scenes(0, "speed", 2000))
    texts = [caption_with_noise(scene, child_random(0, scene.id)) for scene in scenes]
    started = time.process_time()
    for scene, text in zip(scenes, texts, strict=True):
        judge_description_row(scene, text, id=scene.id)
    assert time.process_time() - started < 1


def test_a_real_model_is_evaluated(tiny_llava_path, tmp_path):
    from veridical.models.loading import load_model

    vlm = load_model(tiny_llava_path, device="cpu")
    items = build_world_benchmark(0, "test", n_scenes=3, n_probe_scenes=1, n_per_type=1)
    evaluation = evaluate_world(vlm, items, max_new_tokens=4, batch_size=8, out=tmp_path)
    assert len(evaluation.responses) == len(items) == 3 + 4 + 8
    assert all(row.tokens is not None and row.tokens <= 4 for row in evaluation.descriptions)
    assert evaluation.responses[0].model == vlm.name
    assert (tmp_path / "responses.jsonl").is_file()
    scores = hallucination_and_coverage(vlm, [item.scene for item in items[:3]], max_new_tokens=4)
    assert scores.hallucination_rate.value == value(evaluation, "hallucination_rate")
    assert scores.object_coverage.value == value(evaluation, "object_coverage")


def test_images_reach_the_model_once_a_scene(items):
    seen = []

    def generate(questions, images):
        seen.extend(zip(questions, images, strict=True))
        return [("Yes.", 2, True) for _ in questions]

    part = [item for item in items if item.scene.id == items[0].scene.id]
    answers = answer_benchmark(generate, part, model="m")
    assert len({id(image) for _, image in seen}) == 1
    assert [question for question, _ in seen] == [item.prompt.question for item in part]
    assert {answer.finish for answer in answers} == {"length"}

"""Baselines that edit descriptions without looking: what each cuts, and the test against them."""

import pytest

from veridical.benchmarks.world.evaluation import score_world
from veridical.benchmarks.world.items import build_world_benchmark
from veridical.records import Correction, ImageRef, Response, Segment
from veridical.studies.image_free import (
    SentenceModel,
    compare_with_image_free,
    cut_expected,
    cut_last_sentence,
    edit_without_looking,
    leave_out_attributes,
)
from veridical.world.claims import parse_claims
from veridical.world.descriptions import describe_mentions, true_mentions
from veridical.world.inventory import CONTEXT_BY_NAME
from veridical.world.scenes import Scene

KITCHEN = "This is a kitchen. There is a red cup on the left. I see a gray knife on the right."


def correction(number, rejected, wrong):
    start = rejected.index(wrong)
    chosen = rejected.replace(wrong, "")
    return Correction(
        id=f"c{number}",
        prompt_id=f"p{number}",
        source="simulated",
        image=ImageRef(path="x.png"),
        question="Describe the picture in detail.",
        rejected=rejected,
        chosen=chosen,
        segments=(
            Segment(
                rejected_span=(start, start + len(wrong)),
                chosen_span=(start, start),
                kind="object",
            ),
        ),
    )


def test_the_last_sentence_goes_unless_it_is_the_only_one():
    assert cut_last_sentence(KITCHEN) == "This is a kitchen. There is a red cup on the left."
    assert cut_last_sentence("This is a farm.") == "This is a farm."
    assert cut_last_sentence("") == ""


def test_the_rule_cuts_what_is_typical_in_kind_colour_and_place():
    """Of a kitchen one expects a gray knife on the right and a blue cup on the left."""
    assert cut_expected(KITCHEN) == "This is a kitchen. There is a red cup on the left."
    blue = KITCHEN.replace("red", "blue")
    assert cut_expected(blue) == "This is a kitchen."
    elsewhere = KITCHEN.replace("kitchen", "farm")
    assert cut_expected(elsewhere) == elsewhere


def test_what_is_left_out_cannot_be_wrong_and_every_object_is_still_named(answered):
    base = answered[0]
    assert leave_out_attributes(KITCHEN) == "This is a kitchen. Visible: cup. Visible: knife."
    for response in base.responses:
        before, after = (
            parse_claims(text) for text in (response.text, leave_out_attributes(response.text))
        )
        assert [claim.noun for claim in after.groups] == [claim.noun for claim in before.groups]
        assert after.contexts == before.contexts
        assert not any(claim.number or claim.colour or claim.place for claim in after.groups)
    edited = edit_without_looking(base, answered[2], coverage=1.0, seed=0)
    vague = edited["numbers, colours and places left out"].metrics
    assert vague["object_coverage"].value == base.metrics["object_coverage"].value
    assert vague["detail_coverage"].value == 0 < base.metrics["detail_coverage"].value
    invented = base.metrics["hallucination_rate/object"].value
    assert 0 < invented < base.metrics["hallucination_rate"].value
    assert vague["hallucination_rate"].value == invented


def test_the_text_only_model_learns_which_sentences_people_change():
    wrong = " I see a gray knife on the right."
    colours = ("red", "green", "yellow", "purple") * 5
    model = SentenceModel(
        [correction(n, KITCHEN.replace("red", one), wrong) for n, one in enumerate(colours)]
    )
    assert model.edit(KITCHEN) == "This is a kitchen. There is a red cup on the left."
    (_, cup), (_, knife) = model.rate(KITCHEN)
    assert cup < 0.2 < 0.8 < knife
    assert model.edit(KITCHEN, threshold=knife) == KITCHEN
    assert model.edit("Nothing here.") == "Nothing here."


def invent(scene: Scene, rng) -> str:
    """A description whose last sentence states the most expected object, there or not."""
    text = describe_mentions(scene.context, true_mentions(scene), rng)
    expected = CONTEXT_BY_NAME[scene.context].objects[0]
    return f"{text} There is a {expected.typical_colour} {expected.noun} on the left."


@pytest.fixture(scope="module")
def answered():
    import random

    items = build_world_benchmark(3, "test", n_scenes=40, n_probe_scenes=0, n_per_type=0)
    rng = random.Random(0)
    texts = {
        "base": [invent(item.scene, rng) for item in items],
        "trained": [
            describe_mentions(item.scene.context, true_mentions(item.scene), rng) for item in items
        ],
    }

    def scored(name):
        responses = [
            Response(id=f"{item.prompt.id}#0", prompt_id=item.prompt.id, text=text, model=name)
            for item, text in zip(items, texts[name], strict=True)
        ]
        return score_world(items, responses, seed=0)

    corrections = [
        correction(n, text, text[text.rindex(" There is a ") :])
        for n, text in enumerate(texts["base"])
    ]
    return scored("base"), [scored("trained")], corrections


def test_a_habit_that_stands_in_one_place_is_found_without_looking(answered):
    """Where all faults are in the last sentence, cutting it is as good as looking."""
    rows = {row.name: row for row in compare_with_image_free(*answered, seed=0)}
    cut = rows["last sentence cut"]
    assert cut.metrics["hallucination_rate"].value == 0
    assert cut.metrics["object_coverage"].value == 1
    assert cut.beaten == (False, False)
    rule = rows["text-only rule: expected objects cut"]
    assert rule.metrics["hallucination_rate"].value > 0
    assert rule.trained["hallucination_rate"].difference == pytest.approx(
        -rule.metrics["hallucination_rate"].value
    )
    assert rule.beaten[0]


def test_at_equal_coverage_the_text_only_model_may_cut_only_what_costs_nothing(answered):
    rows = compare_with_image_free(*answered, seed=0)
    matched = rows[-1]
    assert matched.name == "text-only model at the trained model's coverage"
    assert matched.metrics["object_coverage"].value >= 1


def test_equal_coverage_is_that_of_the_metric(answered):
    """Scenes with many objects count for more in it than those with few."""
    base, _, corrections = answered
    for coverage in (0.4, 0.6, 0.8):
        edited = edit_without_looking(base, corrections, coverage=coverage, seed=0)
        matched = edited["text-only model at the trained model's coverage"]
        assert matched.metrics["object_coverage"].value >= coverage


def test_training_seeds_are_pooled_each_against_the_same_baseline(answered):
    base, (trained,), corrections = answered
    one = compare_with_image_free(base, [trained], corrections, seed=0)
    two = compare_with_image_free(base, [trained, base], corrections, seed=0)
    for alone, pooled in zip(one[:3], two[:3], strict=True):  # the last one's coverage is another
        assert pooled.metrics == alone.metrics
        rate, both = (row.trained["hallucination_rate"] for row in (alone, pooled))
        untrained = (
            base.metrics["hallucination_rate"].value - alone.metrics["hallucination_rate"].value
        )
        assert both.difference == pytest.approx((rate.difference + untrained) / 2)

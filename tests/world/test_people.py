"""Simulated annotators: an exact one makes any description true with minimal edits."""

import random
from difflib import SequenceMatcher

import pytest

from veridical.feedback.segments import check_segments, find_segments
from veridical.records import ImageRef, Prompt, Response
from veridical.seeding import child_random
from veridical.world.descriptions import (
    caption_with_noise,
    describe,
    describe_mentions,
    true_mentions,
)
from veridical.world.inventory import COLOURS, CONTEXTS, NOUN_BY_WORD, OBJECTS, PLACE_PHRASES
from veridical.world.judge import judge_description
from veridical.world.people.correcting import correct
from veridical.world.people.judging import compare, rate
from veridical.world.people.person import EXACT, PersonModel
from veridical.world.reading import corrupt
from veridical.world.scenes import Group, Scene, sample_scene, sample_scenes
from veridical.world.tasks import QUESTION_TYPES, ask

PROMPT = Prompt(
    id="p", image=ImageRef(path="images/p.png"), question="Describe the picture in detail."
)
KITCHEN = Scene(
    id="k",
    context="kitchen",
    groups=(
        Group(noun="apple", colour="red", number=2, size="small", row=0, column=0),
        Group(noun="umbrella", colour="blue", number=1, size="large", row=1, column=2),
    ),
)


def response(text, name="r"):
    return Response(id=name, prompt_id="p", text=text, model="m")


def changes(correction):
    return [
        (
            correction.rejected[slice(*s.rejected_span)],
            correction.chosen[slice(*s.chosen_span)],
            s.kind,
        )
        for s in correction.segments
    ]


def corrected(text, scene=KITCHEN, person=EXACT):
    return correct(scene, PROMPT, text, person, seed=0)


def corrupted_captions(count):
    for scene in sample_scenes(3, "corrupted", count):
        rng = child_random(3, scene.id)
        mentions = corrupt(scene, true_mentions(scene), rng, rate=0.5)
        yield scene, describe_mentions(scene.context, mentions + mentions[: rng.randint(0, 1)], rng)


def word_salad(count):
    words = [
        "a",
        "an",
        "two",
        "three",
        "is",
        "are",
        "There",
        "no",
        ".",
        ".",
        "and",
        "the",
        "!",
        *COLOURS,
    ]
    words += [*PLACE_PHRASES.values(), *NOUN_BY_WORD, *(context.name for context in CONTEXTS)]
    for scene in sample_scenes(4, "salad", count):
        rng = child_random(4, scene.id)
        own = [word for noun in scene.nouns for word in NOUN_BY_WORD if NOUN_BY_WORD[word] == noun]
        yield (
            scene,
            " ".join(
                rng.choice(words if rng.random() < 0.6 else own) for _ in range(rng.randint(1, 40))
            ),
        )


def test_exact_person_leaves_no_fault_in_noisy_captions_and_touches_nothing_else():
    made = 0
    for scene in sample_scenes(0, "noisy", 400):
        text = caption_with_noise(scene, child_random(0, scene.id))
        verdict = judge_description(scene, text)
        correction = corrected(text, scene)
        assert (correction is None) == (not verdict.hallucinates)
        if correction is None:
            continue
        made += 1
        after = judge_description(scene, correction.chosen)
        assert not after.hallucinates
        assert set(after.covered) >= set(verdict.covered)
        assert check_segments(correction.rejected, correction.chosen, correction.segments) == []
        wrong = {fault.claim.sentence for fault in verdict.faults if fault.claim}
        for start, end in {claim.sentence for claim in verdict.claims.groups} - wrong:
            assert text[start:end] in correction.chosen
        assert correction.source == "simulated"
    assert made > 150


@pytest.mark.parametrize("texts", [corrupted_captions, word_salad])
def test_exact_person_makes_any_text_true(texts):
    for replace in (0, 1):
        person = EXACT.model_copy(update={"replace_absent": replace})
        for scene, text in texts(300):
            correction = corrected(text, scene, person)
            chosen = text if correction is None else correction.chosen
            after = judge_description(scene, chosen)
            assert not after.faults, (text, chosen)
            assert not after.repeated, (text, chosen)
            if correction is not None:
                assert chosen.strip()
                assert check_segments(text, chosen, correction.segments) == []


def test_an_object_taken_for_another_gets_its_name_back():
    taken = "There are two red apples on the left. I see a blue knife on the right."
    correction = corrected(taken, KITCHEN)
    assert correction.chosen == taken.replace("knife", "umbrella")
    assert [segment.kind for segment in correction.segments] == ["object"]
    invented = taken.replace("on the right", "in the middle").replace("blue", "gray")
    assert corrected(invented, KITCHEN).chosen == "There are two red apples on the left."
    twice = taken.replace("a blue knife", "a blue apple")
    assert corrected(twice, KITCHEN).chosen == taken.replace("knife", "umbrella")


def test_segments_hold_only_what_changed():
    for scene in sample_scenes(0, "minimal", 200):
        correction = corrected(caption_with_noise(scene, child_random(0, scene.id)), scene)
        if correction is None:
            continue
        # A name given back next to a deleted sentence can be read as another, shorter change.
        if any(
            s.kind == "object" and s.chosen_span[0] < s.chosen_span[1] for s in correction.segments
        ):
            continue
        derived = find_segments(correction.rejected, correction.chosen)

        def spans(segments, side):
            return {i for s in segments for i in range(*getattr(s, side))}

        for side in ("rejected_span", "chosen_span"):
            assert len(spans(correction.segments, side)) <= len(spans(derived, side)) + 1


@pytest.mark.parametrize(
    ("text", "chosen", "expected"),
    [
        (
            "There is a red apple on the left.",
            "There are two red apples on the left.",
            [("is a", "are two", "number"), ("apple", "apples", "number")],
        ),
        (
            "Two red umbrellas are on the right. There are two red apples on the left.",
            "A blue umbrella is on the right. There are two red apples on the left.",
            [
                ("Two", "A", "number"),
                ("red", "blue", "attribute"),
                ("umbrellas are", "umbrella is", "number"),
            ],
        ),
        (
            "There are two umbrellas.",
            "There is an umbrella.",
            [("are two umbrellas", "is an umbrella", "number")],
        ),
        (
            "On the right there are two red apples.",
            "On the left there are two red apples.",
            [("right", "left", "position")],
        ),
        ("I see a blue umbrella in the middle.", "I see a blue umbrella on the right.", None),
        ("This is an office.", "This is a kitchen.", [("an office", "a kitchen", "other")]),
        (
            (
                "This is a kitchen. There is a gray knife on the right. There are two red apples on"
                " the left."
            ),
            "This is a kitchen. There are two red apples on the left.",
            [(" There is a gray knife on the right.", "", "object")],
        ),
        (
            "There is a cow. There are two red apples.",
            "There are two red apples.",
            [("There is a cow. ", "", "object")],
        ),
        (
            "I see two red apples. I see two red apples.",
            "I see two red apples.",
            [(" I see two red apples.", "", "other")],
        ),
        ("I see two blue apples. I see two red apples.", "I see two red apples.", None),
        ("I see a cow and a blue umbrella.", "There is a blue umbrella on the right.", None),
    ],
)
def test_worked_corrections(text, chosen, expected):
    correction = corrected(text)
    assert correction.chosen == chosen
    if expected is not None:
        assert changes(correction) == expected


def test_an_absent_object_gives_way_to_one_that_was_left_out():
    person = EXACT.model_copy(update={"replace_absent": 1})
    correction = corrected(
        "There is a gray knife in the middle. There are two red apples.", person=person
    )
    assert correction.chosen == "There is a blue umbrella on the right. There are two red apples."
    assert {kind for _, _, kind in changes(correction)} == {"object"}


def test_what_was_left_out_is_added_on_request_to_responses_with_a_fault():
    person = EXACT.model_copy(update={"add_missed": 1})
    correction = corrected("There are two blue apples on the left", person=person)
    assert (
        correction.chosen
        == "There are two red apples on the left. There is a blue umbrella on the right."
    )
    deleted_last = corrected("There are two red apples. There is a cow.", person=person)
    assert deleted_last.chosen == "There are two red apples. There is a blue umbrella on the right."
    assert corrected("There are two red apples.", person=person) is None


def test_nothing_true_is_answered_with_something_true():
    correction = corrected("There is a cow.")
    assert judge_description(KITCHEN, correction.chosen).covered
    assert not judge_description(KITCHEN, correction.chosen).hallucinates


def test_nothing_found_gives_no_pair():
    assert corrected(describe(KITCHEN, random.Random(0))) is None
    assert corrected("") is None
    careless = EXACT.model_copy(update={"miss": 1.0})
    assert corrected("There is a cow.", person=careless) is None


def test_rates_of_misses_and_slips_are_as_stated():
    left = found = slipped = right = 0
    missing, slipping = PersonModel(miss=0.2, slip=0), PersonModel(miss=0, slip=0.1)
    for scene in sample_scenes(0, "rates", 600):
        text = caption_with_noise(scene, child_random(0, scene.id))
        before = judge_description(scene, text)
        one, two = (correct(scene, PROMPT, text, person, seed=1) for person in (missing, slipping))
        found += len(before.faults)
        left += len(judge_description(scene, one.chosen if one else text).faults)
        right += len(before.claims.groups) - len({fault.claim for fault in before.faults})
        slipped += len(judge_description(scene, two.chosen if two else text).faults)
    assert left / found == pytest.approx(0.2, abs=0.05)
    assert slipped / right == pytest.approx(0.1, abs=0.03)


def test_people_who_err_by_rule_miss_what_stands_late():
    """With a late miss of 1, a fault that stands at a share x of the text is missed with x."""
    early = "A cow. There are two red apples on the left. A blue umbrella is on the right."
    late = "There are two red apples on the left. A blue umbrella is on the right. A cow."
    found = {early: 0, late: 0}
    for text in found:
        for seed in range(300):
            person = PersonModel(miss=0, slip=0, replace_absent=0, late_miss=1)
            found[text] += correct(KITCHEN, PROMPT, text, person, seed=seed) is not None
    assert found[early] / 300 > 0.93
    assert found[late] / 300 == pytest.approx(1 - late.index("cow") / len(late), abs=0.05)


def test_people_who_err_by_rule_prefer_the_longer_response():
    wrong, right = response("Two red apples on the left. A cow.", "a"), response("Apples.", "b")
    person = EXACT.model_copy(update={"prefers_longer": 0.3})
    rows = [compare(KITCHEN, PROMPT, wrong, right, person, seed=seed) for seed in range(400)]
    assert sum(row.preferred == "first" for row in rows) / 400 == pytest.approx(0.3, abs=0.06)
    turned = compare(KITCHEN, PROMPT, right, wrong, EXACT, seed=0)
    assert turned.preferred == "first"


def test_same_seed_same_judgement_other_person_other_errors():
    scene = sample_scene(0, "same", 5)
    texts = [caption_with_noise(scene, random.Random(number)) for number in range(60)]
    person = PersonModel(miss=0.5)

    def all_of(person, seed):
        made = [correct(scene, PROMPT, text, person, seed=seed) for text in texts]
        return [row.chosen if row else None for row in made]

    assert all_of(person, 1) == all_of(person, 1)
    assert all_of(person, 1) != all_of(person, 2)
    assert all_of(person, 1) != all_of(PersonModel(name="other", miss=0.5), 1)


def test_exact_comparison_counts_hallucinations_before_coverage():
    full, short = (
        "Two red apples on the left. A blue umbrella on the right.",
        "Two red apples on the left.",
    )
    wrong = full + " A cow."

    def preferred(one, two):
        row = compare(KITCHEN, PROMPT, response(one, "a"), response(two, "b"), EXACT, seed=0)
        assert row.source == "simulated"
        assert row.response_ids == ("a", "b")
        return row.preferred

    assert preferred(full, short) == "first"
    assert preferred(wrong, short) == "second"
    assert preferred(wrong, wrong + " A pig.") == "first"
    assert preferred(full, full) == "tie"


def test_people_agree_as_often_as_their_error_rates_say():
    people = [PersonModel(name=name, comparison_error=0.2, rating_error=0.2) for name in ("a", "b")]
    same = exact = rated = n = 0
    for scene in sample_scenes(0, "agree", 600):
        rng = child_random(0, scene.id)
        one, two = (
            response(text, text)
            for text in (describe(scene, rng), caption_with_noise(scene, rng) + " x")
        )
        truth, *votes = (
            compare(scene, PROMPT, one, two, p, seed=0).preferred for p in (EXACT, *people)
        )
        if truth == "tie":
            continue
        n += 1
        same += votes[0] == votes[1]
        exact += votes[0] == truth
        true_score, score = (rate(scene, PROMPT, two, p, seed=0).score for p in (EXACT, people[0]))
        assert abs(true_score - score) <= 1
        rated += true_score == score
    assert n > 200
    assert exact / n == pytest.approx(0.8, abs=0.06)
    assert same / n == pytest.approx(0.68, abs=0.07)
    assert rated / n == pytest.approx(0.8, abs=0.06)


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Two red apples on the left. A blue umbrella on the right.", 6),
        ("Apples and an umbrella.", 5),
        ("Two red apples on the left.", 4),
        ("A nice picture.", 3),
        ("", 3),
        ("Two red apples on the left. A blue umbrella on the right. A cow.", 2),
        ("Two red apples. A cow.", 1),
        ("A cow.", 0),
    ],
)
def test_ratings_follow_the_scale_of_mmhal_bench(text, score):
    row = rate(KITCHEN, PROMPT, response(text), EXACT, seed=0)
    assert (row.score, row.source) == (score, "simulated")


def test_wrong_answers_are_replaced_by_true_ones():
    for scene in sample_scenes(0, "answers", 40):
        for question_type in QUESTION_TYPES[:6]:
            question = ask(scene, question_type, child_random(0, scene.id))
            if question is None:
                continue
            assert correct(scene, PROMPT, question.answer, EXACT, seed=0, question=question) is None
            wrong = f"It is {question.alternatives[0]}." if question.alternatives else "It is red."
            correction = correct(scene, PROMPT, wrong, EXACT, seed=0, question=question)
            assert correction.chosen == question.answer
            assert check_segments(correction.rejected, correction.chosen, correction.segments) == []


def test_corrections_are_short_edits():
    shares = []
    for scene in sample_scenes(0, "short", 200):
        correction = corrected(caption_with_noise(scene, child_random(0, scene.id)), scene)
        if correction is not None:
            match = SequenceMatcher(None, correction.rejected, correction.chosen, autojunk=False)
            shares.append(match.ratio())
    assert min(shares) > 0.6
    assert len(OBJECTS) == 48

"""Facts as complete and as right as asked for."""

import re

import pytest

from veridical.world.claims import parse_claims
from veridical.world.judge import judge_description
from veridical.world.known_facts import BY_PEOPLE, COMPLETE, FactsModel, known_facts
from veridical.world.scenes import sample_scenes

SCENES = list(sample_scenes(0, "facts-test", 300))


def statements(scene, **rates):
    facts = known_facts(scene, FactsModel(**rates), seed=0)
    return facts.texts if facts is not None else ()


def test_complete_facts_are_the_scenes_own():
    for scene in SCENES[:50]:
        assert known_facts(scene, COMPLETE, seed=3) == scene.facts()


def test_the_same_seed_gives_the_same_facts():
    model = FactsModel(missing=0.5, wrong=0.5)
    again = [[known_facts(scene, model, seed=seed) for scene in SCENES[:50]] for seed in (1, 1, 2)]
    assert again[0] == again[1] != again[2]


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.7, 1.0])
def test_so_many_statements_are_left_out(rate):
    whole = sum(len(scene.facts().texts) for scene in SCENES)
    kept = sum(len(statements(scene, missing=rate)) for scene in SCENES)
    assert kept / whole == pytest.approx(1 - rate, abs=0.05)
    for scene in SCENES[:50]:
        assert set(statements(scene, missing=rate)) <= set(scene.facts().texts)


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_so_many_statements_are_wrong_and_each_in_one_thing(rate):
    wrong = total = 0
    for scene in SCENES:
        for text in statements(scene, wrong=rate)[1:]:
            faults = judge_description(scene, f"There are {text}.").faults
            assert len(faults) <= 1
            wrong += len(faults)
            total += 1
    assert wrong / total == pytest.approx(rate, abs=0.05)


def test_a_caption_says_the_same_in_sentences():
    for scene in SCENES[:50]:
        (text,) = statements(scene, kind="caption")
        verdict = judge_description(scene, text)
        assert not verdict.faults
        assert not verdict.missed
        half = statements(scene, kind="caption", missing=0.5)
        if half:
            assert re.search(r"\.$", half[0])
            assert not judge_description(scene, half[0]).faults
            assert len(parse_claims(half[0]).groups) <= len(scene.groups)
    assert known_facts(SCENES[0], FactsModel(missing=1.0), seed=0) is None


def test_people_write_captions_each_in_words_of_their_own():
    for scene in SCENES[:50]:
        facts = known_facts(scene, FactsModel(kind="people", people=4), seed=0)
        assert facts.kind == "caption"
        assert len(set(facts.texts)) == 4
        for text in facts.texts:
            said = {claim.noun for claim in parse_claims(text).groups}
            assert said == set(scene.nouns)
            assert scene.context in text
            assert not re.search(r"There (is|are)|I see|on the (left|right)|in the middle", text)


def test_each_of_the_people_leaves_out_and_errs_for_themselves():
    named = [[], [], []]
    for scene in SCENES:
        facts = known_facts(scene, BY_PEOPLE.model_copy(update={"wrong": 0}), seed=0)
        texts = facts.texts if facts else ()
        said = [{claim.noun for claim in parse_claims(text).groups} for text in texts]
        for noun in scene.nouns:
            named[0].append(any(noun in one for one in said))
            named[1] += [noun in one for one in said]
        named[2].append(len(set(map(frozenset, said))) > 1)
    assert sum(named[1]) / len(named[1]) == pytest.approx(1 - 0.35, abs=0.05)
    assert sum(named[0]) / len(named[0]) == pytest.approx(1 - 0.35**3, abs=0.03)
    assert sum(named[2]) / len(named[2]) > 0.5
    wrong = FactsModel(kind="people", wrong=1)
    assert all(
        judge_description(scene, text).faults
        for scene in SCENES[:30]
        for text in known_facts(scene, wrong, seed=0).texts
    )

"""Facts as complete and as right as asked for."""

import re

import pytest

from veridical.world.claims import parse_claims
from veridical.world.judge import judge_description
from veridical.world.known_facts import COMPLETE, FactsModel, known_facts
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

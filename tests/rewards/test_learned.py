"""A reward model as a reward function, and the leak check."""

import pytest
import torch

from miniatures import picture
from veridical.errors import ModelError
from veridical.feedback.facts import FactsIndex
from veridical.models.loading import load_model
from veridical.records import Facts, ImageRef, Prompt
from veridical.rewards.head import new_head
from veridical.rewards.leak import CONDITIONS, change_queries, score_conditions
from veridical.rewards.learned import LearnedReward
from veridical.rewards.model import RewardModel
from veridical.rewards.protocol import Candidate
from veridical.rewards.queries import RewardQuery
from veridical.rewards.template import RewardTemplate


@pytest.fixture(scope="module")
def model(tiny_llava_path):
    vlm = load_model(tiny_llava_path, device="cpu")
    torch.manual_seed(0)
    return RewardModel(vlm, new_head(vlm), RewardTemplate(name="world"))


def prompt(number, **more):
    return Prompt(
        id=f"p{number}",
        image=ImageRef(path=f"images/scene{number}.png"),
        question="What is in the picture?",
        **more,
    )


def candidate(number, text, *, finished=True):
    return Candidate(prompt(number), text, finished, 5)


FACTS = FactsIndex(
    [Facts(image_id=f"scene{n}", kind="caption", texts=(f"{n + 1} dogs.",)) for n in range(3)]
)


def image_of(asked):
    return picture(int(asked.id[1:]))


def reward(model, facts=FACTS, **more):
    return LearnedReward(model, facts, image_of=image_of, **more)


def test_candidates_are_rewarded_in_their_order_whatever_their_company(model):
    candidates = [
        candidate(0, "A dog."),
        candidate(1, "A cat."),
        candidate(0, "Two cats."),
        candidate(0, "A dog.", finished=False),
    ]
    found = reward(model)(candidates)
    assert found.shape == (4,)
    assert found.dtype == torch.float32
    for number, one in enumerate(candidates):
        torch.testing.assert_close(reward(model)([one])[0], found[number], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(reward(model)(candidates[::-1]), found.flip(0), atol=1e-5, rtol=1e-5)
    assert found[0] != found[3]


def test_it_finds_each_prompts_own_facts(model):
    (expected,) = model.score(
        [RewardQuery("What is in the picture?", picture(1), ("A dog.",), FACTS.of(prompt(1)))]
    )
    torch.testing.assert_close(
        reward(model)([candidate(1, "A dog.")]), expected, atol=1e-5, rtol=1e-5
    )


def test_branches_of_one_prompt_share_its_encoding(model, monkeypatch):
    seen = []
    inner = model.encode
    monkeypatch.setattr(
        model,
        "encode",
        lambda queries, **more: seen.extend(queries) or inner(queries, **more),
    )
    reward(model)([candidate(n % 2, f"{n} dogs.") for n in range(6)])
    assert [len(query.responses) for query in seen] == [3, 3]


def test_statements_are_read_in_the_order_given_or_in_one_of_their_own_for_each_response(model):
    statements = tuple(f"{n} dogs." for n in range(9))
    facts = FactsIndex([Facts(image_id="scene0", kind="caption", texts=statements)])

    def order(text, **more):
        query = reward(model, facts, **more)._query(prompt(0), [candidate(0, text)])
        return query.facts[0].texts

    assert order("A dog.") == statements
    shuffled = {text: order(text, order="shuffled") for text in ("A dog.", "A cat.")}
    assert shuffled["A dog."] != shuffled["A cat."] != statements
    assert order("A dog.", order="shuffled") == shuffled["A dog."]
    assert {*shuffled["A dog."]} == {*statements}


def test_missing_facts_are_an_error_or_counted(model, capsys):
    with pytest.raises(ModelError, match="No facts for prompt 'p7'"):
        reward(model)([candidate(0, "A dog."), candidate(7, "A dog.")])
    without = reward(model, missing="without")
    without(
        [
            candidate(0, "A dog."),
            candidate(7, "A dog."),
            candidate(7, "A cat."),
            candidate(8, "A cat."),
        ]
    )
    assert without.without_facts == 3
    assert capsys.readouterr().err.count("Rewarded without facts") == 1
    with pytest.raises(ModelError, match="reads facts, got none"):
        reward(model, None)


def test_prompts_that_could_not_be_judged_are_reported_before_anything_is_said_to_them(model):
    told = {
        2: Facts(image_id="scene2", prompt_id="p2", kind="answer", texts=("Red.",)),
        3: Facts(image_id="scene9", prompt_id="p3", kind="answer", texts=("Blue.",)),
        4: Facts(image_id="scene4", kind="caption", texts=("A dog. " * 400,)),
        5: Facts(image_id="scene5", kind="caption", texts=("What is <image>?",)),
        6: Facts(image_id="scene6", kind="caption", texts=(" ",)),
    }
    of_image = [Facts(image_id=f"scene{n}", kind="caption", texts=("A dog.",)) for n in (1, 2, 3)]
    checked = reward(model, FactsIndex([*told.values(), *of_image]), batch_size=3)
    faults = checked.prompt_faults([prompt(n) for n in range(1, 7)], room=8)
    for fault, says in zip(
        faults,
        (None, None, "are of another image: 'scene9'", "reads at most", "<image>", "No facts for"),
        strict=True,
    ):
        assert fault is None if says is None else says in fault
    (row,) = model.encode(
        [RewardQuery("What is in the picture?", picture(1), ("",), FACTS.of(prompt(1)))]
    )
    room = model.vlm.window - (row.tokens - row.response_lengths[0])
    assert reward(model).prompt_faults([prompt(1)], room=room) == [None]
    assert "leaves no room for" in reward(model).prompt_faults([prompt(1)], room=room + 1)[0]
    without = reward(model, missing="without")
    assert without.prompt_faults([prompt(7)], room=8) == [None]
    assert [without.lacks_facts(prompt(n)) for n in (1, 7)] == [False, True]
    assert without.without_facts == 0


def test_a_relative_image_path_is_refused(model):
    with pytest.raises(ModelError, match="relative path 'images/scene0"):
        LearnedReward(model, FACTS)([candidate(0, "A dog.")])


def asked_of(number):
    facts = (Facts(image_id=str(number), kind="answer", texts=(str(number),)),)
    return RewardQuery("Hm?", ImageRef(path=f"{number}.png"), ("a", "b"), facts)


QUERIES = [asked_of(number % 4) for number in range(12)]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_conditions_take_away_what_they_say_and_no_more(condition):
    for before, after in zip(QUERIES, change_queries(QUERIES, condition, seed=0), strict=True):
        assert after.responses == before.responses
        assert after.question == before.question
        swaps_facts = condition in ("swapped_facts", "swapped_both")
        assert (after.image != before.image) == (condition in ("swapped_image", "swapped_both"))
        assert (after.facts == ()) == (condition == "no_facts")
        if condition != "no_facts":
            assert (after.facts != before.facts) == swaps_facts
        if condition == "swapped_both":
            assert after.facts[0].texts[0] in after.image.path


def test_a_model_that_reads_no_facts_has_no_conditions_of_facts(tiny_llava_path, model):
    queries = [RewardQuery("Hm?", picture(n), ("a dog", "a cat")) for n in range(3)]
    blind = RewardModel(model.vlm, model.head, RewardTemplate(name="world", facts_position="none"))
    assert set(score_conditions(blind, queries, seed=0)) == {"intact", "swapped_image"}
    found = score_conditions(model, queries, seed=0)
    assert set(found) == set(CONDITIONS)
    assert all(list(rewards) == [0, 1, 2] for rewards in found.values())
    part = score_conditions(model, queries, seed=0, sample=1)
    assert len(part["intact"]) == 3
    (number,) = part["no_facts"]
    torch.testing.assert_close(
        part["no_facts"][number], found["no_facts"][number], atol=1e-5, rtol=1e-5
    )
    assert set(score_conditions(model, queries, seed=0, sample=0)) == {"intact"}

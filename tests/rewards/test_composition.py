import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from veridical.config import load_recipe, resolve_recipe, write_recipe
from veridical.errors import ConfigError, ModelError
from veridical.records import ImageRef, Prompt
from veridical.rewards.composition import CompositeReward, RewardSection, Term, compose_rewards
from veridical.rewards.protocol import Candidate
from veridical.rewards.rules import Rule


def candidate(
    text="",
    *,
    task="general",
    reference=None,
    tokens=10,
    length_bonus=None,
    finished=True,
    prompt_id="p",
):
    asked = {
        "question": "Which?",
        "task": task,
        "reference": reference,
        "length_bonus": length_bonus,
    }
    return Candidate(
        Prompt(id=prompt_id, image=ImageRef(path="a.png"), **asked), text, finished, tokens
    )


def learned(*values):
    return Given("learned", torch.tensor(values))


class Given:
    def __init__(self, name, values):
        self.name, self._values = name, values

    def __call__(self, candidates):
        return self._values


ORIGINAL = RewardSection(preset="llava-rlhf")


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        # Worked from the released code: score without the reward model, before the factor 10.
        (candidate("No.", task="yes_no", reference="No", tokens=2), 0.98),
        (candidate("Yes", task="yes_no", reference="No", tokens=2), -1.02),
        (candidate("Yes", task="yes_no", reference="Yes", tokens=2), -0.02),
        (candidate("A long tale.", tokens=150, length_bonus=1.0), -1.67),
        (candidate("A long tale.", tokens=150, length_bonus=-0.5), 0.84),
        (
            candidate(
                "So the correct option is B.", task="multiple_choice", reference="B", tokens=60
            ),
            1.33,
        ),
        (candidate("and on and on", tokens=896, finished=False), -18.0),
    ],
)
def test_the_original_composition(one, expected):
    rewarded = compose_rewards(ORIGINAL).reward([one])
    assert rewarded.total.item() / 10 == pytest.approx(expected, abs=0.005)


def test_the_learned_reward_comes_first_and_is_scaled_with_the_rest():
    rewarded = compose_rewards(ORIGINAL, learned=learned(0.5)).reward([candidate(tokens=0)])
    assert list(rewarded.terms) == ["learned", "yes_no", "multiple_choice", "length", "unfinished"]
    assert rewarded.total.item() == pytest.approx(5.0)
    assert rewarded.terms["learned"].item() == 0.5


@given(
    st.lists(
        st.tuples(st.floats(-9, 9, width=32), st.floats(-9, 9, width=32)), min_size=1, max_size=5
    ),
    st.floats(-3, 3),
    st.floats(0.1, 10),
)
def test_the_total_is_the_weighted_sum_of_its_terms(parts, bias, scale):
    terms = [
        Term(Given(str(number), torch.tensor([value])), weight)
        for number, (value, weight) in enumerate(parts)
    ]
    rewarded = CompositeReward(terms, bias=bias, scale=scale).reward([candidate()])
    expected = scale * (bias + sum(value * weight for value, weight in parts))
    assert rewarded.total.item() == pytest.approx(expected, rel=1e-4, abs=1e-3)
    assert (sum(rewarded.weighted.values()) + scale * bias).item() == pytest.approx(
        rewarded.total.item(), abs=1e-3
    )


def test_what_one_response_gets_does_not_depend_on_the_others():
    reward = compose_rewards(RewardSection())
    rows = [
        candidate("No.", task="yes_no", reference="No"),
        candidate("a b c d a b c d"),
        candidate(finished=False),
    ]
    alone = torch.cat([reward([row]) for row in rows])
    assert torch.equal(reward(rows), alone)
    assert torch.equal(reward(rows[::-1]), alone.flip(0))
    assert reward([]).shape == (0,)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_a_number_is_refused_with_the_names_of_term_and_prompt(wrong):
    reward = compose_rewards(RewardSection(), learned=learned(1.0, wrong, wrong))
    rows = [candidate(prompt_id=f"p{number}") for number in range(3)]
    with pytest.raises(
        ModelError, match=rf"'learned' of a response to prompt 'p1' is {wrong}, and so 2 of 3"
    ):
        reward(rows)


def test_a_term_must_give_one_number_for_each_response():
    with pytest.raises(
        ModelError, match=r"'learned' must give one number for each of 2 responses, got .*\(3,\)"
    ):
        compose_rewards(RewardSection(), learned=learned(1, 2, 3))([candidate(), candidate()])


def test_prompts_are_checked_by_every_term_that_is_left():
    prompts = [candidate(task=task).prompt for task in ("yes_no", "multiple_choice", "general")]
    found = compose_rewards(RewardSection(), learned=learned(1.0)).prompt_faults(prompts, room=9)
    assert [
        fault and fault.partition("`reference` must say ")[2].partition(",")[0] for fault in found
    ] == [
        "yes or no",
        "a letter",
        None,
    ]
    without = compose_rewards(RewardSection(yes_no_weight=0.0)).prompt_faults(prompts, room=9)
    assert [fault is None for fault in without] == [True, False, True]
    assert compose_rewards(ORIGINAL).prompt_faults(prompts[:1], room=9) == found[:1]


def test_names_are_unique_and_some_term_is_left():
    with pytest.raises(ConfigError, match="same name"):
        CompositeReward([Term(Rule("a", lambda one: 0.0), 1.0)] * 2)
    with pytest.raises(ConfigError, match="needs a term"):
        compose_rewards(RewardSection(preset="none"))
    assert compose_rewards(RewardSection(preset="none"), learned=learned(2.0))(
        [candidate()]
    ).tolist() == [2.0]


def test_a_preset_fills_in_what_the_recipe_leaves_out(tmp_path):
    section = resolve_recipe({"preset": "llava-rlhf", "length_weight": -1.0}, RewardSection)
    assert (section.length_weight, section.correctness, section.scale) == (-1.0, "original", 10.0)
    assert load_recipe(write_recipe(section, tmp_path / "a.toml"), RewardSection) == section
    assert RewardSection().correctness == "symmetric"
    assert RewardSection().unfinished_weight == section.unfinished_weight == -8.0
    with pytest.raises(ConfigError, match="`preset`"):
        resolve_recipe({"preset": "llava"}, RewardSection)

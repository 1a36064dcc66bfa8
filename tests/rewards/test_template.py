"""What a reward model is shown: slots, facts by kind, templates with facts on either side."""

import pytest
from pydantic import ValidationError

from veridical.records import Facts
from veridical.rewards.template import SHIPPED, FactsForm, RewardTemplate

FACTS = (
    Facts(image_id="a", kind="answer", texts=("B",)),
    Facts(image_id="a", kind="caption", texts=("A dog {question}.", "Two cats.")),
    Facts(image_id="a", kind="caption", texts=("A lamp.",)),
)


def test_facts_are_written_kind_by_kind_in_the_order_given():
    template = RewardTemplate(
        name="mine",
        before="{facts}|{question}",
        facts=FactsForm(
            headings={"caption": "C: ", "answer": "A: "},
            fact="<{fact}>",
            separator=", ",
            end="; ",
            nothing="?",
        ),
    )
    shown = template.show("What is it?", FACTS)
    assert shown.before == "C: <A dog {question}.>, <Two cats.>, <A lamp.>; A: <B>; |What is it?"
    assert template.show("What is it?", FACTS[::-1]).before.startswith("C: <A lamp.>, <A dog")
    assert template.show("What is it?", ()).before == "?|What is it?"


def test_facts_are_readable_where_they_say_something_of_a_kind_that_has_a_heading():
    template = RewardTemplate(
        name="mine", before="{facts}{question}", facts=FactsForm(headings={"caption": "C: "})
    )
    nothing = [Facts(image_id="a", kind="caption", texts=texts) for texts in ((), (" ",))]
    assert template.readable([*FACTS, *nothing]) == FACTS[1:]
    assert template.show("Hm?", template.readable(FACTS)) == template.show("Hm?", FACTS)
    assert RewardTemplate(name="world", facts_position="none").readable(FACTS) == ()


def test_rationales_stand_in_for_captions_as_in_llava_rlhf():
    reasons = Facts(image_id="a", kind="rationale", texts=("It has a leash.",))
    form = FactsForm(
        headings={"caption": "These captions:\n"},
        stand_in={"rationale": "caption"},
        fact="  - {fact}\n",
        end="",
    )
    assert form.write([*FACTS, reasons]) == "These captions:\n  - It has a leash.\n"
    assert form.write(FACTS) == (
        "These captions:\n  - A dog {question}.\n  - Two cats.\n  - A lamp.\n"
    )
    assert form.write([*FACTS[1:2], reasons.model_copy(update={"texts": ()})]).count("- ") == 2
    original = RewardTemplate(name="llava-rlhf")
    assert original.readable([*FACTS, reasons]) == (*FACTS[1:], reasons)
    assert "leash" in original.show("Hm?", [*FACTS, reasons]).after
    assert "Two cats" not in original.show("Hm?", [*FACTS, reasons]).after
    both = RewardTemplate().show("Hm?", [*FACTS, reasons]).before
    assert "Two cats" in both
    assert "leash" in both


def test_the_question_may_hold_what_looks_like_a_slot():
    assert (
        RewardTemplate(name="world").show("What does {facts} mean?", ()).before
        == "What does {facts} mean?"
    )


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("position", ["before", "after", "none"])
def test_shipped_templates_show_facts_where_they_are_wanted(name, position):
    template = RewardTemplate(name=name, facts_position=position)
    shown = template.show("What is it?", FACTS)
    assert "What is it?" in shown.before
    assert ("Two cats." in shown.before) == (position == "before")
    assert ("Two cats." in shown.after) == (position == "after")
    assert "{facts}" not in shown.before + shown.after
    assert "{dimensions}" not in shown.before + shown.after
    assert template.reads_facts == (position != "none")


@pytest.mark.parametrize("name", ["veridical", "llava-rlhf"])
def test_the_four_dimensions_are_numbered(name):
    after = RewardTemplate(name=name).show("What is it?", FACTS).after
    lines = [line for line in after.splitlines() if line[:1].isdigit()]
    assert [line[:2] for line in lines] == ["1.", "2.", "3.", "4."]


def test_fields_fill_in_and_win_over_the_shipped_ones():
    template = RewardTemplate(name="llava-rlhf", verdict="I give it")
    assert template.verdict == "I give it"
    assert template.facts_position == "after"
    assert RewardTemplate.model_validate(template.model_dump()) == template
    assert RewardTemplate().facts_position == "before"
    own = RewardTemplate(name="mine", before="{facts} Q: {question}")
    assert (own.after, own.dimensions) == ("", ())


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"before": "{facts}"}, "must hold {question}"),
        ({"before": "{question} {fact}"}, "no slot {fact}"),
        ({"after": "{question}"}, "no slot {question}"),
        ({"before": "{question}"}, "`before` must hold {facts}"),
        ({"facts_position": "after", "after": "Well?"}, "`after` must hold {facts}"),
        ({"verdict": "It is", "after": ""}, "`verdict` begins the answer"),
    ],
)
def test_a_template_that_cannot_be_filled_is_refused(fields, said):
    with pytest.raises(ValidationError, match=said.replace("{", r"\{")):
        RewardTemplate(name="mine", **{"before": "{facts}{question}", **fields})

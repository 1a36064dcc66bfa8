"""Sampling, rewarding and keeping: the best is the best, and nothing is dropped in silence."""

import pytest
import torch

from miniatures import picture
from veridical.errors import ConfigError, ModelError
from veridical.models.loading import load_model
from veridical.records import Conversation, ImageRef, Prompt, Response, read_records, write_records
from veridical.rewards.best_of_n import (
    RewardedSamples,
    rejection_sample,
    sample_and_reward,
    threshold_of_share,
)


class Letters:
    """Rewards the letter "a"."""

    name = "letters"

    def __call__(self, candidates):
        return torch.tensor([float(candidate.text.count("a")) for candidate in candidates])


def samples(rewards, *, prompt="p", texts=None, finish=None):
    texts = texts or [f"text {n}" for n in range(len(rewards))]
    finish = finish or ["stop"] * len(rewards)
    return RewardedSamples(
        Prompt(id=prompt, image=ImageRef(path="a.png"), question="What?"),
        tuple(
            Response(
                id=f"{prompt}/{n}",
                prompt_id=prompt,
                text=text,
                model="m",
                sample=n,
                temperature=1.0,
                finish=end,
            )
            for n, (text, end) in enumerate(zip(texts, finish, strict=True))
        ),
        torch.tensor(rewards),
    )


@pytest.fixture(scope="module")
def asked(tiny_llava_path, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prompts")
    prompts = []
    for number in range(3):
        picture(number).save(folder / f"{number}.png")
        prompts.append(
            Prompt(id=f"p{number}", image=ImageRef(path=f"{number}.png"), question="What is there?")
        )
    return load_model(tiny_llava_path, device="cpu"), prompts, folder


def test_every_prompt_gets_its_samples_and_each_its_reward(asked):
    vlm, prompts, folder = asked
    found = sample_and_reward(vlm, prompts, Letters(), num_samples=4, root=folder, max_new_tokens=8)
    assert [row.prompt for row in found] == prompts
    for row in found:
        assert [response.id for response in row.responses] == [
            f"{row.prompt.id}/{n}" for n in range(4)
        ]
        assert row.rewards.tolist() == [response.text.count("a") for response in row.responses]
        assert {response.temperature for response in row.responses} == {1.0}
    again = sample_and_reward(
        vlm, prompts, Letters(), num_samples=4, root=folder, max_new_tokens=8, batch_size=1
    )
    assert [row.responses for row in again] == [row.responses for row in found]
    other = sample_and_reward(
        vlm, prompts, Letters(), num_samples=4, root=folder, max_new_tokens=8, seed=1
    )
    assert [row.responses for row in other] != [row.responses for row in found]


def test_the_best_of_the_first_n_is_taken_and_the_earliest_of_equals():
    row = samples([1.0, 3.0, 2.0, 3.0])
    assert [row.best(n).sample for n in (1, 2, 3, 4)] == [0, 1, 1, 1]
    assert row.best() == row.best(4)
    for n in (0, 5):
        with pytest.raises(ConfigError, match=f"Best of {n} cannot be taken of 4"):
            row.best(n)


def test_the_best_of_each_prompt_is_kept_as_a_conversation(tmp_path):
    kept = rejection_sample([samples([1.0, 3.0]), samples([0.5, 0.1], prompt="q")])
    assert [(row.id, row.turns[1].text) for row in kept.conversations] == [
        ("p/1", "text 1"),
        ("q/0", "text 0"),
    ]
    assert kept.conversations[0].turns[0].text == "What?"
    assert {row.source for row in kept.conversations} == {"model"}
    assert (kept.prompts, kept.responses, kept.below) == (2, 4, 2)
    path = write_records(tmp_path / "conversations.jsonl", kept.conversations, kind="Conversation")
    assert read_records(path, Conversation) == kept.conversations


def test_all_above_a_threshold_are_kept_each_text_once():
    rows = [samples([1.0, 3.0, 3.0, 2.0], texts=["a", "b", "b", "c"]), samples([0.0], prompt="q")]
    kept = rejection_sample(rows, best_only=False, threshold=2.0)
    assert [row.id for row in kept.conversations] == ["p/1", "p/3"]
    assert (kept.below, kept.repeated) == (2, 1)
    both = rejection_sample(rows, threshold=2.0)
    assert [row.id for row in both.conversations] == ["p/1"]


def test_unfinished_and_empty_responses_never_count_and_are_counted():
    row = samples(
        [9.0, 8.0, 1.0, 2.0],
        texts=["long", " ", "b", "c"],
        finish=["length", "stop", "stop", "stop"],
    )
    kept = rejection_sample([row])
    assert [conversation.id for conversation in kept.conversations] == ["p/3"]
    assert (kept.unfinished, kept.empty, kept.below) == (1, 1, 1)
    whole = kept.unfinished + kept.empty + kept.below + kept.repeated + len(kept.conversations)
    assert whole == kept.responses


def test_the_threshold_of_a_share_keeps_that_share():
    rows = [samples([1.0, 2.0, 3.0, 4.0, 5.0]), samples([6.0, 7.0, 8.0, 9.0, 10.0], prompt="q")]
    for share, count in ((0.3, 3), (0.5, 5), (1.0, 10), (0.01, 1)):
        threshold = threshold_of_share(rows, share)
        assert (
            len(rejection_sample(rows, best_only=False, threshold=threshold).conversations) == count
        )
    for wrong in (0.0, 1.5):
        with pytest.raises(ConfigError, match="share"):
            threshold_of_share(rows, wrong)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ConfigError, match="Give a threshold"):
        rejection_sample([samples([1.0])], best_only=False)
    with pytest.raises(ConfigError, match=r"Nothing is left of 1 responses: .*1 below"):
        rejection_sample([samples([1.0])], threshold=2.0)


def test_samples_after_earlier_turns_become_conversations_of_as_many(asked):
    vlm, prompts, folder = asked
    talked = prompts[0].model_copy(update={"history": (("Hi?", "Hi."),), "system": "Be brief."})
    rows = sample_and_reward(vlm, [talked], Letters(), num_samples=2, root=folder, max_new_tokens=4)
    kept = rejection_sample(finished(rows)).conversations
    assert [turn.text for turn in kept[0].turns[:3]] == ["Hi?", "Hi.", talked.question]
    assert (kept[0].image, kept[0].system) == (talked.image, "Be brief.")


def finished(rows):
    """Rewarded samples as if each had come to its end."""
    return [
        row._replace(
            responses=tuple(
                one.model_copy(update={"finish": "stop", "text": one.text or "Yes."})
                for one in row.responses
            )
        )
        for row in rows
    ]


def test_rewards_that_are_not_numbers_are_reported(asked):
    vlm, prompts, folder = asked

    class Broken:
        name = "broken one"

        def __call__(self, candidates):
            return torch.full((len(candidates),), float("nan"))

    with pytest.raises(ModelError, match=r"'broken one'.*is nan, and so 2 of 2"):
        sample_and_reward(vlm, prompts[:1], Broken(), num_samples=2, root=folder, max_new_tokens=4)

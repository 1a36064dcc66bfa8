"""Rule rewards: what can be checked without a model, each a plain function of one response.

    yes_no            1 right, −1 wrong, 0 unclear   (for prompts of task "yes_no")
    multiple_choice   1 right, −1 wrong, 0 unclear   (for prompts of task "multiple_choice")
    length            multiplier × tokens / window, the multiplier being the prompt's
    unfinished        1 where the end token was never emitted
    repetition        share of runs of words that stood in the response before, in [0, 1]

LLaVA-RLHF (arXiv 2309.14525, section 2.3) adds the first three and a penalty for unfinished
responses. Its released code rewards yes/no answers only where the truth is no, so that it teaches
to say no; `original_yes_no` and `original_multiple_choice` do the same, for comparison. Weights
stand in `composition`.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from veridical.records import Prompt
from veridical.rewards.extractors import extract_choice, extract_yes_no
from veridical.rewards.protocol import Candidate

_EACH_CHARACTER = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_EACH_CHARACTER}]|(?:(?![{_EACH_CHARACTER}])\w)+")


def _no_fault(_: Prompt) -> None:
    """Most rules work for any prompt."""


class Rule(NamedTuple):
    """A function of one response as a `RewardFunction`."""

    name: str
    """Its name in the log."""
    function: Callable[[Candidate], float]
    """The reward of one response."""
    fault: Callable[[Prompt], str | None] = _no_fault
    """Why responses to a prompt could never be rewarded although they should be; None otherwise."""

    def __call__(self, candidates: Sequence[Candidate]) -> Tensor:
        """Reward candidates: (N,) float32."""
        return torch.tensor(
            [self.function(candidate) for candidate in candidates], dtype=torch.float32
        )

    def prompt_faults(self, prompts: Sequence[Prompt], *, room: int) -> list[str | None]:  # noqa: ARG002
        """See `ChecksPrompts`."""
        return [self.fault(prompt) for prompt in prompts]


def yes_no(candidate: Candidate) -> float:
    """1 for the right answer to a yes/no question, −1 for the wrong one, 0 for none."""
    if candidate.prompt.task != "yes_no":
        return 0.0
    return _verdict(
        extract_yes_no(candidate.text), extract_yes_no(candidate.prompt.reference or "")
    )


def multiple_choice(candidate: Candidate) -> float:
    """1 for the right letter, −1 for a wrong one, 0 for none or several."""
    if candidate.prompt.task != "multiple_choice":
        return 0.0
    return _verdict(
        extract_choice(candidate.text), extract_choice(candidate.prompt.reference or "")
    )


def original_yes_no(candidate: Candidate) -> float:
    """As in LLaVA-RLHF's code: 1 for "No…" and −1 for "Yes…" if the truth is no, else always 0."""
    if (
        candidate.prompt.task != "yes_no"
        or extract_yes_no(candidate.prompt.reference or "") != "no"
    ):
        return 0.0
    text = candidate.text.strip()
    return 1.0 if text.startswith("No") else -1.0 if text.startswith("Yes") else 0.0


def original_multiple_choice(candidate: Candidate) -> float:
    """As in LLaVA-RLHF's code: 1 if a text starts with "B." or has "correct option is B."."""
    letter = extract_choice(candidate.prompt.reference or "")
    if candidate.prompt.task != "multiple_choice" or letter is None:
        return 0.0
    text = candidate.text.strip()
    return float(text.startswith(f"{letter}.") or f"correct option is {letter}." in text)


def length(candidate: Candidate, *, window: int) -> float:
    """Length of a response as a share of the longest, times the prompt's multiplier (default 1).

    Args:
        candidate: The response.
        window: The longest response in tokens; LLaVA-RLHF: 896.
    """
    bonus = candidate.prompt.length_bonus
    return (1.0 if bonus is None else bonus) * candidate.tokens / window


def unfinished(candidate: Candidate) -> float:
    """1 for a response without its end token, else 0."""
    return 0.0 if candidate.finished else 1.0


def repetition(candidate: Candidate, *, words: int) -> float:
    """Share of a response's runs of words that occurred in it before; 0 if shorter than a run.

    Args:
        candidate: The response.
        words: Length of a run.
    """
    spoken = [word.lower() for word in _WORD.findall(candidate.text)]
    runs = [tuple(spoken[start : start + words]) for start in range(len(spoken) - words + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def yes_no_fault(prompt: Prompt) -> str | None:
    """Why `yes_no` could never reward a yes/no prompt; None if it can, or does not apply."""
    return _reference_fault(prompt, task="yes_no", read=extract_yes_no, wanted="yes or no")


def multiple_choice_fault(prompt: Prompt) -> str | None:
    """Why `multiple_choice` could never reward such a prompt; None if it can, or does not apply."""
    return _reference_fault(prompt, task="multiple_choice", read=extract_choice, wanted="a letter")


def _reference_fault(
    prompt: Prompt, *, task: str, read: Callable[[str], str | None], wanted: str
) -> str | None:
    if prompt.task != task or read(prompt.reference or "") is not None:
        return None
    return (
        f"prompt {prompt.id!r} is of task {prompt.task!r}, so its `reference` must say {wanted},"
        f" got {prompt.reference!r}. Add the right answer, name another task, or set"
        f" reward.{task}_weight = 0."
    )


def _verdict(answer: str | None, truth: str | None) -> float:
    if answer is None or truth is None:
        return 0.0
    return 1.0 if answer == truth else -1.0

"""Prompts whose responses the reward could not judge, told by file and line before anything is sampled.

Such a prompt would otherwise end a run at the rollout that asks it, hours in, or never be rewarded
and nobody told: no facts, or those of another image, for a reward model that reads facts; facts too
long for its window; a question whose right answer the rules cannot read.
"""

from collections.abc import Sequence
from pathlib import Path

from veridical.errors import DataError, Fault
from veridical.files import quarantine_rows
from veridical.progress import log
from veridical.records import Prompt, scan_records
from veridical.rewards.composition import CompositeReward
from veridical.rewards.learned import LearnedReward
from veridical.rewards.protocol import ChecksPrompts, RewardFunction
from veridical.training.ppo.prompts import PpoPrompt


def leave_out_unrewardable(
    prompts: Sequence[PpoPrompt],
    path: Path | str,
    reward: RewardFunction,
    *,
    room: int,
    skip_bad: bool,
    quarantine: Path,
) -> list[PpoPrompt]:
    """Give the prompts that the reward can judge every response to.

    Args:
        prompts: What was read.
        path: The file that they were read from.
        reward: The reward; one that checks no prompts is taken at its word.
        room: Tokens of the longest response.
        skip_bad: Leave the others out, unless none is left.
        quarantine: File that they go to with `skip_bad`.

    Raises:
        DataError: Such prompts, all of them, each with file and line.
    """
    if not isinstance(reward, ChecksPrompts):
        return list(prompts)
    path = Path(path)
    faults = reward.prompt_faults([prompt.record for prompt in prompts], room=room)
    reasons = {
        prompt.record.id: fault
        for prompt, fault in zip(prompts, faults, strict=True)
        if fault is not None
    }
    good = [prompt for prompt in prompts if prompt.record.id not in reasons]
    bad = [
        (row.line, row.raw, reasons[row.record.id])
        for row in scan_records(path, Prompt)
        if row.record is not None and row.record.id in reasons
    ]
    if bad and not (skip_bad and good):
        raise DataError(
            [Fault(path, line, message) for line, _, message in bad],
            advice="Mend these rows or their facts, or leave the prompts out with --skip-bad.",
        )
    if bad:
        quarantine_rows(path, bad, to=quarantine)
    return good


def count_without_facts(prompts: Sequence[PpoPrompt], reward: RewardFunction) -> int:
    """How many prompts are rewarded without facts by a reward model that reads them; said aloud where there are any."""
    terms = (
        [term.reward for term in reward.terms] if isinstance(reward, CompositeReward) else [reward]
    )
    learned = [term for term in terms if isinstance(term, LearnedReward)]
    count = sum(any(term.lacks_facts(prompt.record) for term in learned) for prompt in prompts)
    if count:
        log(f"{count} of {len(prompts)} prompts have no facts and are rewarded without.")
    return count

"""The reward that a recipe of PPO names, and the prompts whose responses it could not judge.

A reward model of the policy's base becomes one more adapter on it; rules are added. A prompt
without facts for a reward model that reads them, with those of another image, with too many for its
window, or with a right answer that the rules cannot read is reported by file and line before
anything is sampled: it would otherwise end a run at the rollout that asks it, hours in.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from veridical.errors import ConfigError, DataError, Fault, ModelError
from veridical.feedback.facts import FactsIndex
from veridical.files import quarantine_rows
from veridical.models.loading import VisionLanguageModel
from veridical.progress import counted, log
from veridical.records import Facts, Prompt, read_records, scan_records
from veridical.rewards.card import check_base_weights, read_card
from veridical.rewards.composition import CompositeReward, compose_rewards
from veridical.rewards.learned import LearnedReward
from veridical.rewards.model import RewardModel
from veridical.rewards.protocol import AnyReward, ChecksPrompts
from veridical.training.ppo.config import PpoRecipe
from veridical.training.ppo.prompts import PpoPrompt
from veridical.training.ppo.roles import Roles


def build_reward(roles: Roles, recipe: PpoRecipe) -> CompositeReward:
    """Make the reward; a reward model of the policy's base becomes one adapter more on it.

    Args:
        roles: The roles, already on their base.
        recipe: Names reward model, facts and rules.

    Raises:
        ConfigError: No term is left, or there are facts and nothing that reads them.
        ModelError: The folder does not hold a reward model, or it fits neither base.
        DataError: Facts that are not records, all of them, each with its line.
    """
    folders = [folder for folder in (recipe.reward_model, recipe.judge_model) if folder]
    if recipe.data.facts and not any(read_card(folder).template.reads_facts for folder in folders):
        raise ConfigError(
            f"`data.facts` names `{recipe.data.facts}`, but nothing reads facts:"
            f" {'the reward model was trained without' if folders else 'no `reward_model` is set'}."
            " Leave it out, or give a reward model that reads facts."
        )
    learned = (
        _learned(roles, recipe, recipe.reward_model, name="reward") if recipe.reward_model else None
    )
    return compose_rewards(recipe.reward, learned=learned)


def build_judge(roles: Roles, recipe: PpoRecipe) -> LearnedReward | None:
    """Make the second reward model, which only rates; None where the recipe names none."""
    return _learned(roles, recipe, recipe.judge_model, name="judge") if recipe.judge_model else None


def _learned(
    roles: Roles, recipe: PpoRecipe, folder: str, *, name: Literal["reward", "judge"]
) -> LearnedReward:
    facts = FactsIndex(read_records(recipe.data.facts, Facts)) if recipe.data.facts else None
    vlm = roles.frozen_base()
    shares = _shares_base(vlm, folder)
    model = (
        RewardModel.attach(vlm, folder, adapter_name=name)
        if shares
        else _load_apart(recipe, folder)
    )
    return LearnedReward(
        model,
        facts,
        name="learned" if name == "reward" else name,
        missing=recipe.data.missing_facts,
        order=recipe.data.facts_order,
        batch_size=recipe.rollout.score_batch_size,
        features=roles.frozen_features() if shares else None,
    )


def _shares_base(vlm: VisionLanguageModel, folder: str) -> bool:
    card = read_card(folder)
    if card.weights == "model":
        return False
    try:
        check_base_weights(vlm, card)
    except ModelError:
        log(
            f"The reward model `{folder}` stands on another base than the policy; `{card.base}` is"
            " loaded for it."
        )
        return False
    return True


def _load_apart(recipe: PpoRecipe, folder: str) -> RewardModel:
    settings = recipe.model
    return RewardModel.load(
        Path(folder),
        dtype=settings.dtype,
        device=settings.device,
        quantization=settings.quantization,
        trust_remote_code=settings.trust_remote_code,
    )


def leave_out_unrewardable(
    prompts: Sequence[PpoPrompt],
    path: Path | str,
    reward: AnyReward,
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
            advice="Fix these rows or their facts, or leave the prompts out with --skip-bad.",
        )
    if bad:
        quarantine_rows(path, bad, to=quarantine)
    return good


def count_without_facts(prompts: Sequence[PpoPrompt], reward: AnyReward) -> int:
    """How many prompts a reward model that reads facts rewards without; logged if there are any."""
    terms = (
        [term.reward for term in reward.terms] if isinstance(reward, CompositeReward) else [reward]
    )
    learned = [term for term in terms if isinstance(term, LearnedReward)]
    count = sum(any(term.lacks_facts(prompt.record) for term in learned) for prompt in prompts)
    if count:
        log(f"{count} of {counted(len(prompts), 'prompt')} without facts: rewarded without them.")
    return count

"""The reward that a recipe of PPO names: a reward model on the policy's own base where it fits, and rules beside it."""

from pathlib import Path
from typing import Literal

from veridical.errors import ConfigError, ModelError
from veridical.feedback.facts import FactsIndex
from veridical.models.loading import VisionLanguageModel
from veridical.progress import log
from veridical.records import Facts, read_records
from veridical.rewards.card import check_base_weights, read_card
from veridical.rewards.composition import CompositeReward, compose_rewards
from veridical.rewards.learned import LearnedReward
from veridical.rewards.model import RewardModel
from veridical.training.ppo.config import PpoRecipe
from veridical.training.ppo.roles import Roles


def build_reward(roles: Roles, recipe: PpoRecipe) -> CompositeReward:
    """Make the reward; a reward model of the policy's base becomes one adapter more on it.

    Args:
        roles: The roles, already on their base.
        recipe: Names reward model, facts and rules.

    Raises:
        ConfigError: No term is left, or there are facts and nothing that reads them.
        ModelError: The folder is no reward model, or it fits neither the base nor its own.
        DataError: Facts that are no records, all of them, each with its line.
    """
    folders = [folder for folder in (recipe.reward_model, recipe.judge_model) if folder]
    if recipe.data.facts and not any(read_card(folder).template.reads_facts for folder in folders):
        raise ConfigError(
            f"`data.facts` names `{recipe.data.facts}`, but nothing reads facts:"
            f" {'the reward model was trained without' if folders else 'there is no `reward_model`'}."
            " Leave it out, or give a reward model that reads facts."
        )
    learned = (
        _learned(roles, recipe, recipe.reward_model, name="reward") if recipe.reward_model else None
    )
    return compose_rewards(recipe.reward, learned=learned)


def build_judge(roles: Roles, recipe: PpoRecipe) -> LearnedReward | None:
    """Make the second reward model that only looks, in the same way; None where the recipe names none."""
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

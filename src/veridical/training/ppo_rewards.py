"""The reward that a recipe of PPO names: a reward model on the policy's own base where it fits, and rules beside it."""

from pathlib import Path

from veridical.errors import ConfigError, ModelError
from veridical.feedback.facts import FactsIndex
from veridical.models.loading import VisionLanguageModel
from veridical.progress import say
from veridical.records import Facts, read_records
from veridical.rewards.card import check_base_weights, read_card
from veridical.rewards.composition import CompositeReward, compose_rewards
from veridical.rewards.learned import LearnedReward
from veridical.rewards.model import RewardModel
from veridical.training.ppo_config import PpoRecipe
from veridical.training.ppo_roles import Roles


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
    learned = _learned(roles, recipe) if recipe.reward_model else None
    if recipe.data.facts and (learned is None or not learned.model.template.reads_facts):
        raise ConfigError(
            f"`data.facts` names `{recipe.data.facts}`, but nothing reads facts: "
            f"{'the reward model was trained without' if learned is not None else 'there is no `reward_model`'}. "
            "Leave it out, or give a reward model that reads facts."
        )
    return compose_rewards(recipe.reward, learned=learned)


def _learned(roles: Roles, recipe: PpoRecipe) -> LearnedReward:
    facts = FactsIndex(read_records(recipe.data.facts, Facts)) if recipe.data.facts else None
    vlm = roles.frozen_base()
    shares = _shares_base(vlm, recipe.reward_model)
    model = RewardModel.attach(vlm, recipe.reward_model) if shares else _load_apart(recipe)
    return LearnedReward(
        model, facts, batch_size=recipe.rollout.score_batch_size, features=roles.frozen_features() if shares else None
    )


def _shares_base(vlm: VisionLanguageModel, folder: str) -> bool:
    card = read_card(folder)
    if card.weights == "model":
        return False
    try:
        check_base_weights(vlm, card)
    except ModelError:
        say(f"The reward model stands on another base than the policy; `{card.base}` is loaded for it.")
        return False
    return True


def _load_apart(recipe: PpoRecipe) -> RewardModel:
    settings = recipe.model
    return RewardModel.load(
        Path(recipe.reward_model), dtype=settings.dtype, device=settings.device, quantization=settings.quantization,
        trust_remote_code=settings.trust_remote_code,
    )  # fmt: skip

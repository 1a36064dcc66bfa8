"""The leak check: does a reward model read what it is shown, or judge by the response alone?

The same comparisons are scored again with another image's facts, with no facts, and with another
image. Where the reward's agreement with people does not fall, it did not read: it has learned what
good responses look like, which is what a policy will exploit. (LLaVA-RLHF, arXiv 2309.14525,
section 2.3, gives facts so that it cannot.)
"""

from collections.abc import Sequence
from typing import Literal, get_args

from PIL import Image
from torch import Tensor

from veridical.models.features import FeatureCache
from veridical.rewards.model import RewardModel
from veridical.rewards.queries import RewardQuery
from veridical.seeding import child_random

Condition = Literal["intact", "swapped_facts", "no_facts", "swapped_image", "swapped_both"]
"""As it is · another image's facts · no facts · another image · facts and image of another one."""
CONDITIONS: tuple[Condition, ...] = get_args(Condition)


def score_conditions(
    model: RewardModel,
    queries: Sequence[RewardQuery],
    *,
    seed: int,
    sample: int | None = None,
    batch_size: int = 16,
    features: FeatureCache | None = None,
) -> dict[Condition, dict[int, Tensor]]:
    """Score queries as they are and with facts or image taken away.

    Args:
        model: The reward model; one that reads no facts has no conditions of facts.
        queries: The queries, as they are.
        seed: Root seed of who gets whose image and facts, and of the sample.
        sample: How many queries have facts or image taken away; None: all.
        batch_size: Prompts at a time.
        features: Holds features of images that were seen before.

    Returns:
        For each condition, by number of the query, the rewards of its responses (K).

    Raises:
        ModelError: A reward is not a finite number.
    """
    numbers = list(range(len(queries)))
    if sample is not None and sample < len(queries):
        numbers = sorted(child_random(seed, "leak sample").sample(numbers, sample))
    some = [queries[number] for number in numbers]
    found: dict[Condition, dict[int, Tensor]] = {
        "intact": dict(enumerate(model.score(queries, batch_size=batch_size, features=features)))
    }
    for condition in CONDITIONS[1:] if some else ():
        if condition == "swapped_image" or model.template.reads_facts:
            scored = model.score(
                change_queries(some, condition, seed=seed), batch_size=batch_size, features=features
            )
            found[condition] = dict(zip(numbers, scored, strict=True))
    return found


def change_queries(
    queries: Sequence[RewardQuery], condition: Condition, *, seed: int
) -> list[RewardQuery]:
    """Swap or drop facts or image of queries, for those of a different image where there is one."""
    partners = _partners(queries, seed)
    changed = []
    for query, partner in zip(queries, partners, strict=True):
        facts, image = query.facts, query.image
        if condition in ("swapped_facts", "swapped_both"):
            facts = partner.facts
        if condition in ("swapped_image", "swapped_both"):
            image = partner.image
        changed.append(query._replace(facts=() if condition == "no_facts" else facts, image=image))
    return changed


def _partners(queries: Sequence[RewardQuery], seed: int) -> list[RewardQuery]:
    """For each query the next one in a random order that is about another image."""
    order = list(range(len(queries)))
    child_random(seed, "leak partners").shuffle(order)
    place = {number: where for where, number in enumerate(order)}
    partners = []
    for number, query in enumerate(queries):
        candidates = (
            queries[order[(place[number] + step) % len(order)]] for step in range(1, len(order))
        )
        partners.append(next((other for other in candidates if _fits(other, query)), query))
    return partners


def _fits(other: RewardQuery, query: RewardQuery) -> bool:
    """Whether a query is about other images, as many."""
    return len(other.images) == len(query.images) and _images(other) != _images(query)


def _images(query: RewardQuery) -> list[object]:
    return [id(one) if isinstance(one, Image.Image) else one.path for one in query.images]

"""Facts for comparisons: the model's own captions, or facts made worse on purpose in training.

What may be missing or wrong later should be nothing new to the reward model; held-out comparisons
keep their facts. Captions that a model writes itself are as good as the model: where it invents, so
do they. Only the recipe says where they come from.
"""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from veridical.models.adapters import use_adapter
from veridical.models.features import FeatureCache
from veridical.models.generation import generate_responses
from veridical.models.loading import VisionLanguageModel
from veridical.progress import track
from veridical.records import Facts, ImageRef
from veridical.records.images import open_image
from veridical.seeding import child_random
from veridical.training.reward.config import FactsSection
from veridical.training.reward.data import LabelledPair


def with_own_captions(
    vlm: VisionLanguageModel,
    pairs: Sequence[LabelledPair],
    facts: FactsSection,
    *,
    features: FeatureCache,
) -> list[LabelledPair]:
    """Give comparisons the model's own captions as facts: what is left where nobody wrote any."""
    captions = caption_images(
        vlm,
        {pair.image_id: pair.images[0] for pair in pairs if pair.images},
        question=facts.caption_question,
        max_new_tokens=facts.caption_tokens,
        features=features,
    )
    known = {item.image_id: (item,) for item in captions}
    return [
        pair._replace(query=pair.query._replace(facts=known.get(pair.image_id, ())))
        for pair in pairs
    ]


def disturb_facts(
    pairs: Sequence[LabelledPair], facts: FactsSection, *, seed: int
) -> list[LabelledPair]:
    """Shuffle, drop and swap the facts of training comparisons, each by a stream of its own.

    Args:
        pairs: What is trained on.
        facts: How much of what.
        seed: The root seed.
    """
    disturbed = []
    for pair in pairs:
        rng = child_random(seed, "facts", pair.id)
        known = pair.query.facts
        if rng.random() < facts.swap:
            others = [
                other
                for other in (rng.choice(pairs) for _ in range(20))
                if other.images != pair.images
            ]
            known = others[0].query.facts if others else known
        changed = [_worse(item, facts, rng) for item in known]
        kept = tuple(item for item in changed if item.texts)
        disturbed.append(pair._replace(query=pair.query._replace(facts=kept)))
    return disturbed


def _worse(item: Facts, facts: FactsSection, rng: random.Random) -> Facts:
    texts = [text for text in item.texts if rng.random() >= facts.drop]
    if facts.order == "shuffled":
        rng.shuffle(texts)
    return item.model_copy(update={"texts": tuple(texts)})


_AT_ONCE = 32


def caption_images(
    vlm: VisionLanguageModel,
    images: Mapping[str, ImageRef],
    *,
    question: str,
    max_new_tokens: int = 128,
    features: FeatureCache | None = None,
) -> list[Facts]:
    """Let the bare base, without any adapter, describe images greedily.

    Args:
        vlm: The model.
        images: Images by the name that facts are to use for them; paths absolute.
        question: What it is asked.
        max_new_tokens: Longest caption, in tokens.
        features: Holds features of images that were seen before.

    Returns:
        One caption per image, in the images' order; none for an image with an empty caption.
    """
    names = list(images)
    facts = []
    for start in track(range(0, len(names), _AT_ONCE), label="Writing captions"):
        some = names[start : start + _AT_ONCE]
        opened = [open_image(images[name], root=Path(images[name].path).parent) for name in some]
        with use_adapter(vlm.model, None):
            captions = generate_responses(
                vlm,
                [question] * len(some),
                opened,
                max_new_tokens=max_new_tokens,
                feature_cache=features,
            )
        facts += [
            Facts(image_id=name, kind="caption", texts=(answer.text.strip(),))
            for name, (answer,) in zip(some, captions, strict=True)
            if answer.text.strip()
        ]
    return facts

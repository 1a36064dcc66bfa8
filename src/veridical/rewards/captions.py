"""Facts that a model writes itself: captions of images for which nobody wrote down what is true.

Such facts are as good as the model; where it invents, so do they. Only the recipe says where they
come from, so keep them apart from facts that people wrote.
"""

from collections.abc import Mapping
from pathlib import Path

from veridical.models.adapters import use_adapter
from veridical.models.features import FeatureCache
from veridical.models.generation import generate_responses
from veridical.models.loading import VisionLanguageModel
from veridical.progress import track
from veridical.records import Facts, ImageRef
from veridical.records.images import open_image

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

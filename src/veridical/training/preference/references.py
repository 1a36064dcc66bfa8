"""Token log-probabilities of a frozen reference: computed once, before training, and kept on disk.

DPO compares the policy with the model it started from (arXiv 2305.18290). That model does not
change, so neither does what it says: instead of a second model in memory there is one number a
token. Each pair has a key made of everything the numbers depend on: the reference's weights, the
encoded prompt (which holds template, tokenizer, image and image processing) and the responses'
tokens. A file of scores is named by its pairs' keys, so nothing stale is ever read, and the order
of pairs, their ids, masks and settings of the objective do not matter.
"""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from veridical.errors import StorageError
from veridical.files import atomic_path
from veridical.heap import giving_back
from veridical.models.branches import score_branches
from veridical.models.features import FeatureCache
from veridical.models.hashing import model_hash
from veridical.models.loading import VisionLanguageModel
from veridical.models.prompts.encoding import image_keys
from veridical.models.prompts.on_demand import prompt_hashes
from veridical.progress import track
from veridical.training.preference.batches import PreparedPair, branch_batch

_PAIRS_PER_FILE = 256


def reference_logprobs(
    vlm: VisionLanguageModel,
    pairs: Sequence[PreparedPair],
    folder: Path | str,
    *,
    batch_size: int,
    features: FeatureCache,
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
    autocast_name: str = "",
    fingerprint: str | None = None,
) -> list[Tensor]:
    """Score both responses of each pair with the model as it is now, or read known scores.

    Args:
        vlm: The reference: the model before training.
        pairs: What to score.
        folder: Where scores are kept; written in pieces, so that an interrupted run loses at most
            one.
        batch_size: Pairs scored at once.
        features: Where the images' features come from.
        autocast: Makes the context of mixed precision that the policy will be scored in.
        autocast_name: Its name; part of the key.
        fingerprint: `model_hash` of the reference, where it is known already.

    Returns:
        For each pair token log-probabilities (2 T) in nats, chosen first, 0 after a response's
        end.
    """
    keys = pair_keys(vlm, pairs, autocast_name=autocast_name, fingerprint=fingerprint)
    where = {key: number for number, key in enumerate(keys)}
    ordered = sorted(where)
    chunks = [
        ordered[start : start + _PAIRS_PER_FILE]
        for start in range(0, len(ordered), _PAIRS_PER_FILE)
    ]
    scores: dict[str, Tensor] = {}
    missing: list[list[str]] = []
    for chunk in chunks:
        found = _load(_file_of(Path(folder), chunk), chunk)
        if found is None:
            missing.append(chunk)
        else:
            scores.update(found)
    batches = [
        (chunk, [chunk[start : start + batch_size] for start in range(0, len(chunk), batch_size)])
        for chunk in missing
    ]
    total = sum(len(parts) for _, parts in batches)
    steps = giving_back(track(range(total), label="Scoring with the reference"))
    vlm.model.eval()
    for chunk, parts in batches:
        fresh: dict[str, Tensor] = {}
        for part in parts:
            next(steps)
            fresh.update(
                zip(
                    part,
                    _score(vlm, [pairs[where[key]] for key in part], features, autocast),
                    strict=True,
                )
            )
        _save(_file_of(Path(folder), chunk), fresh)
        scores.update(fresh)
    for _ in steps:
        pass  # lets the progress line end
    return [scores[key] for key in keys]


def pair_keys(
    vlm: VisionLanguageModel,
    pairs: Sequence[PreparedPair],
    *,
    autocast_name: str = "",
    fingerprint: str | None = None,
) -> list[str]:
    """Keys of the pairs' scores under a model: equal where all that they depend on is equal."""
    weights = fingerprint or model_hash(vlm.model)
    known: dict[int, str] = {}
    keys = []
    for pair in pairs:
        if id(pair.prompt) not in known:
            parts = [f"{name}\0{value}" for name, value in prompt_hashes(pair.prompt).items()]
            known[id(pair.prompt)] = "\n".join(parts)
        prompt_hash = known[id(pair.prompt)]
        shown = " ".join(pair.image_keys) or None
        text = f"{weights}\n{autocast_name}\n{shown}\n{prompt_hash}\n{pair.response_ids}"
        keys.append(hashlib.sha256(text.encode()).hexdigest())
    return keys


@torch.no_grad()
def _score(
    vlm: VisionLanguageModel,
    pairs: Sequence[PreparedPair],
    features: FeatureCache,
    autocast: Callable[[], AbstractContextManager[object]],
) -> list[Tensor]:
    batch = branch_batch(pairs, pad_token_id=vlm.tokenizer.pad_token_id)
    with autocast():
        keys = image_keys(pairs)
        image_outputs = None if keys is None else features.load(keys)
        scores = (
            score_branches(vlm.model, batch.to(vlm.device), image_outputs=image_outputs)
            .float()
            .cpu()
        )
    return [
        scores[b, :, : max(map(len, pair.response_ids))].clone() for b, pair in enumerate(pairs)
    ]


def _file_of(folder: Path, keys: Sequence[str]) -> Path:
    return folder / f"{hashlib.sha256(' '.join(keys).encode()).hexdigest()}.safetensors"


def _load(path: Path, keys: Sequence[str]) -> dict[str, Tensor] | None:
    """Read a file of scores; None where it is not there or not whole (then it is made again)."""
    if not path.is_file():
        return None
    try:
        found = load_file(path)
    except (SafetensorError, OSError):
        return None
    return found if set(found) == set(keys) else None


def _save(path: Path, scores: dict[str, Tensor]) -> None:
    with atomic_path(path) as temporary:
        try:
            save_file(scores, temporary)
        except SafetensorError as error:
            raise StorageError(
                f"Cannot write `{path}`: {error}. Free space or choose another folder."
            ) from error

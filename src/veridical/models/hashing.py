"""Content hashes of weights: what a cached feature or log-probability depends on, to the bit.

A cache under such a key is stale exactly when a weight that it depends on has changed.
"""

import hashlib
import re
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from veridical.models.loading import unwrap

_ADAPTER_PART = re.compile(r"(^|\.)(lora_|modules_to_save\.|ia3_|vera_)")


def model_hash(model: nn.Module, *, adapters: bool = True) -> str:
    """Sha256 over names, dtypes, shapes and bytes of all weights.

    Args:
        model: A model, PEFT-wrapped or not, or any part of one.
        adapters: Whether adapter weights count. Without them the hash is that of the bare base
            model: the same with and without an adapter, and the key for anything that the
            *reference* gives.

    Returns:
        64 hex digits. A frozen and a trainable weight of the same value hash alike.
    """
    named: list[tuple[str, Tensor]] = []
    for name, tensor in unwrap(model).state_dict().items():
        if not isinstance(tensor, Tensor):
            continue
        is_adapter = _ADAPTER_PART.search(name) is not None
        if adapters or not is_adapter:
            named.append(
                (name.replace(".base_layer.", ".").replace(".original_module.", "."), tensor)
            )
    return _hash_tensors(named)


def tensor_hash(tensor: Tensor) -> str:
    """Sha256 over dtype, shape and bytes of one tensor."""
    return _hash_tensors([("", tensor)])


def _hash_tensors(named: Iterable[tuple[str, Tensor]]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(named, key=lambda item: item[0]):
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"{name}\0{plain.dtype}\0{tuple(plain.shape)}\0".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().data if plain.numel() else b"")
    return digest.hexdigest()

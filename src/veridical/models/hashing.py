"""Fingerprints of weights: what a cached feature or log-probability depends on, to the bit.

A cache under such a key is stale exactly when a weight that it depends on has changed. Weights are
read where they lie, with integer arithmetic that gives the same on every device, so that billions
of them on a GPU take a fraction of a second; small tensors have a sha256.

How weights are summed up. A tensor's bytes are rows of 8,192 numbers from -128 to 127. A product of
matrices with a fixed table of non-zero numbers gives 16 sums for each row, exactly (multilinear
hashing: Carter and Wegman 1979, J. Comput. Syst. Sci. 18). A row's sums are scrambled together with
the row's number and added up over the rows. One changed byte changes all sums; any other change of
a row goes unnoticed for at most one in 254^16 = 2^127 tables. This guards against accidents, not
against somebody who looks for a collision.
"""

import hashlib
import re
from collections.abc import Iterator
from functools import cache
from random import Random

import torch
from torch import Tensor, nn

from veridical.models.loading import unwrap

_ADAPTER_PART = re.compile(r"(^|\.)(lora_|modules_to_save\.|ia3_|vera_)")
_ROW = 8192
_SUMS = 16
_ROWS_AT_ONCE = {"cpu": 256, "cuda": 2**17}
"""Rows in one product: few on a CPU, so that they stay in its cache."""
_LEAST_ROWS = 32
"""The least that a GPU multiplies."""
_LOW_HALF = 2**32 - 1
_STEP = 0x9E3779B97F4A7C15
_SCRAMBLE = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


def model_hash(model: nn.Module, *, adapters: bool = True) -> str:
    """Fingerprint of names, dtypes, shapes and values of all weights.

    Args:
        model: A model, PEFT-wrapped or not, or any part of one.
        adapters: Whether adapter weights count. Without them the hash is that of the bare base
            model: the same with and without an adapter, and the key for anything that the
            *reference* gives.

    Returns:
        64 hex digits, equal on every device. A frozen and a trainable weight of the same value hash
        alike.
    """
    named: list[tuple[str, Tensor]] = []
    for name, tensor in unwrap(model).state_dict().items():
        if isinstance(tensor, Tensor) and (adapters or _ADAPTER_PART.search(name) is None):
            plain = name.replace(".base_layer.", ".").replace(".original_module.", ".")
            named.append((plain, tensor.detach()))
    named.sort(key=lambda item: item[0])
    # All sums are asked for before the first is waited for.
    sums = [_sums(tensor) for _, tensor in named]
    digest = hashlib.sha256(b"weights 2\0")
    for (name, tensor), found in zip(named, _read(sums), strict=True):
        digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0{found}\0".encode())
    return digest.hexdigest()


def tensor_hash(tensor: Tensor) -> str:
    """Sha256 over dtype, shape and bytes of one tensor."""
    plain = tensor.detach().cpu().contiguous()
    digest = hashlib.sha256(f"{plain.dtype}\0{tuple(plain.shape)}\0".encode())
    digest.update(plain.reshape(-1).view(torch.uint8).numpy().data if plain.numel() else b"")
    return digest.hexdigest()


def _read(sums: list[Tensor]) -> Iterator[list[int]]:
    """Bring all sums to the host, those of one device together."""
    by_device: dict[torch.device, list[Tensor]] = {}
    for some in sums:
        by_device.setdefault(some.device, []).append(some)
    found = {device: iter(torch.stack(those).tolist()) for device, those in by_device.items()}
    for some in sums:
        yield next(found[some.device])


@torch.no_grad()
def _sums(tensor: Tensor) -> Tensor:
    """The sums of a tensor (8: two of 32 bits in each number), on its device or on the CPU."""
    if tensor.device.type not in _ROWS_AT_ONCE:
        tensor = tensor.cpu()
    flat = tensor.contiguous().reshape(-1).view(torch.int8)
    whole = len(flat) // _ROW * _ROW
    parts = [flat[:whole]]
    if whole < len(flat):
        tail = flat.new_zeros(_ROW)
        tail[: len(flat) - whole] = flat[whole:]
        parts.append(tail)
    sums = [
        _products(rows)
        for part in parts
        for rows in torch.split(part.reshape(-1, _ROW), _ROWS_AT_ONCE[tensor.device.type])
    ]
    if not sums:
        return torch.zeros(_SUMS // 2, dtype=torch.int64, device=tensor.device)
    return _scrambled(torch.cat(sums))


def _products(rows: Tensor) -> Tensor:
    """Sums of products for each row (R 16)."""
    size = len(rows)
    if size < _LEAST_ROWS and rows.device.type != "cpu":
        rows = torch.cat([rows, rows.new_zeros(_LEAST_ROWS - size, _ROW)])
    return torch._int_mm(rows, _table(rows.device))[:size]


def _scrambled(sums: Tensor) -> Tensor:
    """The rows' sums (R 16), scrambled with the rows' numbers and added up (8)."""
    pairs = sums.contiguous().view(torch.int64)
    numbers = torch.arange(1, 1 + len(sums), device=sums.device)
    mixed = pairs + (numbers * _signed(_STEP)).unsqueeze(-1)
    for factor in _SCRAMBLE:
        mixed = mixed.bitwise_xor((mixed >> 32) & _LOW_HALF) * _signed(factor)
    return mixed.bitwise_xor((mixed >> 32) & _LOW_HALF).sum(0)


@cache
def _table(device: torch.device) -> Tensor:
    """The fixed numbers (8192 16), from -127 to 127 without 0, laid out by columns."""
    random = Random("weights 2")  # the same on every machine and in every version of Python 3
    numbers = bytes(random.choices([*range(1, 128), *range(129, 256)], k=_ROW * _SUMS))
    table = torch.frombuffer(bytearray(numbers), dtype=torch.int8).reshape(_SUMS, _ROW)
    return table.to(device).T


def _signed(number: int) -> int:
    """A number below 2^64 as the signed one of the same bits."""
    return number - 2**64 if number >= 2**63 else number

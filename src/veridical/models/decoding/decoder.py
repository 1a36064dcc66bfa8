"""Who decodes: captured graphs, a growing cache, or `transformers`' `generate`."""

from collections.abc import Mapping

import torch
from torch import Tensor

from veridical.models.architectures.images import ImageOutputs
from veridical.models.architectures.positions import log_once, no_fast_path_reason
from veridical.models.decoding.choice import TokenChoice
from veridical.models.decoding.fixed import FixedRows
from veridical.models.decoding.fixed_cache import keys_and_values
from veridical.models.decoding.general import decode_generally
from veridical.models.decoding.graphs import relative_difference, tolerance
from veridical.models.decoding.growing_cache import growing_cache
from veridical.models.decoding.loop import GrowingRows, run_loop
from veridical.models.decoding.prompt_pass import PromptPass, next_state, read_prompt
from veridical.models.loading import VisionLanguageModel, unwrap

_KERNELS = 2
"""Other attention kernels round differently: by how much more than the same ones may."""
_EXPERTS = ("num_experts", "num_local_experts", "moe_num_experts", "n_routed_experts")
"""What configs of text models call the number of experts of a layer."""


class Decoder:
    """Decodes batches of one model, whose weights and adapters must stay as they are meanwhile.

    Graphs and their memory are kept from batch to batch, and released with the decoder.

    Args:
        vlm: The model.
        general: Use `transformers`' `generate` even where our own loop would do.
        capture: Decode with captured graphs where the device has them.
    """

    def __init__(
        self, vlm: VisionLanguageModel, *, general: bool = False, capture: bool = True
    ) -> None:
        self._vlm = vlm
        reason = no_fast_path_reason(vlm.model)
        if reason is not None:
            log_once(f"transformers' generate decodes, not the lean loop: {reason}.")
        self._general = general or reason is not None
        slow = None if capture else "they are switched off"
        self._no_graphs = slow or no_graphs_reason(vlm)
        self._fixed: FixedRows | None = None

    @property
    def uses_graphs(self) -> bool:
        """Whether captured graphs decode, as far as is known now."""
        return (
            not self._general
            and self._no_graphs is None
            and (self._fixed is None or self._fixed.captured)
        )

    def decode(
        self,
        prompt: Mapping[str, Tensor],
        image_outputs: ImageOutputs | None,
        choice: TokenChoice,
    ) -> Tensor:
        """Decode a batch: token ids (B·K, longest response or more), end tokens after the first."""
        if self._general:
            return decode_generally(self._vlm, prompt, image_outputs, choice)
        if self._no_graphs is None:
            start = read_prompt(self._vlm, prompt, image_outputs)
            try:
                return run_loop(self._load(start, choice), max_new_tokens=choice.max_new_tokens)
            except (_GraphsDifferError, torch.OutOfMemoryError) as error:
                self._fixed, self._no_graphs = None, str(error).splitlines()[0][:200]
                log_once(f"Decoding runs without CUDA graphs: {self._no_graphs}.")
        return decode_lean(self._vlm, prompt, image_outputs, choice)

    def _load(self, start: PromptPass, choice: TokenChoice) -> FixedRows:
        if self._fixed is not None and self._fixed.fits(start, choice):
            self._fixed.load(start, choice)
            return self._fixed
        self._fixed = None  # its memory is free before the next is made
        self._fixed = fixed_rows(self._vlm, start, choice, capture=True)
        return self._fixed


class _GraphsDifferError(Exception):
    """The fixed cache does not give what the growing one gives."""


def no_graphs_reason(vlm: VisionLanguageModel) -> str | None:
    """Why a model does not decode with captured graphs; None if that can be tried."""
    config = unwrap(vlm.model).config
    text = config.get_text_config()
    attention = getattr(text, "_attn_implementation", None)
    if vlm.device.type != "cuda":
        return f"the device is {vlm.device.type}"
    if attention != "sdpa":
        return f"the attention is {attention}, and only sdpa takes a fixed cache"
    if any(getattr(text, name, None) for name in _EXPERTS):
        return "the language model chooses among experts, which waits for the device"
    if getattr(unwrap(vlm.model), "is_quantized", False):
        return "the weights are quantized"
    return None


def fixed_rows(
    vlm: VisionLanguageModel, start: PromptPass, choice: TokenChoice, *, capture: bool
) -> FixedRows:
    """Load a batch into new rows, after a check of one row's first step against a growing cache.

    Raises:
        _GraphsDifferError: The two give different states.
    """
    row = 0 if start.mask is None else int(start.mask.sum(-1).argmin())
    plain = _one_row(start, row)
    rows = FixedRows(vlm, start, choice, capture=capture)
    rows.load(start, choice)
    if choice.max_new_tokens == 1:
        return rows
    token, found = rows.try_step(row * choice.num_samples)
    mask = None if plain.mask is None else torch.cat([plain.mask, plain.mask.new_ones(1, 1)], -1)
    expected = next_state(vlm, token, plain.place, mask, plain.cache, axes=plain.axes)
    difference = relative_difference(found, expected)
    if difference > _KERNELS * tolerance(expected):
        raise _GraphsDifferError(
            f"a fixed cache's states differ from a growing one's by {difference:.2g}"
        )
    return rows


def _one_row(start: PromptPass, row: int) -> PromptPass:
    """The same prompt pass with one of its rows alone."""
    cache, only = growing_cache(), slice(row, row + 1)
    for number, (keys, values) in enumerate(keys_and_values(start.cache)):
        cache.update(keys[only], values[only], number)
    mask = None if start.mask is None else start.mask[only]
    return PromptPass(cache, start.state[only], start.place[only], mask, start.axes)


def decode_lean(
    vlm: VisionLanguageModel,
    prompt: Mapping[str, Tensor],
    image_outputs: ImageOutputs | None,
    choice: TokenChoice,
) -> Tensor:
    """Decode over a growing key-value cache: token ids (B·K, max_new_tokens).

    Images and prompt go through the model once, for all samples of a prompt. Only for families
    whose row in the table says `branches`.
    """
    rows = GrowingRows(vlm, read_prompt(vlm, prompt, image_outputs), choice)
    return run_loop(rows, max_new_tokens=choice.max_new_tokens)

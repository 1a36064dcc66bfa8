"""Which modules of a model keep their numbers when it is held in 4 bits."""

from typing import Any

import torch
from transformers import AutoModelForImageTextToText


def whole_modules(config: Any) -> list[str]:
    """Names of the modules that keep their numbers when a model is held in 4 bits.

    The vision tower and what follows it see too little in 4 bits, and are small; they would be
    quantised unless named in full.
    """
    loader: Any = AutoModelForImageTextToText
    with torch.device("meta"):
        model = loader.from_config(config)
    decoder = model.get_decoder()
    head = model.get_output_embeddings() or decoder.get_output_embeddings()
    prefix = next(name for name, module in model.named_modules() if module is decoder)
    above = prefix.rpartition(".")[0]
    siblings = model.get_submodule(above).named_children()
    beside = [f"{above}.{name}".lstrip(".") for name, module in siblings if module is not decoder]
    heads = [name for name, module in model.named_modules() if module is head]
    return sorted({*beside, *heads})

"""Which device a model goes to, and whether it can hold weights of 4 bits."""

import torch

from veridical.errors import ModelError


def pick_device(device: str | torch.device) -> torch.device:
    """The device that a setting names; "auto" is the accelerator, where there is one."""
    if device != "auto":
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def check_quantization(name: str, quantization: str, device: str | torch.device) -> None:
    """Refuse 4-bit weights where no device can hold them, before anything is read or loaded.

    Args:
        name: The model, for the message.
        quantization: "none" or "4bit".
        device: The setting.

    Raises:
        ModelError: The device is not CUDA.
    """
    if quantization != "4bit":
        return
    kind = pick_device(device).type
    if kind != "cuda" or not torch.cuda.is_available():
        got = kind if kind != "cuda" else "cuda, which is not available here"
        raise ModelError(
            f"4-bit loading of `{name}` needs a CUDA device, got {got}."
            " Set model.quantization=none, or use a machine with a CUDA device."
        )

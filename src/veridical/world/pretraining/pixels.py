"""Scenes → pixel values as the processor gives them; pictures have the right size already."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from veridical.world.scenes import Scene, render


def pixel_tensor(scenes: Sequence[Scene]) -> Tensor:
    """Render scenes: (B 3 120 120), values in [-1, 1]."""
    pictures = np.stack([np.asarray(render(scene)) for scene in scenes])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)

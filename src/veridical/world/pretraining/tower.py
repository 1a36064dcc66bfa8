"""Stage 1: the vision tower on dense labels of object, colour, number, size and column.

First a cell's four patches together, then each patch on its own as well, so that a language model
can read single image tokens.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import LlavaForConditionalGeneration

from veridical.seeding import child_seed
from veridical.world.base import PATCHES_PER_SIDE
from veridical.world.inventory import COLOURS, NUMBER_WORDS, OBJECTS, SIZES
from veridical.world.scenes import CELLS, Scene, render, sample_scenes

BATCH = 64
_NOUNS = {item.noun: index for index, item in enumerate(OBJECTS)}
DENSE_CLASSES = {
    "object": len(OBJECTS) + 1,
    "colour": len(COLOURS),
    "number": len(NUMBER_WORDS),
    "size": len(SIZES),
    "column": CELLS,
}
"""How many values each label of a cell has; the last object is "none"."""
_PATCHES_PER_CELL = (PATCHES_PER_SIDE // CELLS) ** 2


class TowerBatch(NamedTuple):
    """Scenes as they are drawn, and what stands in their cells."""

    pictures: Tensor
    """(B 120 120 3), bytes"""
    labels: dict[str, Tensor]
    """Labels by name, (B 9); see `cell_labels`."""


def tower_batch(step: int, *, seed: int, start: int = 0) -> TowerBatch:
    """Draw the step's new scenes, as if there had been `start` steps before the first."""
    scenes = list(sample_scenes(seed, "pretrain-tower", BATCH, start=(start + step) * BATCH))
    return TowerBatch(pictures(scenes), cell_labels(scenes))


class DenseHeads(nn.Module):
    """Heads that read a cell's labels from its four patches together, and from each alone."""

    def __init__(self, width: int) -> None:
        super().__init__()
        total = sum(DENSE_CLASSES.values())
        self.cell = nn.Linear(width * _PATCHES_PER_CELL, total)
        self.patch = nn.Linear(width, total)


class TowerTraining(nn.Module):
    """The vision tower with its dense heads."""

    def __init__(self, model: LlavaForConditionalGeneration, *, seed: int) -> None:
        super().__init__()
        self.tower = model.model.vision_tower
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(child_seed(seed, "tower heads"))
            self.heads = DenseHeads(self.tower.config.hidden_size)

    def loss_of_batch(
        self, batch: TowerBatch, *, patch_weight: float
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Loss of a batch of scenes.

        Args:
            batch: The scenes.
            patch_weight: Weight of the patches on their own; the cells weigh 1.
        """
        patches = patch_features(self.tower, pixel_values(batch.pictures))
        cells = by_cell(patches)
        labels = batch.labels
        loss, right = dense_loss(self.heads.cell(cells.flatten(2)), labels)
        figures = {f"cell_{name}": value for name, value in right.items()}
        if patch_weight > 0:
            repeated = {
                name: label.unsqueeze(2).expand(-1, -1, _PATCHES_PER_CELL)
                for name, label in labels.items()
            }
            patch_loss, right = dense_loss(self.heads.patch(cells), repeated)
            loss = loss + patch_weight * patch_loss
            figures |= {f"patch_{name}": value for name, value in right.items()}
        return loss, figures


def patch_features(tower: nn.Module, pixels: Tensor) -> Tensor:
    """Features of the patches, without the class token: (B P D)."""
    hidden: Tensor = tower(pixels, output_hidden_states=True).hidden_states[-1]
    return hidden[:, 1:]


def cell_labels(scenes: list[Scene]) -> dict[str, Tensor]:
    """Labels of each cell, (B 9) for each kind; -100 where there is none (empty cells)."""
    shape = (len(scenes), CELLS * CELLS)
    labels = {name: torch.full(shape, -100) for name in DENSE_CLASSES}
    labels["object"].fill_(len(OBJECTS))
    labels["column"][:] = torch.arange(CELLS * CELLS) % CELLS
    for row, scene in enumerate(scenes):
        for group in scene.groups:
            cell = group.row * CELLS + group.column
            labels["object"][row, cell] = _NOUNS[group.noun]
            labels["colour"][row, cell] = COLOURS.index(group.colour)
            labels["number"][row, cell] = group.number - 1
            labels["size"][row, cell] = SIZES.index(group.size)
    return labels


def by_cell(patches: Tensor) -> Tensor:
    """Put patches (B P D) together by cell: (B 9 4 D)."""
    side = PATCHES_PER_SIDE // CELLS
    width = patches.shape[-1]
    grid = patches.view(len(patches), CELLS, side, CELLS, side, width).transpose(2, 3)
    return grid.reshape(len(patches), CELLS * CELLS, _PATCHES_PER_CELL, width)


def dense_loss(logits: Tensor, labels: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Sum of the labels' cross-entropies, and the share of objects for which each label is right.

    Args:
        logits: All labels' logits side by side, (… Σ `DENSE_CLASSES`).
        labels: Label by name, (…); -100 where there is none.
    """
    loss = logits.new_zeros(())
    right: dict[str, Tensor] = {}
    for part, (name, label) in zip(
        torch.split(logits, list(DENSE_CLASSES.values()), dim=-1), labels.items(), strict=True
    ):
        flat, target = part.flatten(0, -2), label.flatten()
        loss = loss + F.cross_entropy(flat, target)
        # Empty cells are most cells: what counts is how many of the objects are found.
        shown = target >= 0 if name != "object" else (target >= 0) & (target < len(OBJECTS))
        hits = (flat.detach().argmax(-1) == target) & shown
        right[name] = hits.sum() / shown.sum()
    return loss, right


def pictures(scenes: Sequence[Scene]) -> Tensor:
    """Render scenes: (B 120 120 3), bytes."""
    return torch.from_numpy(np.stack([np.asarray(render(scene)) for scene in scenes]))


def pixel_values(pictures: Tensor) -> Tensor:
    """Pictures (B 120 120 3), bytes, as the tower reads them: (B 3 120 120), values in [-1, 1]."""
    return pictures.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def pixel_tensor(scenes: Sequence[Scene]) -> Tensor:
    """Render scenes: (B 3 120 120), values in [-1, 1]."""
    return pixel_values(pictures(scenes))

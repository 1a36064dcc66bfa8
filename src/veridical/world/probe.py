"""What the frozen vision tower's features hold: a linear probe that reads a scene back from them.

It answers what the picture alone could give at best: an exact judge of the scene that the probe
reads errs only where the features do. The language model reads the same features with less than
that.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from veridical.models.loading import VisionLanguageModel
from veridical.world.inventory import COLOURS, CONTEXTS, OBJECTS, SIZES
from veridical.world.pretraining.tower import (
    DENSE_CLASSES,
    by_cell,
    cell_labels,
    dense_loss,
    patch_features,
    pixel_tensor,
)
from veridical.world.scenes import CELLS, Group, Scene

_CONTEXTS = [context.name for context in CONTEXTS]
_SCENES_AT_ONCE = 256


class SceneProbe(NamedTuple):
    """Linear maps from the tower's features to what a scene is made of."""

    vlm: VisionLanguageModel
    """Whose tower."""
    cells: nn.Linear
    """From a cell's patches to its object, colour, number, size and column."""
    context: nn.Linear
    """From the mean of all patches to the context."""

    @torch.no_grad()
    def read(self, scenes: Sequence[Scene]) -> list[Scene]:
        """Read scenes back from their pictures; ids stay, all else comes from the features.

        An object that is seen twice counts once, where it is seen best.
        """
        cells, pooled = _features(self.vlm, scenes)
        parts = torch.split(self.cells(cells), list(DENSE_CLASSES.values()), dim=-1)
        found = dict(zip(DENSE_CLASSES, parts, strict=True))
        contexts = self.context(pooled).argmax(-1).tolist()
        return [
            _scene(
                scene, _CONTEXTS[contexts[row]], {name: part[row] for name, part in found.items()}
            )
            for row, scene in enumerate(scenes)
        ]


def fit_scene_probe(
    vlm: VisionLanguageModel, scenes: Sequence[Scene], *, steps: int = 300
) -> SceneProbe:
    """Fit the probe by full-batch Adam.

    Args:
        vlm: Whose tower is probed.
        scenes: Scenes to fit on; none of them may be read later.
        steps: Steps of Adam.
    """
    cells, pooled = _features(vlm, scenes)
    labels = cell_labels(list(scenes))
    contexts = torch.tensor([_CONTEXTS.index(scene.context) for scene in scenes])
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        probe = SceneProbe(
            vlm,
            nn.Linear(cells.shape[-1], sum(DENSE_CLASSES.values())),
            nn.Linear(pooled.shape[-1], len(_CONTEXTS)),
        )
    optimizer = torch.optim.Adam([*probe.cells.parameters(), *probe.context.parameters()], lr=1e-2)
    for _ in range(steps):
        loss, _ = dense_loss(probe.cells(cells), labels)
        loss = loss + F.cross_entropy(probe.context(pooled), contexts)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return probe


@torch.no_grad()
def _features(vlm: VisionLanguageModel, scenes: Sequence[Scene]) -> tuple[Tensor, Tensor]:
    """Features by cell, (N 9 4·D), and their mean over the picture, (N D)."""
    tower = vlm.model.model.vision_tower
    parts = [
        patch_features(tower, pixel_tensor(list(scenes[start : start + _SCENES_AT_ONCE])))
        for start in range(0, len(scenes), _SCENES_AT_ONCE)
    ]
    patches = torch.cat(parts).float()
    return by_cell(patches).flatten(2), patches.mean(1)


def _scene(scene: Scene, context: str, found: dict[str, Tensor]) -> Scene:
    sure, objects = found["object"].softmax(-1).max(-1)
    groups: dict[str, Group] = {}
    for cell in sure.argsort(descending=True).tolist():
        kind = int(objects[cell])
        if kind == len(OBJECTS) or OBJECTS[kind].noun in groups:
            continue
        colour, number, size = (
            int(found[name][cell].argmax()) for name in ("colour", "number", "size")
        )
        groups[OBJECTS[kind].noun] = Group(
            noun=OBJECTS[kind].noun,
            colour=COLOURS[colour],
            number=number + 1,
            size=SIZES[size],
            row=cell // CELLS,
            column=cell % CELLS,
        )
    # Unchecked: what is read may break a scene's rules (several large ones), and is judged all the
    # same.
    return scene.with_groups(groups.values()).model_copy(update={"context": context})

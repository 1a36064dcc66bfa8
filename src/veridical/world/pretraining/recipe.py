"""How the world's base model is made, and whether a run that was stopped may go on."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from veridical.config import Recipe, load_recipe
from veridical.errors import ConfigError
from veridical.world.pretraining.loop import StageSettings

RECIPE_FILE = "recipe.toml"
_CHANGE_NO_STAGE = {"device", "workers", "noise_share"}
"""Settings that a resumed run may change: its stages stay the same to a rounding."""


class PretrainRecipe(Recipe):
    """How the base model is made. The shipped checkpoint's own settings are in its manifest."""

    seed: int = 0
    """Root seed of scenes, texts and weights."""
    size: Literal["small", "large"] = "small"
    """1.6 million weights, or 18.5 million, which take a GPU."""
    device: str = "auto"
    """Where to train: "auto" (the accelerator where there is one), "cpu", "cuda" …"""
    workers: int | None = Field(default=None, ge=0)
    """Processes that prepare batches. Left out: none on a CPU, up to six beside an accelerator. It
    changes no number."""
    noise_from: Literal["joint", "noise"] = "joint"
    """The stage from which on descriptions carry a machine captioner's noise. "joint": no picture
    is ever described truthfully in an answer that the model learns; true descriptions are only
    among the texts whose words it checks against a picture. "noise": it learns to give true ones
    first, and unlearns that in the last stage."""
    start: str = ""
    """Folder of a base model whose weights, tokenizer and log stand in for the stages before
    `lookup`. Empty: all stages are gone through, as for the shipped checkpoint."""
    tower_steps: int = Field(default=2600, ge=1)
    """Steps of 64 scenes: vision tower, a cell's four patches together."""
    cells_only_steps: int = Field(default=1500, ge=0)
    """After so many of these steps each patch on its own counts too, with weight 1."""
    patch_steps: int = Field(default=2600, ge=1)
    """Steps of 64 scenes: vision tower again, each patch on its own with weight 2."""
    reader_steps: int = Field(default=3000, ge=1)
    """Steps of 64 conversations: language model on text alone."""
    joint_steps: int = Field(default=2000, ge=1)
    """Steps of 64 conversations: language model and projector on images with text."""
    refine_steps: int = Field(default=900, ge=1)
    """Steps of 64 conversations: the same, with a schedule of its own."""
    find_steps: int = Field(default=600, ge=1)
    """Steps of 64 conversations: text alone, the last states asked what the facts say of each
    noun."""
    compare_steps: int = Field(default=300, ge=1)
    """Steps of 64 conversations: the states one layer below asked; most wrong values are stated of
    something else."""
    lookup_steps: int = Field(default=1000, ge=1)
    """Steps of 64 conversations, most of them reading as before, with and without images."""
    noise_steps: int = Field(default=600, ge=1)
    """Steps of 64 conversations: captions with machine noise."""
    pool_scenes: int = Field(default=24_000, ge=64)
    """Scenes whose features the joint stages draw from."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Peak learning rate of all stages but the last."""
    noise_learning_rate: float = Field(default=1e-3, gt=0)
    """Peak learning rate of the last stage."""
    noise_share: float = Field(default=1.0, ge=0, le=2)
    """How much of the last stage's change is made: weights are interpolated between the end of the
    lookup stage (0) and that of the noise stage (1), as in WiSE-FT (arXiv 2109.01903), or
    extrapolated beyond it. With `noise_from = "noise"` the knob of how much the base hallucinates:
    on 200 validation scenes 18 % at 0.5, 28 % at 0.8, 48 % at 1 and 55 % at 1.1 (seed 0)."""

    def settings(self, steps: int, *, learning_rate: float | None = None) -> StageSettings:
        """How a stage of so many steps is trained."""
        return StageSettings(steps=steps, learning_rate=learning_rate or self.learning_rate)


def check_resumable(recipe: PretrainRecipe, out: Path) -> None:
    """Check that the stages in `out`, which are taken as they are found, are of this recipe.

    Raises:
        ConfigError: They were trained with other settings; all that differ are named.
    """
    written = out / RECIPE_FILE
    if not written.is_file() or not any((out / "stages").glob("*.safetensors")):
        return
    before = load_recipe(written, PretrainRecipe)
    changed = [name for name in before.differences(recipe) if name not in _CHANGE_NO_STAGE]
    if changed:
        raise ConfigError(
            f"`{out}` holds stages of a run with another recipe; they differ in"
            f" `{'`, `'.join(changed)}`. Resume with the settings of `{written}`, or give another"
            " folder."
        )

"""`veridical train`: one sub-command for each method."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from veridical.errors import ConfigError, ModelError
from veridical.processes import said_once
from veridical.recipes import find_recipe, shipped_recipes

if TYPE_CHECKING:
    from veridical.training.run.settings import ModelSection, TrainingRecipe

R = TypeVar("R", bound="TrainingRecipe")
app = typer.Typer(no_args_is_help=True, help="Train a model: one sub-command per method.")

RecipeName = Annotated[
    str,
    typer.Argument(
        help="A TOML file, or the name of a shipped recipe.", autocompletion=shipped_recipes
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Settings that override the recipe's."),
]
Out = Annotated[Path | None, typer.Option(help="Run directory; by default runs/RECIPE.")]
Resume = Annotated[bool, typer.Option("--resume", help="Resume an interrupted run.")]
SkipBad = Annotated[
    bool,
    typer.Option(
        "--skip-bad", help="Leave bad rows out, and collect them in a file in the run directory."
    ),
]


@app.callback()
def _methods() -> None:
    """Train a model: one sub-command per method."""


@app.command(epilog=f"Shipped recipes: {', '.join(shipped_recipes('sft'))}.")
def sft(
    recipe: RecipeName,
    settings: Settings = None,
    *,
    out: Out = None,
    resume: Resume = False,
    skip_bad: SkipBad = False,
) -> None:
    """Fine-tune on conversations; the loss is on the answers alone (LLaVA-RLHF's SFT).

    Leaves DIR/adapter (LoRA) or DIR/model (full), recipe.toml, metrics.jsonl and manifest.json.
    """
    from veridical.training.sft.config import SftRecipe

    path, resolved = _resolve(recipe, SftRecipe, settings, prefix="sft", skip_bad=skip_bad)
    from veridical.training.sft.train import train_sft

    train_sft(resolved, out or Path("runs") / path.stem, resume=resume)


@app.command(epilog=f"Shipped recipes: {', '.join(shipped_recipes('reward'))}.")
def reward(
    recipe: RecipeName,
    settings: Settings = None,
    *,
    out: Out = None,
    resume: Resume = False,
    skip_bad: SkipBad = False,
) -> None:
    """Train a reward model on comparisons, with facts or without (LLaVA-RLHF), and report on it.

    Leaves DIR/reward_model, held_out.jsonl, reward_report.json (accuracy, calibration, leak check),
    recipe.toml, metrics.jsonl and manifest.json.
    """
    from veridical.training.reward.config import RewardRecipe

    path, resolved = _resolve(recipe, RewardRecipe, settings, prefix="reward", skip_bad=skip_bad)
    from veridical.training.reward.train import train_reward_model

    train_reward_model(resolved, out or Path("runs") / path.stem, resume=resume)


@app.command(epilog=f"Shipped recipes: {', '.join(shipped_recipes('dpo'))}.")
def dpo(
    recipe: RecipeName,
    settings: Settings = None,
    *,
    out: Out = None,
    resume: Resume = False,
    skip_bad: SkipBad = False,
) -> None:
    """Train on corrections by DPO or dense DPO (RLHF-V).

    Leaves DIR/adapter (LoRA) or DIR/model (full), recipe.toml, metrics.jsonl and manifest.json.
    """
    from veridical.training.preference.config import PreferenceRecipe

    path, resolved = _resolve(recipe, PreferenceRecipe, settings, prefix="dpo", skip_bad=skip_bad)
    from veridical.training.preference.train import train_dpo

    train_dpo(resolved, out or Path("runs") / path.stem, resume=resume)


@app.command(epilog=f"Shipped recipes: {', '.join(shipped_recipes('ppo'))}.")
def ppo(
    recipe: RecipeName,
    settings: Settings = None,
    *,
    out: Out = None,
    resume: Resume = False,
    skip_bad: SkipBad = False,
) -> None:
    """Train a policy by PPO against a reward model, rules or both (LLaVA-RLHF).

    Leaves DIR/adapter (LoRA) or DIR/model (full), DIR/value, recipe.toml, metrics.jsonl,
    curves.jsonl (what held-out prompts show), memory.json (what each role costs) and manifest.json.
    """
    from veridical.training.ppo.config import PpoRecipe

    path, resolved = _resolve(recipe, PpoRecipe, settings, prefix="ppo", skip_bad=skip_bad)
    from veridical.training.ppo.train import train_ppo

    train_ppo(resolved, out or Path("runs") / path.stem, resume=resume)


def _resolve(
    recipe: str, kind: type[R], settings: list[str] | None, *, prefix: str, skip_bad: bool
) -> tuple[Path, R]:
    """Find and read a recipe; what is wrong with it is said once, by the first of the processes."""
    from veridical.config import load_recipe

    overrides = [*(settings or []), *(["data.skip_bad=true"] if skip_bad else [])]
    try:
        path = find_recipe(recipe, prefix=prefix)
        resolved = load_recipe(path, kind, overrides=overrides)
        _check_device(resolved.model)
    except (ConfigError, ModelError) as error:
        raise said_once(error) from error
    return path, resolved


def _check_device(model: "ModelSection") -> None:
    """Say what the machine cannot do before the libraries of training are imported.

    Raises:
        ModelError: 4-bit weights need a CUDA device.
    """
    if model.quantization == "none":
        return
    from veridical.models.devices import check_quantization

    check_quantization(model.base, model.quantization, model.device)

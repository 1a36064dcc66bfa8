"""The judge's options of `veridical score`, made into settings."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from veridical.config import resolve_recipe
from veridical.errors import ConfigError
from veridical.judges.settings import JudgeSettings


def judge_settings(
    given: Mapping[str, str | float | Path | None], pairs: Sequence[str], *, acts: bool = False
) -> JudgeSettings | None:
    """Make the settings of a judge; None where none is named.

    Args:
        given: Values of the options that have a name of their own; None where not given.
        pairs: Further settings, `key=value`.
        acts: Whether something was asked for that needs a judge.

    Raises:
        ConfigError: Settings without a model, or a setting that is wrong.
    """
    named = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in given.items()
        if value is not None
    }
    if "model" not in named and not any(
        pair.partition("=")[0].strip() == "model" for pair in pairs
    ):
        if named or pairs or acts:
            raise ConfigError("The judge's settings need a judge. Name it: --judge-model.")
        return None
    return resolve_recipe(dict(named), JudgeSettings, overrides=pairs, where="the judge's settings")

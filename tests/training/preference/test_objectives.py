"""Objectives are found by name, those of other packages too, and a run trains with any of them."""

import json
import sys

import pytest

from veridical.config import load_recipe, resolve_recipe
from veridical.errors import ConfigError
from veridical.training.preference.config import PreferenceRecipe
from veridical.training.preference.objectives import registry
from veridical.training.preference.train import train_dpo

HINGE = '''
"""A margin of one nat, and no reward for more."""
from typing import ClassVar, Literal
from pydantic import Field
from torch import Tensor
from veridical.objectives.dense import sequence_score
from veridical.training.preference.objectives.protocol import Objective, PairLoss


class Theirs(Objective):
    """Hinge loss on the difference of the log-ratios."""

    title: ClassVar[str] = "hinge"
    name: Literal["hinge"] = "hinge"
    """Hinge loss."""
    width: float = Field(default=1.0, gt=0)
    """Margin at which the loss ends, in nats."""

    def score(self, token_logprobs: Tensor, response_mask: Tensor, changed_mask: Tensor) -> Tensor:
        return sequence_score(
            token_logprobs, response_mask, changed_mask, segment_weight=1.0, normalize="sum"
        )

    def loss(self, policy: Tensor, reference: Tensor) -> PairLoss:
        ratio = policy - reference
        margin = ratio[:, 0] - ratio[:, 1]
        return PairLoss((self.width - margin).clamp(min=0), margin.detach())
'''


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution with an entry point, as pip leaves it."""

    def make(body, *, name="hinge"):
        (tmp_path / "theirs.py").write_text(body)
        info = tmp_path / "theirs-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{name} = theirs:Theirs\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "theirs", raising=False)

    return make


@pytest.mark.parametrize("name", registry.OBJECTIVES)
def test_every_row_is_found_under_its_own_name(name):
    objective = registry.find_objective(name)()
    assert objective.name == name
    assert objective.title


@pytest.mark.parametrize("name", registry.OBJECTIVES)
def test_every_objective_starts_without_preference_and_learns(name, make_recipe, tmp_path):
    recipe = make_recipe(objective={"name": name, "beta": 0.5}, train={"epochs": 4})
    train_dpo(recipe, tmp_path / "run")
    written = load_recipe(tmp_path / "run" / "recipe.toml", PreferenceRecipe)
    assert written.objective == recipe.objective
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    untrained = json.loads(lines[0])  # scored in batches of another shape than the reference
    assert untrained["reward_margin"] == pytest.approx(0.0, abs=1e-5)


def test_another_package_adds_an_objective_with_settings_of_its_own(install, make_recipe, tmp_path):
    install(HINGE)
    data = make_recipe().model_dump(exclude={"objective"})
    recipe = resolve_recipe(data, PreferenceRecipe, overrides=["objective.name=hinge"])
    assert recipe.objective.width == 1.0
    assert registry.objective_names() == [*registry.OBJECTIVES, "hinge"]
    with pytest.raises(ConfigError, match=r"unknown key `objective.widht`. Did you mean `width`"):
        resolve_recipe(data, PreferenceRecipe, overrides=["objective={name='hinge', widht=2.0}"])
    with pytest.raises(ConfigError, match=r'`objective.width`. It goes with `name` = "hinge"'):
        resolve_recipe(data, PreferenceRecipe, overrides=["objective={width=2.0}"])
    result = train_dpo(recipe, tmp_path / "run")
    first = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0]
    assert json.loads(first)["loss"] == pytest.approx(1.0, abs=1e-5)
    assert 'name = "hinge"' in (result.run_dir / "recipe.toml").read_text()


def test_an_entry_point_that_is_not_an_objective_is_reported(install, make_recipe):
    install("Theirs = 3\n")
    with pytest.raises(
        ConfigError, match=r"'hinge' \(theirs:Theirs\) is not a subclass of Objective, got 3"
    ):
        registry.find_objective("hinge")
    with pytest.raises(ConfigError, match=r"is not a subclass of Objective"):
        make_recipe(objective={"name": "hinge", "beta": 1.0})


def test_an_objective_that_cannot_be_imported_is_reported(install):
    install("import no_such_package_at_all\n")
    with pytest.raises(ConfigError, match=r"cannot be loaded: No module named 'no_such"):
        registry.find_objective("hinge")


def test_another_package_does_not_replace_an_objective_of_this_one(install):
    install(HINGE, name="dpo")
    assert registry.find_objective("dpo").title == "DPO"
    assert registry.objective_names().count("dpo") == 1


def test_an_unknown_name_lists_the_objectives():
    with pytest.raises(ConfigError, match=r"no objective 'ddpo'\. Choose one of: dpo, dense_dpo"):
        registry.find_objective("ddpo")

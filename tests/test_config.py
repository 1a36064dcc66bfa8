import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from veridical.config import Recipe, load_recipe, resolve_recipe, to_toml, write_recipe
from veridical.errors import ConfigError


class Train(Recipe):
    learning_rate: float = Field(default=1e-5, gt=0)
    """Step size."""
    stop_after: int | None = 3
    """Epochs without gain."""


class Stage(Recipe):
    steps: int
    """How many."""


class Example(Recipe):
    model: str
    """What to train."""
    engine: str = Field(default="HF", pattern="HF|vLLM")
    """Who generates."""
    train: Train = Train()
    """How."""
    stages: tuple[Stage, ...] = ()
    """In order."""
    folder: Path = Path("runs")
    """Where to."""


def test_overrides_win_and_take_toml_values():
    recipe = resolve_recipe(
        {"model": "a", "train": {"learning_rate": 1}},
        Example,
        overrides=["train.learning_rate=2e-5", "model=llava 1.5", "folder=/x/y"],
    )
    assert recipe.train.learning_rate == 2e-5
    assert recipe.model == "llava 1.5"
    assert recipe.folder == Path("/x/y")


def test_what_is_given_stays_as_it_is():
    data = {"model": "a"}
    resolve_recipe(data, Example, overrides=["train.learning_rate=1"])
    assert data == {"model": "a"}


def test_a_line_break_in_an_override_is_text():
    assert resolve_recipe({}, Example, overrides=['model="a"\nx = 1']).model == '"a"\nx = 1'


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model", "not of the form"),
        ("=3", "not of the form"),
        ("a..b=3", "not of the form"),
        ("model.x=3", "not a table"),
    ],
)
def test_an_override_that_leads_nowhere_is_refused(override, message):
    with pytest.raises(ConfigError, match=message):
        resolve_recipe({"model": "a"}, Example, overrides=[override])


def test_all_faults_of_a_recipe_come_at_once_each_with_its_key():
    data = {
        "train": {"learning_rat": 1, "learning_rate": -1},
        "stages": [{"steps": 1}, {"step": 2, "steps": "many"}],
        "zzz": 1,
        "engine": "TGI",
    }
    with pytest.raises(ConfigError) as caught:
        resolve_recipe(data, Example, where="x.toml")
    assert sorted(str(caught.value).splitlines()) == sorted(
        [
            "`x.toml` has 7 faults:",
            "  `model` is missing. Set it.",
            "  `engine`: string should match pattern 'HF|vLLM', got 'TGI'.",
            "  `train.learning_rate`: input should be greater than 0, got -1.",
            "  unknown key `train.learning_rat`. Did you mean `learning_rate`?",
            "  unknown key `stages.1.step`. Did you mean `steps`?",
            (
                "  `stages.1.steps`: input should be a valid integer, unable to parse string as an"
                " integer, got 'many'."
            ),
            "  unknown key `zzz`. Known keys: engine, folder, model, stages, train.",
        ]
    )


def test_an_abbreviation_of_a_key_is_answered_with_the_key():
    with pytest.raises(
        ConfigError, match=r"unknown key `train\.lr`\. Did you mean `learning_rate`"
    ):
        resolve_recipe({"model": "a"}, Example, overrides=["train.lr=1"])


def test_a_missing_or_broken_file_says_what_to_do(tmp_path):
    with pytest.raises(ConfigError, match=r"There is no recipe `.*no\.toml`"):
        load_recipe(tmp_path / "no.toml", Example)
    (tmp_path / "a.toml").write_text("model = ")
    with pytest.raises(
        ConfigError, match=r"a\.toml` is not valid TOML: Invalid value \(at end of document"
    ):
        load_recipe(tmp_path / "a.toml", Example)
    (tmp_path / "b.toml").write_bytes(b'model = "\xff"')
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_recipe(tmp_path / "b.toml", Example)


def test_the_written_recipe_reads_back_equal(tmp_path):
    recipe = Example(
        model='a "b" \\ \n\x7f ü 🦉', stages=(Stage(steps=1), Stage(steps=2)), folder=tmp_path
    )
    path = write_recipe(recipe, tmp_path / "recipe.toml")
    assert load_recipe(path, Example) == recipe
    assert "learning_rate = 1e-05" in path.read_text(encoding="utf-8")  # defaults are written out


def test_a_recipe_that_toml_cannot_say_is_refused_rather_than_changed(tmp_path):
    with pytest.raises(ConfigError, match="`train` would read back as something else"):
        write_recipe(Example(model="a", train=Train(stop_after=None)), tmp_path / "recipe.toml")


plain = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)


@given(st.dictionaries(st.text(), values, max_size=4))
def test_toml_reads_back_what_was_written(data):
    assert tomllib.loads(to_toml(data)) == data

"""Training from Python on data in memory: it is written into the run directory for a repeat."""

import io
import json

import pytest

from correction_files import ROWS
from miniatures import picture
from training_runs import same_weights
from veridical.config import load_recipe, resolve_recipe
from veridical.errors import ConfigError, DataError
from veridical.records import Correction, ImageRef, read_records
from veridical.training.ppo.train import train_ppo
from veridical.training.preference.config import PreferenceRecipe
from veridical.training.preference.train import train_dpo
from veridical.training.reward.config import RewardRecipe
from veridical.training.reward.train import train_reward_model
from veridical.training.run.in_memory import write_examples
from veridical.training.sft.config import SftRecipe
from veridical.training.sft.train import train_sft

QUESTION = "What is in the picture?"


class Dataset:
    """Rows as a `datasets.Dataset` gives them: dictionaries, images opened."""

    def __init__(self, rows):
        self._rows = rows

    def __len__(self):
        return len(self._rows)

    def __iter__(self):
        return iter(self._rows)


def pairs():
    """Pairs in TRL's fields, with the image under either name and in every form."""
    png = io.BytesIO()
    picture(2).save(png, format="PNG")
    images = [picture(0), picture(1), {"bytes": png.getvalue(), "path": None}]
    rows = []
    for number, (rejected, chosen) in enumerate(ROWS):
        image = images[number % 3]
        held = {"image": image} if number % 2 else {"images": [image]}
        rows.append({"prompt": QUESTION, "chosen": chosen, "rejected": rejected, **held})
    return rows


def chat(text, role="assistant"):
    return [{"role": role, "content": [{"type": "text", "text": text}]}]


@pytest.fixture
def sections(tiny_llava_path):
    """Settings of a small recipe of any method, without data."""
    return {
        "model": {"base": str(tiny_llava_path), "device": "cpu", "lora": {"rank": 4}},
        "train": {"batch_size": 2, "micro_batch_size": 2, "max_steps": 1},
    }


def test_dpo_on_rows_of_a_dataset_leaves_a_run_that_its_recipe_repeats(sections, tmp_path):
    recipe = resolve_recipe({**sections, "data": {"validation_fraction": 0.34}}, PreferenceRecipe)
    result = train_dpo(recipe, tmp_path / "run", data=Dataset(pairs()), judged_by="model")
    corrections = tmp_path / "run" / "data" / "corrections.jsonl"
    records = read_records(corrections, Correction)
    assert [(row.rejected, row.chosen) for row in records] == ROWS
    assert {row.source for row in records} == {"model"}
    assert len({row.image.sha256 for row in records}) == 3
    assert str(corrections) in result.manifest.inputs
    written = load_recipe(tmp_path / "run" / "recipe.toml", PreferenceRecipe)
    assert same_weights(result, train_dpo(written, tmp_path / "again"))
    # The same data goes on with the run; other data does not.
    again = train_dpo(
        recipe, tmp_path / "run", data=Dataset(pairs()), judged_by="model", resume=True
    )
    assert again.manifest == result.manifest
    for resume in (True, False):
        with pytest.raises(ConfigError, match="started with other data"):
            train_dpo(recipe, tmp_path / "run", data=pairs()[1:], judged_by="model", resume=resume)
    assert len(read_records(corrections, Correction)) == len(ROWS)
    assert not list((tmp_path / "run").glob(".data*"))


def test_conversational_rows_and_records_mean_the_same(tmp_path):
    rows = [
        {
            "prompt": chat(QUESTION, "user"),
            "chosen": chat(row["chosen"]),
            "rejected": chat(row["rejected"]),
            "image": picture(0),
        }
        for row in pairs()
    ]
    folder = write_examples(rows, tmp_path / "rows", judged_by="human")
    read = read_records(folder / "corrections.jsonl", Correction)
    assert [(row.question, row.rejected, row.chosen) for row in read] == [
        (QUESTION, *texts) for texts in ROWS
    ]
    picture(0).save(tmp_path / "0.png")
    image = ImageRef(path=str(tmp_path / "0.png"))
    records = [row.model_copy(update={"image": image}) for row in read]
    folder = write_examples(records, tmp_path / "records", judged_by="human")
    assert read_records(folder / "corrections.jsonl", Correction) == records


def test_sft_on_messages_and_on_prompts_with_completions(sections, tmp_path):
    talk = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": "A lamp."}]
    rows = [
        {"messages": talk, "images": [picture(0)]},
        {"prompt": QUESTION, "completion": "A sofa.", "image": picture(1)},
        {"messages": talk},
    ]
    recipe = resolve_recipe({**sections, "data": {"validation_fraction": 0.0}}, SftRecipe)
    result = train_sft(recipe, tmp_path / "run", data=rows, judged_by="model")
    assert result.manifest.notes["conversations"]["conversations"] == 3
    assert result.manifest.notes["conversations"]["without_image"] == 1
    assert result.manifest.notes["sources"] == ["model"]


def test_a_reward_model_that_reads_facts(sections, tmp_path):
    rows = [{**row, "facts": [f"Fact {number % 3}."]} for number, row in enumerate(pairs())]
    recipe = resolve_recipe({**sections, "data": {"validation_fraction": 0.34}}, RewardRecipe)
    result = train_reward_model(recipe, tmp_path / "run", data=rows)
    assert result.manifest.notes["comparisons"]["train"]["without_facts"] == 0
    assert (tmp_path / "run" / "reward_report.json").is_file()


def test_ppo_on_prompts_with_a_function_as_reward(make_ppo_recipe, tmp_path):
    rows = [{"prompt": QUESTION, "image": picture(number)} for number in range(4)]
    recipe = make_ppo_recipe(data={"prompts": ""}, train={"iterations": 1})
    result = train_ppo(
        recipe,
        tmp_path / "run",
        data=rows,
        reward=lambda candidates: [-float(candidate.tokens) for candidate in candidates],
    )
    assert result.manifest.notes["prompts"]["train"] == 4
    assert result.manifest.notes["reward"] == "reward"


def test_what_is_wrong_with_rows_is_reported_all_at_once(sections, tmp_path):
    rows = pairs()
    rows[1] = {**rows[1], "chosen": rows[1]["rejected"]}
    del rows[3]["image"]
    with pytest.raises(DataError) as caught:
        write_examples(rows, tmp_path, judged_by="human")
    assert [fault.line for fault in caught.value.faults] == [2, 4]
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ({"train": [], "test": []}, "one split, got several \\('train', 'test'\\)"),
        ([], "is empty"),
        ([{"prompt": QUESTION, "image": picture(0)}, 7], "Item 2 of the data must be a dictionary"),
    ],
)
def test_data_that_is_not_rows(examples, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        write_examples(examples, tmp_path, judged_by="human")


def test_data_of_another_method_is_named(sections, tmp_path):
    recipe = resolve_recipe(sections, PreferenceRecipe)
    rows = [{"prompt": QUESTION, "image": picture(0)}]
    with pytest.raises(ConfigError, match=r"makes prompts.jsonl, where corrections.jsonl"):
        train_dpo(recipe, tmp_path / "run", data=rows)


def test_a_recipe_without_data_says_what_is_missing(sections, tmp_path):
    recipe = resolve_recipe(sections, PreferenceRecipe)
    with pytest.raises(ConfigError, match=r"`data.corrections` is missing. Set it, or"):
        train_dpo(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_datasets_are_taken_without_being_imported():
    """The package is not needed: a `Dataset` is an iterable of dictionaries."""
    import veridical.training.run.in_memory as module

    assert "datasets" not in json.dumps(sorted(vars(module)))

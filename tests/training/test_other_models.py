"""Shipped recipes of other models than LLaVA, on miniatures of their architectures.

What they learn from mixes one picture, two at their places with an earlier turn and a system
message, and none.
"""

from functools import cache

import pytest
import torch

import model_zoo
from conversation_files import write_conversations
from correction_files import write_corrections
from miniatures import picture
from shipped_recipes import FOLDER, check_head, with_settings
from veridical.config import load_recipe
from veridical.models.architectures.parts import language_model
from veridical.models.loading import load_model
from veridical.models.lora import LoraRecipe, add_lora, save_lora
from veridical.models.prompts.encoding import encode_prompts
from veridical.models.prompts.settings import ProcessorRecipe, apply_image_settings, read_settings
from veridical.records import (
    NO_IMAGE,
    Conversation,
    Correction,
    ImageRef,
    Turn,
    read_records,
    write_records,
)
from veridical.training.ppo.config import PpoRecipe
from veridical.training.preference.config import PreferenceRecipe
from veridical.training.preference.train import train_dpo
from veridical.training.reward.config import RewardRecipe
from veridical.training.run.trained_model import load_for_training, make_trainable
from veridical.training.sft.config import SftRecipe
from veridical.training.sft.train import train_sft

MODELS = {
    "qwen2.5-vl-7b": "qwen2_5_vl",
    "qwen3-vl-4b": "qwen3_vl",
    "smolvlm2-2.2b": "smolvlm",
    "gemma-3-4b": "gemma3",
}
KINDS = {"dpo": PreferenceRecipe, "sft": SftRecipe, "reward": RewardRecipe, "ppo": PpoRecipe}
RECIPES = [
    FOLDER / f"{method}-{model}-{size}.toml"
    for method in KINDS
    for model in MODELS
    for size in ("24gb", "80gb")
]


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    return cache(lambda name: model_zoo.build(name, tmp_path_factory.mktemp("zoo") / "model"))


def family_of(path):
    return next(family for model, family in MODELS.items() if f"-{model}-" in path.stem)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_each_setting_is_one_that_its_architecture_has(path, folder_of):
    method = path.stem.partition("-")[0]
    check_head(path, method)
    kind = KINDS[method]
    shipped = load_recipe(path, kind)
    vlm = load_model(folder_of(family_of(path)), device="cpu")
    settings = shipped.model.processor or ProcessorRecipe()
    apply_image_settings(vlm.name, vlm.processor, settings.images)
    for name, value in settings.images.items():
        assert getattr(vlm.processor.image_processor, name) == value or name == "size"
    mine = {"model.base": vlm.name, "model.processor.images": "{}"}
    recipe = with_settings(path, kind, mine)
    adapted = make_trainable(
        load_for_training(recipe.model),
        recipe.model,
        gradient_checkpointing=recipe.train.gradient_checkpointing,
    )
    inside = {id(parameter) for parameter in language_model(adapted.model).parameters()}
    trained = [one for one in adapted.model.parameters() if one.requires_grad]
    assert trained
    assert all(id(one) in inside for one in trained)
    assert (recipe.model.tuning, recipe.model.lora.rank) == ("lora", 64)


def write_mixed(folder):
    """Corrections about one picture, about two after an earlier turn, and about none."""
    path = write_corrections(folder, count=8)
    rows = read_records(path, Correction)
    talked = {
        "question": "And here? <image>",
        "history": (("<image> What is it?", "A kitchen."),),
        "system": "Be brief.",
    }
    rows[1] = rows[1].model_copy(update={**talked, "more_images": (rows[7].image,)})
    rows[2] = rows[2].model_copy(update={"image": NO_IMAGE})
    return write_records(path, rows, kind="Correction")


@pytest.mark.parametrize("model", MODELS)
def test_dpo_learns_from_prompts_of_several_pictures_turns_and_none(model, folder_of, tmp_path):
    path = FOLDER / f"dpo-{model}-24gb.toml"
    mine = {
        "model.base": folder_of(MODELS[model]),
        "model.processor.images": "{}",
        "data.corrections": write_mixed(tmp_path),
        "data.validation_fraction": 0.3,
        "train.max_steps": 1,
    }
    result = train_dpo(with_settings(path, PreferenceRecipe, mine), tmp_path / "run")
    assert result.manifest.notes["pairs"]["left_out"] == 0
    assert read_settings(str(result.weights)) == ProcessorRecipe()


def test_sft_learns_each_answer_once_where_a_later_turn_shows_a_picture(folder_of, tmp_path):
    picture(5).save(tmp_path / "5.png")
    said = ("What? <image>", "A cat.", "Sure?", "Yes.", "And <image>?", "A red car.")
    talk = Conversation(
        id="talk",
        image=ImageRef(path="5.png"),
        more_images=(ImageRef(path="5.png"),),
        turns=tuple(
            Turn(role=("user", "assistant")[number % 2], text=text)
            for number, text in enumerate(said)
        ),
        source="human",
        system="Be brief.",
    )
    path = write_conversations(tmp_path, count=3, rows=[talk])
    shipped = FOLDER / "sft-qwen2.5-vl-7b-24gb.toml"
    mine = {
        "model.base": folder_of("qwen2_5_vl"),
        "model.processor.images": "{max_pixels = 512}",
        "model.processor.system": "Say what you see.",
        "data.conversations": path,
        "data.validation_fraction": 0,
        "train.max_steps": 1,
    }
    result = train_sft(with_settings(shipped, SftRecipe, mine), tmp_path / "run")
    notes = result.manifest.notes["conversations"]
    assert notes["truncated"] == 0
    saved = read_settings(str(result.weights))
    assert saved == ProcessorRecipe(system="Say what you see.", images={"max_pixels": 512})


def test_what_the_processor_was_given_is_kept_with_the_adapter_and_a_change_is_reported(
    folder_of, tmp_path, monkeypatch
):
    base = folder_of("qwen3_vl")
    given = ProcessorRecipe(
        system="Be brief.", template={"enable_thinking": False}, images={"max_pixels": 512}
    )
    vlm = load_model(base, device="cpu", settings=given)
    save_lora(add_lora(vlm, LoraRecipe(rank=2)), tmp_path / "adapter")
    again = load_model(base, adapter=tmp_path / "adapter", device="cpu")
    assert again.settings == given
    large = picture(0, size=(64, 64))
    ours, theirs, plain = (
        encode_prompts(one, ["What?"], [large])["input_ids"]
        for one in (vlm, again, load_model(base, device="cpu"))
    )
    assert torch.equal(ours, theirs)
    assert ours.shape != plain.shape
    said = []
    monkeypatch.setattr("veridical.models.prompts.settings.log", said.append)
    load_model(base, adapter=tmp_path / "adapter", device="cpu", settings=ProcessorRecipe())
    assert "was given system = 'Be brief.', template.enable_thinking = False" in said[0]
    assert "is now given nothing" in said[0]


def test_options_reach_the_chat_template(folder_of):
    vlm = load_model(
        folder_of("qwen3_vl"),
        device="cpu",
        settings=ProcessorRecipe(template={"enable_thinking": False}),
    )
    thinking = "{% if enable_thinking is false %}<think></think>{% endif %}"
    end = "{% if add_generation_prompt %}<|assistant|>{% endif %}"
    vlm.processor.chat_template = vlm.processor.chat_template.replace(
        end, f"{{% if add_generation_prompt %}}<|assistant|>{thinking}{{% endif %}}"
    )
    text = vlm.tokenizer.decode(encode_prompts(vlm, ["What?"], [None])["input_ids"][0])
    assert text.endswith("<|assistant|><think></think>")

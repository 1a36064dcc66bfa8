import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForImageTextToText, DeepseekOcr2Config

from miniatures import picture
from veridical.errors import ModelError
from veridical.models.adapters import load_adapter, use_adapter
from veridical.models.architectures.parts import language_model, projector_parameters, vision_tower
from veridical.models.branches import BranchBatch, score_branches, stack_responses
from veridical.models.loading import VisionLanguageModel
from veridical.models.lora import (
    LoraRecipe,
    adapter_disabled,
    add_lora,
    freeze,
    save_lora,
    set_trainable_adapters,
)
from veridical.models.prompts.encoding import encode_prompts
from veridical.models.prompts.responses import encode_responses


def batch_of(vlm):
    prompt = encode_prompts(vlm, ["What is in the picture?"], [picture(0)])
    return BranchBatch(
        prompt,
        *stack_responses([[r.ids for r in encode_responses(vlm, ["A red car.", "Two dogs."])]]),
    )


@torch.no_grad()
def shake(model):
    """Turn the adapter, which starts as the identity, into something."""
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)


def test_the_adapter_is_on_every_linear_layer_of_the_language_model_and_nowhere_else(own_llava):
    decoder = {
        name
        for name, m in language_model(own_llava.model).named_modules()
        if isinstance(m, torch.nn.Linear)
    }
    worn = add_lora(own_llava)
    adapted = {name for name, _ in worn.model.named_parameters() if "lora_A" in name}
    assert len(adapted) == len(decoder) == 3 * 7
    assert all(".language_model.layers." in name for name in adapted)
    assert {n for n, p in worn.model.named_parameters() if p.requires_grad} == {
        n for n, _ in worn.model.named_parameters() if "lora_" in n
    }


def test_a_layer_in_a_list_is_told_from_a_decoder_layer_of_the_same_number(own_llava):
    """Gemma 3n keeps linear layers in a list, as 0, 1, …; its decoder's layers are 0, 1, … too."""
    inside = language_model(own_llava.model)
    inside.extra = torch.nn.ModuleList([torch.nn.Linear(4, 4)])
    adapted = {n for n, p in add_lora(own_llava).model.named_parameters() if p.requires_grad}
    assert sum(".extra.0.lora_A" in name for name in adapted) == 1
    assert sum("lora_A" in name for name in adapted) == 3 * 7 + 1


def test_settings_are_heeded(own_llava):
    worn = add_lora(
        own_llava, LoraRecipe(rank=3, alpha=6, dropout=0.25, target_modules=("q_proj", "v_proj"))
    )
    config = worn.model.peft_config["default"]
    assert (config.r, config.lora_alpha, config.lora_dropout) == (3, 6, 0.25)
    assert {
        name.split(".")[-4] for name, _ in worn.model.named_parameters() if "lora_A" in name
    } == {
        "q_proj",
        "v_proj",
    }


def test_an_unknown_layer_is_named(own_llava):
    with pytest.raises(ModelError, match="no layer named w_proj"):
        add_lora(own_llava, LoraRecipe(target_modules=("w_proj",)))


def test_a_second_adapter_is_refused(own_llava):
    with pytest.raises(ModelError, match="already has an adapter"):
        add_lora(add_lora(own_llava, LoraRecipe(rank=2)))


@torch.no_grad()
def test_a_fresh_adapter_is_the_identity_and_disabled_the_reference(own_llava):
    batch = batch_of(own_llava)
    base = score_branches(own_llava.model, batch)
    worn = add_lora(own_llava, LoraRecipe(rank=2))
    assert torch.equal(score_branches(worn.model, batch), base)
    shake(worn.model)
    assert not torch.allclose(score_branches(worn.model, batch), base, atol=1e-2)
    with adapter_disabled(worn.model):
        assert torch.equal(score_branches(worn.model, batch), base)
    assert not torch.allclose(score_branches(worn.model, batch), base, atol=1e-2)


def test_disabling_leaves_gradients_as_they_were(own_llava):
    worn = add_lora(own_llava, LoraRecipe(rank=2))
    before = [p.requires_grad for p in worn.model.parameters()]
    with adapter_disabled(worn.model):
        pass
    assert [p.requires_grad for p in worn.model.parameters()] == before


def test_a_model_without_adapter_has_no_reference_inside(own_llava, tmp_path):
    with (
        pytest.raises(ModelError, match="its base is not a reference"),
        adapter_disabled(own_llava.model),
    ):
        pass
    with pytest.raises(ModelError, match="no adapter None to save"):
        save_lora(own_llava, tmp_path)


@torch.no_grad()
def test_plain_peft_and_transformers_load_what_was_saved(own_llava, tiny_llava_path, tmp_path):
    worn = add_lora(own_llava, LoraRecipe(rank=2))
    shake(worn.model)
    batch = batch_of(worn)
    folder = save_lora(worn, tmp_path / "adapter")
    assert (folder / "adapter_model.safetensors").is_file()
    plain = PeftModel.from_pretrained(
        AutoModelForImageTextToText.from_pretrained(tiny_llava_path), folder
    ).eval()
    torch.testing.assert_close(score_branches(plain, batch), score_branches(worn.model, batch))


def test_freezing_names_its_parts(vlm, tiny_llava_path, tiny_qwen2_5_vl_path):
    from veridical.models.loading import load_model

    path = tiny_llava_path if vlm.model.config.model_type == "llava" else tiny_qwen2_5_vl_path
    model = load_model(path, device="cpu").model
    whole = sum(p.numel() for p in model.parameters())
    projecting = projector_parameters(model)
    tower = [p for p in vision_tower(model).parameters() if id(p) not in projecting]
    assert freeze(model, vision=True) == whole - sum(p.numel() for p in tower)
    assert not any(p.requires_grad for p in tower)
    left = freeze(model, vision=True, language=True)
    assert not any(p.requires_grad for p in language_model(model).parameters())
    # LLaVA's projector stands between the two, Qwen's merger lies inside the tower.
    part = getattr(model.model, "multi_modal_projector", None) or model.model.visual.merger
    assert left == sum(p.numel() for p in part.parameters()) > 0
    assert freeze(model, projector=True) == 0


def names_of(vlm, part):
    return {name for name, _ in vlm.model.named_parameters() if f".{part}." in name}


def trainable(vlm):
    return {name for name, p in vlm.model.named_parameters() if p.requires_grad}


def test_several_adapters_share_a_base_and_one_works_at_a_time(own_llava, tmp_path):
    batch = batch_of(own_llava)
    with torch.no_grad():
        plain = score_branches(own_llava.model, batch)
    worn = add_lora(own_llava, LoraRecipe(rank=2), name="policy")
    shake(worn.model)
    save_lora(worn, tmp_path / "policy", name="policy")
    worn = add_lora(worn, LoraRecipe(rank=3), name="value")
    worn = load_adapter(worn, tmp_path / "policy", name="reference")
    assert {worn.model.peft_config[name].r for name in ("policy", "value", "reference")} == {2, 3}
    assert len(names_of(worn, "value")) == len(names_of(worn, "policy")) == 2 * 3 * 7
    assert trainable(worn) == names_of(worn, "policy")
    set_trainable_adapters(worn.model, {"value"})
    both = names_of(worn, "policy") | names_of(worn, "value")
    assert trainable(worn) == both

    def score(name):
        with torch.no_grad(), use_adapter(worn.model, name):
            assert trainable(worn) == both
            return score_branches(worn.model, batch)

    assert torch.equal(score(None), plain)
    assert torch.equal(score("value"), plain)
    assert not torch.allclose(score("policy"), plain, atol=1e-3)
    assert torch.equal(score("reference"), score("policy"))
    assert worn.model.active_adapter == "policy"
    assert trainable(worn) == both


def test_gradients_reach_the_working_adapter_alone(own_llava):
    worn = add_lora(
        add_lora(own_llava, LoraRecipe(rank=2), name="policy"), LoraRecipe(rank=2), name="value"
    )
    shake(worn.model)
    set_trainable_adapters(worn.model, {"value"})
    with use_adapter(worn.model, "value"):
        score_branches(worn.model, batch_of(worn)).sum().backward()
    touched = {name for name, p in worn.model.named_parameters() if p.grad is not None}
    assert touched == names_of(worn, "value")


def test_a_named_adapter_is_saved_as_peft_reads_it(own_llava, tiny_llava_path, tmp_path):
    batch = batch_of(own_llava)
    worn = add_lora(
        add_lora(own_llava, LoraRecipe(rank=2), name="policy"), LoraRecipe(rank=2), name="value"
    )
    shake(worn.model)
    save_lora(worn, tmp_path / "saved", name="value")
    assert {path.name for path in (tmp_path / "saved").glob("adapter*")} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    assert not [path for path in (tmp_path / "saved").iterdir() if path.is_dir()]
    again = PeftModel.from_pretrained(
        AutoModelForImageTextToText.from_pretrained(tiny_llava_path), tmp_path / "saved"
    )
    with torch.no_grad(), use_adapter(worn.model, "value"):
        torch.testing.assert_close(score_branches(again, batch), score_branches(worn.model, batch))


def test_an_adapter_that_is_not_there_cannot_be_saved(own_llava, tmp_path):
    with pytest.raises(ModelError, match="to save"):
        save_lora(own_llava, tmp_path)
    worn = add_lora(own_llava, LoraRecipe(rank=2), name="policy")
    with pytest.raises(ModelError, match="to save"):
        save_lora(worn, tmp_path, name="value")


def test_an_adapter_that_peft_would_not_read_back_is_refused_before_it_learns():
    """Its layers are renamed in reading, as if they were those of the original checkpoint."""
    size = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "vocab_size": 32,
    }
    sam = {
        "hidden_size": 16,
        "output_channels": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 4,
        "global_attn_indexes": [],
        "downsample_channels": [8, 16],
    }
    config = DeepseekOcr2Config(
        text_config={**size, "mlp_layer_types": ["dense"], "pad_token_id": 0},
        vision_config={"sam_config": sam, "encoder_config": {**size, "num_key_value_heads": 2}},
        image_token_id=5,
    )
    model = AutoModelForImageTextToText.from_config(config)
    vlm = VisionLanguageModel(model, None, "ocr")
    with pytest.raises(ModelError, match=r"14 of 14 weights, such as .*model.tuning = \"full\""):
        add_lora(vlm)
    assert not any("lora_" in name for name, _ in model.named_parameters())

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, LlamaConfig, LlamaForCausalLM

from veridical.errors import ModelError
from veridical.models.adapters import load_adapter
from veridical.models.architectures.whole_modules import whole_modules
from veridical.models.loading import load_model, unwrap
from veridical.models.lora import LoraRecipe, add_lora, save_lora


@pytest.fixture
def copy(tiny_llava_path, tmp_path):
    """A copy of the miniature's folder, to break."""
    return shutil.copytree(tiny_llava_path, tmp_path / "model")


def test_a_loaded_model_knows_what_the_rest_needs(llava):
    assert llava.tokenizer is llava.processor.tokenizer
    assert llava.device == torch.device("cpu")
    assert llava.dtype == torch.float32
    assert llava.placeholder_token_ids == (llava.tokenizer.convert_tokens_to_ids("<image>"),)
    assert llava.end_token_ids == (llava.tokenizer.eos_token_id,)
    assert llava.tokenizer.padding_side == "left"
    assert not llava.model.training


def test_image_and_video_placeholders_are_both_known(qwen):
    ids = qwen.tokenizer.convert_tokens_to_ids(["<|image_pad|>", "<|video_pad|>"])
    assert qwen.placeholder_token_ids == tuple(sorted(ids))


def test_half_precision_is_computed_in_float32_on_a_cpu(tiny_llava_path, tmp_path, own_llava):
    own_llava.model.to(torch.float16).save_pretrained(tmp_path / "half")
    for file in tiny_llava_path.iterdir():
        if not (tmp_path / "half" / file.name).exists():
            shutil.copy(file, tmp_path / "half")
    assert load_model(tmp_path / "half", device="cpu").dtype == torch.float32
    assert load_model(tmp_path / "half", device="cpu", dtype="bfloat16").dtype == torch.bfloat16


def test_a_language_model_is_refused(tmp_path):
    config = LlamaConfig(
        vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="`llama`, which is not a model for images and text"):
        load_model(tmp_path)


def test_a_folder_without_config_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"config\.json"):
        load_model(tmp_path)


def test_missing_weights_are_said(copy):
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="Cannot load the weights"):
        load_model(copy)


def test_pickled_weights_are_not_read(copy, llava):
    (copy / "model.safetensors").unlink()
    torch.save(llava.model.state_dict(), copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match="only safetensors"):
        load_model(copy)


def test_truncated_weights_are_said(copy):
    file = copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ModelError, match="Cannot load the weights"):
        load_model(copy)


def test_a_checkpoint_that_lacks_weights_is_refused(copy):
    """transformers would fill the gap with random numbers and go on."""
    weights = load_file(copy / "model.safetensors")
    weights.pop(next(name for name in weights if "layers.1.self_attn.q_proj" in name))
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="lacks 1 weights"):
        load_model(copy)


def test_a_package_that_a_tower_needs_is_named(copy, monkeypatch):
    def without_timm(*_arguments, **_options):
        raise ImportError("\nTimmWrapperModel requires the timm library but it was not found.")

    monkeypatch.setattr(AutoModelForImageTextToText, "from_pretrained", without_timm)
    monkeypatch.setattr("veridical.models.processors.find_spec", lambda _name: None)
    with pytest.raises(ModelError, match=r"not installed: timm\. pip install timm\."):
        load_model(copy)


def test_a_missing_chat_template_is_said(copy):
    (copy / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="no chat template"):
        load_model(copy)


def test_a_missing_tokenizer_is_said(copy):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (copy / name).unlink()
    with pytest.raises(ModelError, match=r"processor|tokenizer"):
        load_model(copy)


def test_a_broken_config_is_said(copy):
    (copy / "config.json").write_text("{")
    with pytest.raises(ModelError, match="Cannot read the config"):
        load_model(copy)


def test_an_unknown_dtype_is_said(tiny_llava_path):
    with pytest.raises(ModelError, match="is not a dtype"):
        load_model(tiny_llava_path, dtype="float31")


def test_four_bits_need_a_cuda_device(tiny_llava_path):
    with pytest.raises(ModelError, match="needs a CUDA device"):
        load_model(tiny_llava_path, device="cpu", quantization="4bit")


def test_an_adapter_is_put_on_top(own_llava, tiny_llava_path, tmp_path):
    worn = add_lora(own_llava, LoraRecipe(rank=2))
    save_lora(worn, tmp_path / "adapter")
    loaded = load_model(tiny_llava_path, device="cpu", adapter=tmp_path / "adapter")
    assert type(unwrap(loaded.model)).__name__ == "LlavaForConditionalGeneration"
    assert not any(
        p.requires_grad for name, p in loaded.model.named_parameters() if "lora_" in name
    )
    trained = load_model(
        tiny_llava_path, device="cpu", adapter=tmp_path / "adapter", adapter_trainable=True
    )
    assert all(p.requires_grad for name, p in trained.model.named_parameters() if "lora_" in name)


def test_an_adapter_that_lacks_weights_is_refused(own_llava, tiny_llava_path, tmp_path):
    adapted = add_lora(own_llava, LoraRecipe(rank=2))
    save_lora(adapted, tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    weights = load_file(file)
    weights.pop(sorted(weights)[0])
    save_file(weights, file)
    with pytest.raises(ModelError, match="missing adapter keys"):
        load_model(tiny_llava_path, adapter=tmp_path, device="cpu")
    with pytest.raises(ModelError, match="its file lacks"):
        load_adapter(adapted, tmp_path, name="again")


def test_a_folder_that_is_not_an_adapter_is_reported(tiny_llava_path, tmp_path):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    with pytest.raises(ModelError, match="Cannot put the adapter"):
        load_model(tiny_llava_path, device="cpu", adapter=tmp_path)


def test_in_four_bits_all_but_the_decoder_keeps_its_numbers(llava, qwen):
    """Named in full: a part of a name would leave the vision tower in 4 bits."""
    assert whole_modules(llava.model.config) == [
        "lm_head",
        "model.multi_modal_projector",
        "model.vision_tower",
    ]
    assert whole_modules(qwen.model.config) == ["lm_head", "model.visual"]

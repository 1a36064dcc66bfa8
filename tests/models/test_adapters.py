"""Several adapters on one base: a switch changes what a forward goes through and nothing else."""

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from miniatures import picture
from veridical.errors import ModelError
from veridical.models.adapters import (
    adapter_names,
    leave_casts_to_autocast,
    load_adapter,
    use_adapter,
)
from veridical.models.loading import load_model
from veridical.models.lora import LoraRecipe, add_lora, save_lora
from veridical.models.prompts.encoding import encode_prompts


def shaken(vlm, seed):
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in vlm.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    return vlm


@pytest.fixture
def base(tiny_llava_path):
    return load_model(tiny_llava_path, device="cpu")


@pytest.fixture(scope="module")
def saved(tiny_llava_path, tmp_path_factory):
    """Two adapters on disk, both of which change what the model says."""
    folder = tmp_path_factory.mktemp("adapters")
    for seed in (1, 2):
        vlm = shaken(add_lora(load_model(tiny_llava_path, device="cpu"), LoraRecipe(rank=2)), seed)
        save_lora(vlm, folder / str(seed))
    return folder


@torch.no_grad()
def logits(vlm):
    return vlm.model(**encode_prompts(vlm, ["What is it?"], [picture(0)])).logits[0, -1]


def flags(vlm):
    return {name: p.requires_grad for name, p in vlm.model.named_parameters()}


def test_a_bare_base_stays_what_it_was_until_the_adapter_is_worn(base, saved):
    for parameter in base.model.parameters():
        parameter.requires_grad_(requires_grad=False)
    before = logits(base)
    both = load_adapter(load_adapter(base, saved / "1", name="policy"), saved / "2", name="reward")
    assert adapter_names(both.model) == ("policy", "reward")
    assert torch.equal(logits(both), before)
    assert torch.equal(logits(base), before)
    assert not any(flags(both).values())
    said = {}
    for name in ("policy", "reward"):
        with use_adapter(both.model, name):
            said[name] = logits(both)
    assert not torch.allclose(said["policy"], before)
    assert not torch.allclose(said["policy"], said["reward"])
    assert torch.equal(logits(both), before)


def test_each_gives_what_it_gives_alone(base, saved, tiny_llava_path):
    both = load_adapter(load_adapter(base, saved / "1", name="policy"), saved / "2", name="reward")
    for name, folder in (("policy", "1"), ("reward", "2")):
        alone = load_model(tiny_llava_path, device="cpu", adapter=saved / folder)
        with use_adapter(both.model, name):
            assert torch.equal(logits(both), logits(alone)), name


def test_a_worn_and_learning_adapter_stays_so(base, saved):
    policy = shaken(add_lora(base, LoraRecipe(rank=2)), 3)
    learning, said = flags(policy), logits(policy)
    both = load_adapter(policy, saved / "1", name="reward")
    assert both.model is policy.model
    assert {name: flag for name, flag in flags(both).items() if ".reward." not in name} == learning
    assert not any(flag for name, flag in flags(both).items() if ".reward." in name)
    with pytest.raises(ZeroDivisionError), use_adapter(both.model, "reward"):  # noqa: PT012 (what is left behind counts)
        assert {
            name: flag for name, flag in flags(both).items() if ".reward." not in name
        } == learning
        assert not torch.allclose(logits(both), said)
        with use_adapter(both.model, None):
            assert not torch.allclose(logits(both), said)
        raise ZeroDivisionError
    assert torch.equal(logits(both), said)
    assert {name: flag for name, flag in flags(both).items() if ".reward." not in name} == learning


def test_an_adapter_added_by_plain_peft_afterwards_is_worn(base, saved):
    both = load_adapter(base, saved / "1", name="reward")
    before = logits(both)
    both.model.add_adapter(
        "policy", LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    )
    both.model.set_adapter("policy")
    assert not torch.allclose(logits(both), before)


def test_faults_say_what_to_do(base, saved, tmp_path):
    with pytest.raises(ModelError, match="got none"), use_adapter(base.model, "reward"):
        pass
    both = load_adapter(base, saved / "1", name="reward")
    assert isinstance(both.model, PeftModel)
    with pytest.raises(ModelError, match="already has an adapter 'reward'"):
        load_adapter(both, saved / "2", name="reward")
    with pytest.raises(ModelError, match="was trained on this base"):
        load_adapter(both, tmp_path, name="other")


def test_an_adapter_of_another_shape_is_refused(base, tiny_llava_path, tmp_path):
    other = load_model(tiny_llava_path, device="cpu")
    wrapped = get_peft_model(
        other.model, LoraConfig(r=2, target_modules=r".*language_model.*q_proj")
    )
    wrapped.save_pretrained(tmp_path / "adapter")
    text = (tmp_path / "adapter" / "adapter_config.json").read_text()
    (tmp_path / "adapter" / "adapter_config.json").write_text(text.replace('"r": 2', '"r": 3'))
    with pytest.raises(ModelError, match="Cannot put the adapter"):
        load_adapter(base, tmp_path / "adapter", name="reward")


def test_under_autocast_no_input_is_kept_in_float32_for_an_adapter(tiny_llava_path):
    """The backward pass keeps the input itself and no copy; gradients stay in float32."""
    vlm = add_lora(load_model(tiny_llava_path, device="cpu", dtype="bfloat16"), LoraRecipe(rank=2))
    layer = vlm.model.get_base_model().get_decoder().layers[0].self_attn.q_proj
    states = torch.randn(7, 32, dtype=torch.bfloat16, requires_grad=True)

    def keep(active):
        kept = []
        with (
            leave_casts_to_autocast(vlm.model, active=active),
            torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x),
            torch.autocast("cpu", dtype=torch.bfloat16),
        ):
            out = layer(states)
        (gradient,) = torch.autograd.grad(out.sum(), [layer.lora_B["default"].weight])
        return out, gradient, {x.data_ptr() for x in kept if x.shape == states.shape}

    cast, left = keep(False), keep(True)
    assert torch.equal(cast[0], left[0])
    assert torch.equal(cast[1], left[1])
    assert left[1].dtype == torch.float32
    assert left[2] == {states.data_ptr()}
    assert cast[2].isdisjoint(left[2])
    assert layer.cast_input_dtype_enabled

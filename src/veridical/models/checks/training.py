"""Checks of what a model leaves on disk, and of training it."""

from dataclasses import replace
from tempfile import TemporaryDirectory

import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoProcessor

from veridical.errors import ModelError
from veridical.models.adapters import use_adapter
from veridical.models.architectures.parts import language_model
from veridical.models.branches import BranchBatch, score_branches, stack_responses
from veridical.models.checks.subjects import (
    PICTURES,
    QUESTIONS,
    Found,
    agree,
    drawn_picture,
    response_ids,
    score_all,
)
from veridical.models.loading import VisionLanguageModel, unwrap
from veridical.models.lora import LoraRecipe, add_lora, save_lora
from veridical.models.processors import VideoSettings, first_line, load_processor
from veridical.models.prompts.encoding import encode_prompts, encode_separately
from veridical.models.prompts.rendering import render_turns
from veridical.models.prompts.settings import apply_image_settings

_TRAINED_SIZES = ((224, 160), (160, 224), (130, 260), (200, 200))
_TRAINED_PROMPTS = 20


def saved(vlm: VisionLanguageModel) -> Found:
    """The saved processor loads and gives the same tensors."""
    config = unwrap(vlm.model).config
    with TemporaryDirectory() as folder:
        vlm.processor.save_pretrained(folder)
        config.save_pretrained(folder)
        try:
            again, by = AutoProcessor.from_pretrained(folder), "AutoProcessor"  # type: ignore[no-untyped-call]
        except ImportError:
            video = isinstance(getattr(vlm.processor, "video_processor", None), VideoSettings)
            again = load_processor(folder, config, trust_remote_code=False)
            by = "without its video part, which needs torchvision" if video else "load_model"
    apply_image_settings(vlm.name, again, vlm.settings.images)
    other = replace(vlm, processor=again)
    text = render_turns(vlm, QUESTIONS[:1])
    ours, theirs = (encode_separately(v, [text], PICTURES[:1])[0] for v in (vlm, other))
    same = all(torch.equal(ours[key], theirs[key]) for key in ours)
    return Found(same, f"the saved processor loads ({by}) and gives the same tensors")


def adapter(vlm: VisionLanguageModel) -> Found:
    """An adapter lands in the language model and loads with plain PEFT."""
    if isinstance(vlm.model, PeftModel):
        return Found(None, "not tried: the model has an adapter already")
    try:
        adapted = add_lora(vlm, LoraRecipe(rank=2))
    except ModelError as error:
        return Found(None, f"not possible: {first_line(error)}")
    try:
        inside = {id(parameter) for parameter in language_model(adapted.model).parameters()}
        trained = [p for p in adapted.model.parameters() if p.requires_grad]
        if not trained or any(id(p) not in inside for p in trained):
            return Found(False, "it is put on more than the language model, or on nothing")
        with torch.no_grad():
            for name, parameter in adapted.model.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(0, 0.02)
        with TemporaryDirectory() as folder:
            save_lora(adapted, folder)
            adapted.model.load_adapter(folder, adapter_name="check")
        scores = []
        for name in ("default", "check"):
            with use_adapter(adapted.model, name):
                scores.append(score_all(adapted, QUESTIONS, PICTURES, response_ids(vlm)))
        return agree(vlm, *scores)
    finally:
        adapted.model.unload()


def training_step(vlm: VisionLanguageModel) -> Found:
    """Prompts of mixed sizes go through one training step."""
    if isinstance(vlm.model, PeftModel):
        return Found(None, "not tried: the model has an adapter already")
    try:
        adapted = add_lora(vlm, LoraRecipe(rank=2))
    except ModelError:
        return Found(None, "not tried: it takes no adapter")
    trained = [parameter for parameter in adapted.model.parameters() if parameter.requires_grad]
    try:
        for start in range(0, _TRAINED_PROMPTS, 4):
            sizes = [_TRAINED_SIZES[(start + n) % 4] for n in range(start // 4, start // 4 + 4)]
            prompt = encode_prompts(
                vlm, [QUESTIONS[0]] * 4, [drawn_picture(size) for size in sizes]
            )
            batch = BranchBatch(prompt, *stack_responses([response_ids(vlm)] * 4)).to(vlm.device)
            loss: Tensor = -score_branches(adapted.model, batch).mean()
            torch.autograd.backward(loss)
        gradients = [p.grad for p in trained if p.grad is not None]
        finite = all(bool(gradient.isfinite().all()) for gradient in gradients)
        moved = sum(bool(gradient.any()) for gradient in gradients)
        torch.optim.SGD(trained, lr=1e-3).step()
        return Found(
            finite and moved > 0,
            f"{_TRAINED_PROMPTS} prompts of mixed sizes; gradients reach {moved} adapted layers",
        )
    finally:
        adapted.model.unload()

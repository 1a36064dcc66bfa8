"""Make a miniature, two adapters, prompts, and what `transformers` answers, as vLLM must too.

python benchmarks/vllm/make.py FOLDER      (in the project's own environment)
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import LlavaConfig, LlavaForConditionalGeneration

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
from miniatures import picture, tiny_llava
from veridical.evaluation.engines.protocol import open_pictures
from veridical.models.generation import generate_responses
from veridical.models.loading import load_model
from veridical.models.lora import LoraRecipe, add_lora, save_lora
from veridical.records import ImageRef, Prompt, write_records

QUESTIONS = ["What is in the picture?", "Is there a knife?", "Describe it.", "A cat?"]
NEW_TOKENS = 24


def main(folder: Path) -> None:
    torch.manual_seed(0)
    model = make_model(folder / "model")
    adapters = {
        "": "",
        "a": make_adapter(model, folder / "a", 1),
        "b": make_adapter(model, folder / "b", 2),
    }
    make_adapter(model, folder / "beyond", 3, beyond=True)
    prompts = []
    for number, question in enumerate(QUESTIONS):
        path = folder / f"{number}.png"
        picture(number, size=(64, 48) if number % 2 else (40, 64)).save(path)
        image = ImageRef(path=str(path.absolute()))
        prompts.append(Prompt(id=f"p{number}", image=image, question=question))
    write_records(folder / "prompts.jsonl", prompts, kind="Prompt")
    expected = {}
    for name, adapter in adapters.items():
        vlm = load_model(model, adapter=adapter or None, dtype="float32", device="cpu")
        pictures = [open_pictures(prompt) for prompt in prompts]
        answers = generate_responses(vlm, QUESTIONS, pictures, max_new_tokens=NEW_TOKENS)
        expected[name] = [{"ids": one.token_ids, "text": one.text} for (one,) in answers]
    (folder / "expected.json").write_text(json.dumps(expected, indent=2))
    print(json.dumps(expected, indent=2))


def make_model(folder: Path) -> Path:
    """A LLaVA whose heads have a width that vLLM knows, its tower named as vLLM wants it."""
    tiny_llava(folder)
    config = LlavaConfig.from_pretrained(folder)
    text, vision = config.text_config, config.vision_config
    text.hidden_size, text.intermediate_size, text.head_dim = 256, 512, 64
    vision.hidden_size, vision.intermediate_size = 128, 256
    text.initializer_range = 0.08
    model = LlavaForConditionalGeneration(config).eval()
    model.generation_config.eos_token_id = text.eos_token_id
    model.generation_config.pad_token_id = text.pad_token_id
    model.save_pretrained(folder)
    file = folder / "model.safetensors"
    weights = {old_name(name): value for name, value in load_file(file).items()}
    save_file(weights, file, metadata={"format": "pt"})
    return folder


def old_name(name: str) -> str:
    tower = "vision_tower."
    if tower in name and tower + "vision_model." not in name:
        return name.replace(tower, tower + "vision_model.")
    return name


def make_adapter(model: Path, folder: Path, seed: int, *, beyond: bool = False) -> Path:
    vlm = load_model(model, device="cpu", dtype="float32")
    if beyond:
        from peft import LoraConfig, get_peft_model

        get_peft_model(
            vlm.model, LoraConfig(r=4, target_modules=["q_proj", "linear_1"])
        ).save_pretrained(folder)
        return folder
    adapted = add_lora(vlm, LoraRecipe(rank=8, alpha=16))
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, weight in adapted.model.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.05)
    save_lora(adapted, folder)
    return folder


if __name__ == "__main__":
    main(Path(sys.argv[1]))

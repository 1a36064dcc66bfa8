"""Run inside TRL's environment: one step of TRL's own DPO trainer on the exported Parquet file."""

import json
import sys
from importlib.metadata import version

import torch
from datasets import load_dataset
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl import DPOConfig, DPOTrainer

folder, model, out = sys.argv[1:]
processor = AutoProcessor.from_pretrained(model)
rows = load_dataset("parquet", data_files=f"{folder}/data.parquet", split="train")
trainer = DPOTrainer(
    model=AutoModelForImageTextToText.from_pretrained(model, dtype=torch.float32),
    args=DPOConfig(
        output_dir=out,
        max_steps=1,
        per_device_train_batch_size=2,
        max_length=None,
        report_to=[],
        use_cpu=True,
        save_strategy="no",
        disable_tqdm=True,
    ),
    train_dataset=rows,
    processing_class=processor,
)
batch = next(iter(trainer.get_train_dataloader()))
loss = trainer.train().training_loss
texts = processor.tokenizer.batch_decode(batch["input_ids"], skip_special_tokens=True)
print(
    json.dumps(
        {
            "rows": len(rows),
            "pictures": len(rows[0]["images"]),
            "pixel_values": list(batch["pixel_values"].shape),
            "loss_of_first_step": round(loss, 4),
            "texts": texts,
            "versions": {n: version(n) for n in ("trl", "transformers", "datasets", "torch")},
        }
    )
)

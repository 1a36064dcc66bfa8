"""Load a trained adapter and ask about a photograph: plain transformers and PEFT, no Veridical.

Usage: python use_adapter.py ADAPTER [QUESTION]
"""

import sys
from importlib.resources import files

from peft import PeftConfig, PeftModel
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

adapter, question = (*sys.argv[1:], "What is in the picture?")[:2]
base = PeftConfig.from_pretrained(
    adapter
).base_model_name_or_path  # written into the adapter by the training
processor = AutoProcessor.from_pretrained(base)
model = PeftModel.from_pretrained(AutoModelForImageTextToText.from_pretrained(base), adapter).eval()
image = Image.open(str(files("skimage").joinpath("data/coffee.png"))).convert("RGB")
message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}
text = processor.apply_chat_template([message], add_generation_prompt=True)
inputs = processor(text=text, images=image, return_tensors="pt")
placeholders = [[model.config.image_token_index]]  # a model must not say its image placeholder
output = model.generate(**inputs, max_new_tokens=40, do_sample=False, bad_words_ids=placeholders)
print(processor.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))

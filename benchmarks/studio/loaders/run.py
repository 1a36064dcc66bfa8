"""Do TRL, LLaMA-Factory and ms-swift train on exported folders as they are?

    python benchmarks/studio/loaders/run.py                      a small studio export, all three
    python benchmarks/studio/loaders/run.py --trl FOLDER         a folder of your own, only TRL

Each trainer has an environment of its own (from PyPI, about 2 GB each; kept in --environments) and
takes one DPO step on the folder with the world's base model: its own loader, preprocessor,
collator and trainer. The first preferred answer must be in what the trainer says it has read.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
SOURCE = HERE.parents[2] / "src"
MODEL = SOURCE / "veridical" / "world" / "checkpoint"
PACKAGES = {"trl": "trl", "llama-factory": "llamafactory", "ms-swift": "ms-swift"}
ANSWER = "The picture shows a red car and two {} on the left, the the end. 🐈 שלום cafe\u0301 {}"


def main() -> None:
    """Check every trainer that was given a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in PACKAGES:
        parser.add_argument(f"--{name}", type=Path, metavar="FOLDER")
    parser.add_argument("--environments", type=Path, help="where they are made and kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folders = {name: getattr(options, name.replace("-", "_")) for name in PACKAGES}
        if not any(folders.values()):
            folders = own_export(Path(scratch))
        environments = options.environments or Path(scratch)
        results = {}
        for name, folder in folders.items():
            if folder is not None:
                python = environment(environments / name, name)
                check = {"trl": trl, "llama-factory": llama_factory, "ms-swift": ms_swift}[name]
                results[name] = check(python, folder.resolve(), Path(scratch))
                print(json.dumps({name: results[name]}, ensure_ascii=False), file=sys.stderr)
    print(json.dumps(results, indent=2, ensure_ascii=False))


def environment(folder: Path, name: str) -> Path:
    """The Python of a trainer's environment, made where it is not there yet."""
    python = folder / "bin" / "python"
    if python.exists():
        return python
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    install = [python, "-m", "pip", "install", "--quiet", "pillow", "torch==2.13.0"]
    subprocess.run([*install, PACKAGES[name]], check=True)
    if name == "llama-factory":
        # Their wheels are built for another torch and refuse to load; no image preference data
        # passes through either. LLaMA-Factory imports torchaudio whether it is needed or not.
        gone = [python, "-m", "pip", "uninstall", "--quiet", "--yes", "torchvision", "torchaudio"]
        subprocess.run(gone, check=True)
        empty = next(folder.glob("lib/python*/site-packages")) / "torchaudio"
        empty.mkdir()
        (empty / "__init__.py").touch()
    return python


def trl(python: Path, folder: Path, scratch: Path, also: Sequence[str] = ()) -> dict:
    """One step of TRL's DPO trainer."""
    said = call([python, HERE / "read_trl.py", folder, MODEL, scratch / "trl"])
    found = json.loads(said.splitlines()[-1])
    wanted = _parquet_answer(folder)
    return {
        "rows": found["rows"],
        "loss_of_first_step": found["loss_of_first_step"],
        "answer_read_as_written": any(wanted in text for text in found["texts"]),
        "pictures": found["pictures"],
        **_also(also, "\n".join(found["texts"])),
        "versions": versions(python, "trl"),
    }


def llama_factory(python: Path, folder: Path, scratch: Path, also: Sequence[str] = ()) -> dict:
    """One step of `llamafactory-cli train`."""
    rows = json.loads((folder / "data.json").read_text(encoding="utf-8"))
    settings = {
        "stage": "dpo",
        "do_train": True,
        "model_name_or_path": str(MODEL),
        "template": "llava",
        "finetuning_type": "full",
        "dataset": "data",
        "dataset_dir": str(folder),
        "media_dir": str(folder),
        "output_dir": str(scratch / "llama-factory"),
        "max_steps": 1,
        "cutoff_len": 1024,
        "report_to": "none",
        "save_strategy": "no",
        "use_cpu": True,
    }
    file = scratch / "llama-factory.yaml"  # JSON is YAML
    file.write_text(json.dumps(settings), encoding="utf-8")
    said = call([python.with_name("llamafactory-cli"), "train", file])
    return {
        "rows": len(rows),
        "loss_of_first_step": float(re.search(r"train_loss\s*=\s*([\d.]+)", said)[1]),
        "answer_read_as_written": rows[0]["chosen"]["value"] in said,
        **_also(also, said),
        "versions": versions(python, "llamafactory"),
    }


def ms_swift(python: Path, folder: Path, scratch: Path, also: Sequence[str] = ()) -> dict:
    """One step of `swift rlhf`."""
    file = folder / "data.jsonl"
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    settings = {
        "rlhf_type": "dpo",
        "model": MODEL,
        "model_type": "llava1_5_hf",
        "template": "llava1_5_hf",
        "dataset": file,
        "max_steps": 1,
        "gradient_accumulation_steps": 1,
        "tuner_type": "full",
        "torch_dtype": "float32",
        "attn_impl": "eager",
        "output_dir": scratch / "ms-swift",
        "report_to": "none",
        "save_strategy": "no",
        "split_dataset_ratio": 0,
    }
    words = [str(word) for name, value in settings.items() for word in (f"--{name}", value)]
    said = call([python.with_name("swift"), "rlhf", *words], ROOT_IMAGE_DIR=str(folder))
    chosen = [row["messages"][-1]["content"] for row in rows]
    return {
        "rows": len(rows),
        "loss_of_first_step": float(re.search(r"'train_loss': '([\d.]+)'", said)[1]),
        "answer_read_as_written": any(text in said for text in chosen),
        **_also(also, said),
        "versions": versions(python, "ms-swift"),
    }


def _also(wanted: Sequence[str], said: str) -> dict:
    """Which other texts of the rows the trainer says it has read."""
    return {"also_read": {text: text in said for text in wanted}} if wanted else {}


def call(command: list, **variables: str) -> str:
    """What a command says; raises where it fails."""
    known = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in command],
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=kept | known | variables,
    )
    if done.returncode:
        raise SystemExit(f"{command[0]} failed:\n{done.stdout[-4000:]}")
    return done.stdout


def versions(python: Path, package: str) -> dict:
    """Versions of what took part."""
    names = [package, "transformers", "datasets", "torch"]
    script = "import json, sys; from importlib.metadata import version as v; "
    script += "print(json.dumps({n: v(n) for n in sys.argv[1:]}))"
    return json.loads(call([python, "-c", script, *names]))


def _parquet_answer(folder: Path) -> str:
    import pyarrow.parquet as parquet

    row = parquet.read_table(folder / "data.parquet", columns=["chosen"]).slice(0, 1).to_pylist()
    return row[0]["chosen"][-1]["content"][-1]["text"]


def own_export(scratch: Path) -> dict[str, Path]:
    """A folder for each trainer, exported from a small project of the studio."""
    sys.path[:0] = [str(SOURCE), str(HERE.parents[2] / "tests")]
    from studio_client import Annotator
    from studio_projects import make_project
    from veridical.studio.export.folder import export_format, export_studio

    studio = make_project(scratch, "correct", [ANSWER.format("knives", n) for n in range(6)])
    person = Annotator(studio)
    while item := person.next()["item"]:
        person.correct(item, item["texts"][0].replace("knives", "cups"))
    done = export_studio(studio, scratch / "exported")
    return {name: export_format(done.folder, name).parent for name in PACKAGES}


if __name__ == "__main__":
    main()

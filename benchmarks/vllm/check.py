"""Does vLLM answer what `transformers` does, adapters changed while it runs, here and at a server?

python benchmarks/vllm/check.py FOLDER     (in the environment of setup.sh; FOLDER is from make.py)
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from veridical.errors import ModelError
from veridical.evaluation.engines.protocol import Decoding, open_pictures
from veridical.evaluation.engines.settings import EngineSettings, VllmSection
from veridical.evaluation.engines.vllm import VllmEngine
from veridical.evaluation.engines.vllm_model import Adapter, Sampling, VllmModel, ask
from veridical.evaluation.engines.vllm_server import VllmServerEngine
from veridical.models.loading import load_without_weights
from veridical.records import Prompt, read_records

PORT, SAMPLES = 8765, 8
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # read when vLLM is first imported
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def main(folder: Path, *parts: str) -> None:
    expected = json.loads((folder / "expected.json").read_text())
    prompts = read_records(folder / "prompts.jsonl", Prompt)
    tokens = max(len(one["ids"]) for one in expected[""])
    found: dict[str, object] = {"refused": refused(folder)}
    parts_known = {"in process": in_process, "server": served, "rollouts": rollouts}
    for name, part in parts_known.items():
        if not parts or name in parts:
            found[name] = part(folder, expected, prompts, Decoding(tokens))
    print(json.dumps(found, indent=2))
    (folder / "found.json").write_text(json.dumps(found, indent=2) + "\n")


def refused(folder: Path) -> str:
    try:
        VllmEngine(settings_of(folder, adapter="beyond"))
    except ModelError as error:
        return str(error)
    raise SystemExit("an adapter that reaches beyond the language model was taken")


def settings_of(folder: Path, *, adapter: str = "", url: str = "") -> EngineSettings:
    return EngineSettings(
        model="served" if url else str(folder / "model"),
        adapter=str(folder / adapter) if adapter else "",
        engine="vllm",
        url=url,
        dtype="float32",
        extra={"return_token_ids": True} if url else {},
        vllm=VllmSection(eager=True, max_model_len=512),
    )


def in_process(folder, expected, prompts, decoding) -> dict[str, object]:
    path = str(folder / "model")
    vlm = load_without_weights(path)
    started = time.monotonic()
    model = VllmModel(settings_of(folder), path=path, vlm=vlm, max_rank=8)
    result = {"seconds_to_start": time.monotonic() - started}
    questions = [ask(vlm, one) for one in prompts]
    greedy = [[Sampling(decoding, 0, vlm.placeholder_token_ids)] for _ in prompts]
    for number, name in enumerate(("", "a", "b", "a", "")):  # changed there and back
        adapter = Adapter(f"{name}{number}", number + 1, folder / name) if name else None
        said = model.say(questions, greedy, adapter=adapter)
        same = [one[0].token_ids == want["ids"] for one, want in zip(said, expected[name])]
        result[f"{number}: adapter {name or 'none'}"] = f"{sum(same)} of {len(same)} equal"
    drawn = Decoding(decoding.max_new_tokens, temperature=1.0)
    sampled = [
        [Sampling(drawn, 100 * n + k, vlm.placeholder_token_ids) for k in range(SAMPLES)]
        for n in range(len(prompts))
    ]
    first, again = (model.say(questions, sampled) for _ in range(2))
    result["sampled twice with the same seeds"] = (
        "equal"
        if [one.token_ids for row in first for one in row]
        == [one.token_ids for row in again for one in row]
        else "different"
    )
    result["different samples of a prompt"] = len({tuple(one.token_ids) for one in first[0]})
    result["log-probabilities"] = compare_logprobs(folder, prompts, first)
    model.close()
    return result


def compare_logprobs(folder, prompts, said) -> dict[str, float]:
    """Against the recomputation that PPO does, in this process."""
    import torch

    from veridical.models.branches import BranchBatch, evaluate_branches, stack_responses
    from veridical.models.loading import load_model
    from veridical.models.prompts.encoding import encode_prompts
    from veridical.models.token_scores import Sampling as Scored

    vlm = load_model(str(folder / "model"), dtype="float32", device="cpu")
    pictures = [open_pictures(one) for one in prompts]
    prompt = encode_prompts(vlm, [one.question for one in prompts], pictures)
    ids, mask = stack_responses([[one.token_ids for one in row] for row in said])
    with torch.no_grad():
        own = evaluate_branches(
            vlm.model,
            BranchBatch(prompt, ids, mask),
            sampling=Scored(1.0, vlm.placeholder_token_ids),
        ).logprobs
    theirs, _ = stack_logprobs(said, ids.shape)
    gap = (own - theirs)[mask].abs()
    return {"largest_difference": float(gap.max()), "mean_difference": float(gap.mean())}


def stack_logprobs(said, shape):
    import torch

    found = torch.zeros(shape)
    for n, row in enumerate(said):
        for k, one in enumerate(row):
            found[n, k, : len(one.logprobs)] = torch.tensor(one.logprobs)
    return found, shape


def rollouts(folder: Path, *_: object) -> dict[str, object]:
    """Two rollouts of PPO, sampled by vLLM with the policy's adapter as it is then."""
    from veridical import train_ppo
    from veridical.config import resolve_recipe
    from veridical.files import read_jsonl_rows
    from veridical.training.ppo.config import PpoRecipe

    def shortness(candidates):
        return [-float(one.tokens) for one in candidates]

    run = folder / f"ppo-{time.time()}"
    given = {
        "model": {"base": str(folder / "model"), "device": "cpu", "lora": {"rank": 8}},
        "data": {"prompts": str(folder / "prompts.jsonl"), "images_outside": True},
        "rollout": {
            "engine": "vllm", "prompts": 4, "samples": 4, "max_new_tokens": 16,
            "vllm": {"eager": True, "max_model_len": 512},
        },
        "value": {"lora": {"rank": 4}},
        "train": {"learning_rate": 1e-2, "batch_size": 4, "micro_batch_size": 2, "iterations": 3},
    }  # fmt: skip
    started = time.monotonic()
    train_ppo(resolve_recipe(given, PpoRecipe), run, reward=shortness)
    rows = [row.value for row in read_jsonl_rows(run / "metrics.jsonl")]
    kept = ("importance", "length", "reward", "kl_k1")
    return {"seconds": time.monotonic() - started} | {
        f"rollout {n}": {k: v for k, v in row.items() if k.startswith(kept)}
        for n, row in enumerate(row for row in rows if "importance" in row)
    }


def served(folder, expected, prompts, decoding) -> dict[str, object]:
    environment = os.environ | {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True"}
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server",
        "--model", str(folder / "model"),
        "--served-model-name", "served", "--host", "127.0.0.1", "--port", str(PORT),
        "--enforce-eager", "--max-model-len", "512", "--dtype", "float32", "--enable-lora",
        "--max-lora-rank", "8",
    ]  # fmt: skip
    started = time.monotonic()
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        wait_for(server, f"http://127.0.0.1:{PORT}/health")
        result: dict[str, object] = {"seconds_to_start": time.monotonic() - started}
        for number, name in enumerate(("", "a", "b")):
            settings = settings_of(folder, adapter=name, url=f"http://127.0.0.1:{PORT}/v1")
            cache = folder / f"cache-{time.time()}"
            engine = VllmServerEngine(settings, cache=cache)
            engine.answer(prompts, decoding, seed=0)
            said = token_ids(cache)
            same = [said[p.question] == w["ids"] for p, w in zip(prompts, expected[name])]
            result[f"{number}: adapter {name or 'none'}"] = f"{sum(same)} of {len(same)} equal"
            result[f"{number}: notes"] = dict(engine.notes())
            engine.close()
        return result
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


def token_ids(cache: Path) -> dict[str, list[int]]:
    """What the server said, by question."""
    found = {}
    for file in cache.glob("*/*.json"):
        kept = json.loads(file.read_text())
        question = kept["request"]["messages"][0]["content"][-1]["text"]
        found[question] = kept["completion"]["choices"][0]["token_ids"]
    return found


def wait_for(server: subprocess.Popen, url: str) -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(url, timeout=1)
            return
        except OSError:
            if server.poll() is not None:
                raise SystemExit("the server ended; see server.log") from None
            time.sleep(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])

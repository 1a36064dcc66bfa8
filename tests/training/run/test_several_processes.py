"""Two processes learn what one does: same losses, same weights, resumed in any number."""

import json
from itertools import chain

import pytest
import torch
from safetensors.torch import load_file

from comparison_files import write_comparisons
from conversation_files import write_conversations
from killed_runs import POSIX
from prompt_files import write_prompts
from several_processes import run_code
from veridical.config import resolve_recipe, write_recipe
from veridical.errors import ConfigError
from veridical.processes import Place
from veridical.training.preference.train import train_dpo
from veridical.training.reward.config import RewardRecipe
from veridical.training.run import flow
from veridical.training.run.settings import TrainSection
from veridical.training.run.team import work
from veridical.training.sft.config import SftRecipe

pytestmark = POSIX

RUNS = """
import json, shutil
from prompt_files import Letters
from veridical.config import load_recipe
from veridical.training.ppo import train as ppo
from veridical.training.ppo.config import PpoRecipe
from veridical.training.preference import train as preference
from veridical.training.preference.config import PreferenceRecipe
from veridical.training.reward import train as reward
from veridical.training.reward.config import RewardRecipe
from veridical.training.run import loop
from veridical.training.sft import train as sft
from veridical.training.sft.config import SftRecipe

METHODS = {
    "sft": (SftRecipe, sft.train_sft, {}),
    "dpo": (PreferenceRecipe, preference.train_dpo, {}),
    "reward": (RewardRecipe, reward.train_reward_model, {}),
    "ppo": (PpoRecipe, ppo.train_ppo, {"reward": Letters(), "judge": Letters()}),
}

def train(name, out, resume=False):
    kind, method, more = METHODS[name]
    method(load_recipe(f"{folder}/{name}.toml", kind), f"{folder}/{out}", resume=resume, **more)

def killed(name, out):
    # the second of two, within an epoch, after a resume point
    die_in_process(1, loop.RunTrainer, "log", 4)
    train(name, out)

def sharded(work):
    # What `accelerate launch --use_fsdp --fsdp_version 2` sets. accelerate shards on CUDA only, so
    # that it is made to believe that these processes have it.
    from accelerate import state
    from accelerate.utils import DistributedType
    from torch.distributed.tensor import DTensor
    from veridical.training.run.team import sharding
    inner, save = state.PartialState.__init__, loop.save_trainable

    def believe(self, cpu=False, **more):
        inner(self, cpu=cpu, **more)
        if self._shared_state.get("distributed_type") == DistributedType.MULTI_CPU:
            self._shared_state["distributed_type"] = DistributedType.MULTI_GPU

    def look(model, path):
        held = {}
        for name, p in model.named_parameters():
            part = "decoder" if isinstance(p, DTensor) else "whole"
            mine, all_of_it = held.get(part, (0, 0))
            local = p.to_local() if isinstance(p, DTensor) else p
            held[part] = (mine + local.numel(), all_of_it + p.numel())
        with open(f"{folder}/shards-{os.environ['RANK']}.json", "w") as file:
            json.dump(held, file)
        save(model, path)

    state.PartialState.__init__, loop.save_trainable = believe, look
    sharding.obstacle = lambda device: ""
    os.environ |= {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}
    work()

codes = {}
for name in METHODS:
    for world in (1, 2):
        codes[f"{name}-{world}"] = run(lambda: train(name, f"{name}-{world}"), world)
codes["killed"] = run(lambda: killed("dpo", "resumed-1"), 2)
shutil.copytree(f"{folder}/resumed-1", f"{folder}/resumed-2")
for world in (1, 2):
    out = f"resumed-{world}"
    codes[out] = run(lambda: train("dpo", out, resume=True), world)
for name in ("sft", "reward"):
    codes[f"{name}-sharded"] = run(lambda: sharded(lambda: train(name, f"{name}-sharded")), 2)
codes["killed sharded"] = run(lambda: sharded(lambda: killed("dpo", "dpo-sharded")), 2)
codes["mixed"] = run(lambda: train("dpo", "dpo-sharded", resume=True), 1)
codes["dpo-sharded"] = run(lambda: sharded(lambda: train("dpo", "dpo-sharded", resume=True)), 2)
codes["taken"] = run(lambda: train("dpo", "dpo-2"), 2)
with open(f"{folder}/codes.json", "w") as file:
    json.dump(codes, file)
"""
METHODS = ("sft", "dpo", "reward", "ppo")


@pytest.fixture
def recipes(make_recipe, make_ppo_recipe, tiny_llava_path, tmp_path):
    """A recipe for each method; no number of rows is a multiple of what a step takes."""
    model = {"base": str(tiny_llava_path), "device": "cpu", "lora": {"rank": 4}}
    train = {"learning_rate": 3e-3, "batch_size": 4, "micro_batch_size": 1, "epochs": 1}
    talks = write_conversations(tmp_path / "talks", count=11)
    held = write_prompts(tmp_path / "held", count=3, name="held")
    made = {
        "sft": resolve_recipe(
            {
                "model": {**model, "tuning": "full"},
                "data": {"conversations": str(talks), "validation_fraction": 0.34},
                # 1 or 2 of 4 rows at once, so that a process goes without a row
                "train": {**train, "micro_batch_tokens": 60},
            },
            SftRecipe,
        ),
        "dpo": make_recipe(
            model={"tuning": "lora"},
            sft={"conversations": str(talks), "batch_size": 3, "validation_fraction": 0.34},
            train={**train, "epochs": 2, "evaluation_steps": 2, "save_steps": 1},
        ),
        "reward": resolve_recipe(
            {
                "model": model,
                "data": {
                    "comparisons": str(write_comparisons(tmp_path / "comparisons", count=10)),
                    "validation_fraction": 0.34,
                },
                "template": {"name": "world"},
                "train": train,
            },
            RewardRecipe,
        ),
        "ppo": make_ppo_recipe(
            data={"held_out": str(held)},
            kl={"target": 0.5, "horizon": 8},
            train={"micro_batch_size": 1, "evaluation_iterations": 1, "cache": ""},
        ),
    }
    for name, recipe in made.items():
        write_recipe(recipe, tmp_path / f"{name}.toml")
    return made


def lines_of(run_dir):
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [
        {name: v for name, v in line.items() if name not in {"seconds", "part"}} for line in lines
    ]


def weights_of(run_dir):
    files = [
        file
        for name in ("adapter", "model", "reward_model", "value")
        for file in sorted((run_dir / name).glob("*.safetensors"))
    ]
    assert files
    return {f"{file.parent.name}/{n}": v for file in files for n, v in load_file(file).items()}


def assert_alike(first, second):
    """Same lines and weights to the rounding of float32 sums in another order."""
    for one, other in zip(lines_of(first), lines_of(second), strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-4), one["step"]
    weights = weights_of(second)
    for name, tensor in weights_of(first).items():
        torch.testing.assert_close(tensor, weights[name], rtol=1e-3, atol=2e-5)


def test_two_processes_learn_what_one_does_and_resume_in_any_number(recipes, tmp_path):
    done = run_code(RUNS, tmp_path)
    codes = json.loads((tmp_path / "codes.json").read_text())
    for name in METHODS:
        assert (codes[f"{name}-1"], codes[f"{name}-2"]) == ([0], [0, 0]), done.stderr[-3000:]
        assert_alike(tmp_path / f"{name}-1", tmp_path / f"{name}-2")
    first, second = codes["killed"]
    assert (first != 0, second) == (True, -9)
    for world in (1, 2):
        assert codes[f"resumed-{world}"] == [0] * world
        assert_alike(tmp_path / "dpo-1", tmp_path / f"resumed-{world}")
    manifest = json.loads((tmp_path / "dpo-2" / "manifest.json").read_text())
    assert manifest["notes"]["processes"] == 2
    assert codes["mixed"] == [1]
    assert "was written with FSDP and cannot be resumed without it" in done.stderr
    assert codes["killed sharded"][1] == -9
    for name in ("sft", "reward", "dpo"):
        assert codes[f"{name}-sharded"] == [0, 0], done.stderr[-3000:]
        assert_alike(tmp_path / f"{name}-1", tmp_path / f"{name}-sharded")
    held = [json.loads((tmp_path / f"shards-{rank}.json").read_text()) for rank in (0, 1)]
    mine, total = zip(*(one["decoder"] for one in held), strict=True)
    assert sum(mine) == total[0] > held[0]["whole"][1]  # all but the frozen tower is in two parts
    assert max(mine) < 0.6 * total[0]
    assert codes["taken"] == [1, 3], done.stderr[-3000:]  # the first says why, once


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"ACCELERATE_USE_FSDP": "true"}, "FSDP was asked for, but accelerate shards on CUDA only"),
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, "DeepSpeed was asked for"),
        ({"ACCELERATE_MIXED_PRECISION": "bf16"}, r"set train\.bf16=true"),
        ({"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4"}, r"set train\.batch_size"),
    ],
)
def test_what_a_launcher_asks_for_is_done_or_refused(
    make_recipe, tmp_path, monkeypatch, variables, message
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=message):
        train_dpo(make_recipe(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_accelerate_without_wishes_trains(make_recipe, tmp_path, monkeypatch):
    """What `accelerate launch` sets without options, for one process."""
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "NO")
    train_dpo(make_recipe(train={"max_steps": 1}), tmp_path / "run")


def test_a_step_that_the_processes_cannot_share_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(flow, "here", lambda: Place(0, 3, 0))
    settings = TrainSection(batch_size=4, micro_batch_size=2)
    with pytest.raises(ConfigError, match=r"`train.batch_size` \(4\) must be a multiple .*3"):
        flow.training_arguments(settings, tmp_path, on_cpu=True)


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_shares_are_even_and_together_the_whole(monkeypatch, world):
    rows, shares = list(range(5)), []
    for rank in range(world):
        monkeypatch.setattr(work, "here", lambda rank=rank: Place(rank, world, rank))
        shares.append(list(work.share(rows)))
    assert list(chain.from_iterable(shares)) == rows
    assert max(map(len, shares)) - min(map(len, shares)) <= 1

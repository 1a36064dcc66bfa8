"""Two processes learn what one does: same losses, same weights, resumed in any number."""

import json
from itertools import chain

import pytest

from killed_runs import POSIX
from several_processes import run_code
from several_runs import METHODS, RUNS, assert_alike, lines_of
from veridical.errors import ConfigError
from veridical.processes import Place
from veridical.training.preference.train import train_dpo
from veridical.training.run import flow
from veridical.training.run.settings import TrainSection
from veridical.training.run.team import work

pytestmark = POSIX

SHARDED = """
def sharded(work):
    # What `accelerate launch --use_fsdp --fsdp_version 2` sets. accelerate shards on CUDA only, so
    # that it is made to believe that these processes have it.
    from accelerate import state
    from accelerate.utils import DistributedType
    from torch.distributed.tensor import DTensor
    from veridical.training.run.team import fsdp
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
    fsdp.obstacle = lambda device: ""
    os.environ |= {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}
    work()

codes = {"bf16-1": run(lambda: train("bf16", "bf16-1"), 1)}
codes["bf16-sharded"] = run(lambda: sharded(lambda: train("bf16", "bf16-sharded")), 2)
for name in METHODS:
    if name == "bf16":
        continue
    for world in (1, 2):
        codes[f"{name}-{world}"] = run(lambda: train(name, f"{name}-{world}"), world)
codes["killed"] = run(lambda: killed("dpo", "resumed-1"), 2)
shutil.copytree(f"{folder}/resumed-1", f"{folder}/resumed-2")
for world in (1, 2):
    out = f"resumed-{world}"
    codes[out] = run(lambda: train("dpo", out, resume=True), world)
for name in ("texts", "reward"):
    codes[f"{name}-sharded"] = run(lambda: sharded(lambda: train(name, f"{name}-sharded")), 2)
codes["killed sharded"] = run(lambda: sharded(lambda: killed("dpo", "dpo-sharded")), 2)
codes["mixed"] = run(lambda: train("dpo", "dpo-sharded", resume=True), 1)
codes["dpo-sharded"] = run(lambda: sharded(lambda: train("dpo", "dpo-sharded", resume=True)), 2)
codes["taken"] = run(lambda: train("dpo", "dpo-2"), 2)
with open(f"{folder}/codes.json", "w") as file:
    json.dump(codes, file)
"""


def test_two_processes_learn_what_one_does_and_resume_in_any_number(recipes, tmp_path):
    done = run_code(RUNS + SHARDED, tmp_path)
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
    assert "was written with FSDP2 and cannot be resumed with a whole one" in done.stderr
    assert codes["killed sharded"][1] == -9
    for name in ("texts", "reward", "dpo"):
        assert codes[f"{name}-sharded"] == [0, 0], done.stderr[-3000:]
        assert_alike(tmp_path / f"{name}-1", tmp_path / f"{name}-sharded")
    assert (codes["bf16-1"], codes["bf16-sharded"]) == ([0], [0, 0])
    # Autocast rounds the same, but for sums in another order, of which some are rounded elsewhere.
    (_, one, _), (_, two, _) = (lines_of(tmp_path / f"bf16-{how}") for how in ("1", "sharded"))
    assert two == pytest.approx(one, rel=1e-5)
    held = [json.loads((tmp_path / f"shards-{rank}.json").read_text()) for rank in (0, 1)]
    mine, total = zip(*(one["decoder"] for one in held), strict=True)
    assert sum(mine) == total[0] > held[0]["whole"][1]  # all but the frozen tower is in two parts
    assert max(mine) < 0.6 * total[0]
    assert codes["taken"] == [1, 3], done.stderr[-3000:]  # the first says why, once


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"ACCELERATE_USE_FSDP": "true"}, "FSDP was asked for, but accelerate shards on CUDA only"),
        ({"ACCELERATE_GRADIENT_CLIPPING": "0.5"}, r"set train\.max_grad_norm"),
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

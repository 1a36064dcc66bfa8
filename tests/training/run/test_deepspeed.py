"""DeepSpeed's ZeRO-2 and ZeRO-3 learn what one process does, and hold it in shards."""

import json

import pytest

from killed_runs import POSIX
from several_processes import run_code
from several_runs import RUNS, assert_alike
from veridical.errors import ConfigError
from veridical.models.loading import load_model
from veridical.models.lora import freeze
from veridical.training.preference.train import train_dpo
from veridical.training.run.checkpoints import check_optimizer
from veridical.training.run.team import zero
from veridical.training.run.team.sharding import check_pictures

pytestmark = POSIX

PARTS = tuple(f"zero_pp_rank_{rank}_mp_rank_00_optim_states.pt" for rank in range(3))
"""What DeepSpeed calls the parts of an optimiser."""

ZERO = """
import math
os.environ["DS_ACCELERATOR"] = "cpu"
import deepspeed
deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False  # which it would compile

def parts_held(trainer):
    # Numbers that this process holds, of all: the weights that learn, and the optimiser's moments.
    weights = [p for p in trainer.model.parameters() if p.requires_grad]
    states = trainer.optimizer.optimizer.optimizer.state.values()
    moments = [m for state in states for m in state.values() if torch.is_tensor(m) and m.dim()]
    return {
        "weights": sum(getattr(p, "ds_tensor", p).numel() for p in weights),
        "moments": sum(m.numel() for m in moments),
        "all": sum(math.prod(getattr(p, "ds_shape", p.shape)) for p in weights),
    }

def zero(stage, work, out):
    inner = loop.RunTrainer._save_checkpoint
    def look(self, *arguments):
        with open(f"{folder}/{out}-{os.environ['RANK']}.json", "w") as file:
            json.dump(parts_held(self), file)
        inner(self, *arguments)
    def work_so():
        loop.RunTrainer._save_checkpoint = look
        os.environ["ACCELERATE_USE_DEEPSPEED"] = "true"
        os.environ["ACCELERATE_DEEPSPEED_ZERO_STAGE"] = str(stage)
        work()
    return run(work_so, 2)

codes = {}
for name in ("sft", "dpo", "reward", "ppo"):
    codes[f"{name}-1"] = run(lambda: train(name, f"{name}-1"), 1)
codes["ppo-z2"] = zero(2, lambda: train("ppo", "ppo-z2"), "ppo-z2")
codes["ppo-z3"] = zero(3, lambda: train("ppo", "ppo-z3"), "ppo-z3")
for stage in (2, 3):
    for name in ("sft", "reward"):
        out = f"{name}-z{stage}"
        codes[out] = zero(stage, lambda: train(name, out), out)
    out = f"dpo-z{stage}"
    codes[f"killed-z{stage}"] = zero(stage, lambda: killed("dpo", out), out)
    codes[f"whole-z{stage}"] = run(lambda: train("dpo", out, resume=True), 1)
    codes[out] = zero(stage, lambda: train("dpo", out, resume=True), out)
with open(f"{folder}/codes.json", "w") as file:
    json.dump(codes, file)
"""


def test_zero_learns_what_one_process_does_in_shards(recipes, tmp_path):
    pytest.importorskip("deepspeed")
    done = run_code(RUNS + ZERO, tmp_path)
    codes = json.loads((tmp_path / "codes.json").read_text())
    assert codes["ppo-z3"] == [1, 3]
    assert "PPO samples from the model" in done.stderr
    for out in ("sft-z2", "dpo-z2", "reward-z2", "ppo-z2", "sft-z3", "dpo-z3", "reward-z3"):
        name, stage = out.split("-z")
        assert (codes[f"{name}-1"], codes[out]) == ([0], [0, 0]), done.stderr[-3000:]
        assert_alike(tmp_path / f"{name}-1", tmp_path / out)
        manifest = json.loads((tmp_path / out / "manifest.json").read_text())
        assert manifest["notes"]["sharding"] == f"ZeRO-{stage}"
        for rank in (0, 1):
            held = json.loads((tmp_path / f"{out}-{rank}.json").read_text())
            weights = held["all"] if stage == "2" else held["all"] / 2
            assert held["weights"] == pytest.approx(weights, rel=0.02)
            assert held["moments"] == pytest.approx(held["all"], rel=0.02)  # two, in two halves
    for stage in (2, 3):
        assert codes[f"killed-z{stage}"][1] == -9
        assert codes[f"whole-z{stage}"] == [1]
        assert f"was written with ZeRO-{stage} and cannot be resumed with a whole" in done.stderr


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"zero_optimization": {"stage": 1}}, "uses its stages 2 and 3 only, got stage 1"),
        (
            {"zero_optimization": {"stage": 2, "offload_optimizer": {"device": "cpu"}}},
            "offloading was asked for",
        ),
        (
            {"zero_optimization": {"stage": 2}, "optimizer": {"type": "Lamb"}},
            "`optimizer`, which the recipe alone decides",
        ),
        ({"zero_optimization": {"stage": 2}, "gradient_clipping": 0.5}, "`gradient_clipping`"),
        ({"zero_optimization": {"stage": 2}, "bf16": {"enabled": True}}, "`bf16`"),
        ({"zero_optimization": {"stage": 2}}, "there is one process only"),
        (
            {
                "zero_optimization": {"stage": 3},
                "train_batch_size": "auto",
                "gradient_clipping": "auto",
                "bf16": {"enabled": "auto"},
                "fp16": {"enabled": False, "loss_scale": 0},
            },
            "there is one process only",
        ),
    ],
)
def test_what_a_deepspeed_file_says_is_done_or_refused(
    make_recipe, tmp_path, monkeypatch, config, message
):
    monkeypatch.setattr(zero, "find_spec", lambda name: name)  # what it says is read without it
    file = tmp_path / "deepspeed.json"
    file.write_text(json.dumps(config))
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_CONFIG_FILE", str(file))
    with pytest.raises(ConfigError, match=f"DeepSpeed was asked for, but .*{message}"):
        train_dpo(make_recipe(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_message_says_how_to_install_deepspeed(make_recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(zero, "find_spec", lambda name: None)
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with pytest.raises(ConfigError, match=r"it is not installed. Run .*\[deepspeed\]"):
        train_dpo(make_recipe(), tmp_path / "run")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("optimizer.pt",), None),
        (("pytorch_model_fsdp_0/x",), "written with FSDP2 and cannot be resumed with a whole one"),
        (
            tuple(f"global_step3/{name}" for name in ("mp_rank_00_model_states.pt", *PARTS[:2])),
            "written with ZeRO-2 .* Resume it with ZeRO-2, in 2 processes",
        ),
        (
            tuple(f"global_step3/{name}" for name in ("zero_pp_rank_0_model_states.pt", *PARTS)),
            "written with ZeRO-3 .* in 3 processes",
        ),
    ],
)
def test_a_resume_point_says_how_its_optimizer_is_shared_out(tmp_path, files, message):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    if message is None:
        check_optimizer(tmp_path)
        return
    with pytest.raises(ConfigError, match=message):
        check_optimizer(tmp_path)


def test_as_many_processes_resume_as_wrote(tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    (tmp_path / "global_step3").mkdir()
    for name in PARTS:
        (tmp_path / "global_step3" / name).touch()
    with pytest.raises(ConfigError, match="by DeepSpeed in 3 processes and cannot be resumed in 1"):
        check_optimizer(tmp_path)


def test_rows_without_pictures_are_refused_where_what_encodes_pictures_learns(
    tiny_llava_path, monkeypatch
):
    model = load_model(tiny_llava_path, device="cpu").model.requires_grad_()
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    check_pictures(model, pictureless=0)
    with pytest.raises(ConfigError, match="2 rows of the data show no picture"):
        check_pictures(model, pictureless=2)
    freeze(model, vision=True, projector=True)
    check_pictures(model, pictureless=2)

"""How a stage is trained: who prepares its batches, where it goes on, what it is fed."""

import json
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import nn

from veridical.errors import ModelError
from veridical.world.base import LARGE, SMALL, base_model_path, build_model
from veridical.world.descriptions import DESCRIPTION_QUESTIONS
from veridical.world.judge import judge_description
from veridical.world.pretraining import batches
from veridical.world.pretraining.batches import Place, find_place, losses, prepared
from veridical.world.pretraining.joint import JointExamples
from veridical.world.pretraining.loop import StageSettings, run_stage
from veridical.world.pretraining.recipe import PretrainRecipe
from veridical.world.pretraining.run import joint_examples, pretrain
from veridical.world.pretraining.stages import StageRun
from veridical.world.pretraining.tower import TowerTraining, tower_batch
from veridical.world.scenes import sample_scenes

CPU = Place(torch.device("cpu"), workers=0)
HELPED = CPU._replace(workers=1)
GPU = torch.device("cuda")
SETTINGS = StageSettings(
    steps=4, learning_rate=0.1, warmup=1, checkpoint_every=2, log_every=1, weight_decay=0.0
)
numbered = partial(torch.full, (3, 2), dtype=torch.float32)
"""A batch that says which step it belongs to; goes to any process."""


def same(one, other):
    """Whether two batches hold the same numbers."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return len(one) == len(other) and all(map(same, one, other))


def line_through(module, seen, place=CPU):
    """Losses that pull a linear map towards the number of the step."""

    def loss(batch, step):
        seen.append((step, batch[0, 0].item()))
        return (module(batch) - step).square().mean(), {"number": torch.tensor(float(step))}

    return losses(numbered, loss, place)


def untrained():
    module = nn.Linear(2, 1)
    nn.init.constant_(module.weight, 0.5)
    nn.init.constant_(module.bias, 0.0)
    return module


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_batches_come_in_the_order_of_their_steps_whoever_prepares_them(workers):
    steps = range(5, 30)
    shared = torch.get_rng_state()
    made = list(prepared(numbered, steps, CPU._replace(workers=workers)))
    assert [batch[0, 0].item() for batch in made] == list(steps)
    assert torch.equal(torch.get_rng_state(), shared)


def test_processes_that_prepare_pictures_change_no_weight(tokenizer, tmp_path):
    """The whole way of a stage: drawn scenes, the tower's loss, the optimiser, the log."""
    trained = {}
    for place in (CPU, HELPED):
        tower = TowerTraining(build_model(tokenizer, seed=1), seed=1)
        of_steps = losses(
            partial(tower_batch, seed=3),
            lambda batch, _, tower=tower: tower.loss_of_batch(batch, patch_weight=1.0),
            place,
        )
        folder = tmp_path / str(place.workers)
        run_stage("tower", tower, of_steps, settings=SETTINGS._replace(steps=2), folder=folder)
        log = [json.loads(line) for line in (folder / "tower.jsonl").read_text().splitlines()]
        trained[place] = tower.state_dict(), [line | {"seconds": 0} for line in log]
    assert same(trained[CPU][0], trained[HELPED][0])
    assert trained[CPU][1] == trained[HELPED][1]


def test_processes_that_prepare_conversations_change_no_token(tokenizer):
    examples = JointExamples(
        list(sample_scenes(0, "pool", 40)), tokenizer, seed=0, stage="joint", noisy=True, parts=4
    )
    here, helped = (list(prepared(examples, range(2), place)) for place in (CPU, HELPED))
    assert same(here, helped)
    assert not same(here[0], here[1])


@pytest.mark.parametrize(
    ("device", "asked", "cores", "workers"),
    [
        ("cpu", None, 16, 0),  # it has enough to do
        ("cpu", 2, 16, 2),
        ("cuda", None, 16, 6),
        ("cuda", None, 4, 3),  # one core is the training's own
        ("cuda", None, 1, 0),
        ("cuda", 0, 16, 0),
    ],
)
def test_how_many_processes_prepare_batches(device, asked, cores, workers, monkeypatch):
    monkeypatch.setattr(batches, "usable_cores", lambda: cores)
    assert find_place(device, asked) == (torch.device(device), workers)


def test_a_step_is_split_by_length_where_padding_costs(tokenizer):
    assert (CPU.parts, HELPED.parts, Place(GPU, workers=6).parts) == (4, 4, 1)
    scenes = list(sample_scenes(0, "pool", 40))
    sizes = []
    for place in (CPU, Place(GPU, workers=0)):
        run = StageRun(tokenizer, base_model_path(), place, {})
        batch = joint_examples(PretrainRecipe(), run, scenes, "refine")(0)
        sizes.append([len(part.input_ids) for part in batch.batches])
        widths = [part.input_ids.shape[1] for part in batch.batches]
        assert all(narrow < wide for narrow, wide in pairwise(widths))
    assert sizes == [[16] * 4, [64]]


def test_a_stage_that_goes_on_asks_for_the_steps_that_are_left(tmp_path):
    whole, stopped = untrained(), untrained()
    asked = []
    run_stage("line", whole, line_through(whole, []), settings=SETTINGS, folder=tmp_path / "whole")

    class StoppedError(Exception):
        pass

    def stops(steps):
        for step, loss in zip(steps, line_through(stopped, asked, HELPED)(steps), strict=True):
            if step == 3:
                raise StoppedError
            yield loss

    folder = tmp_path / "stopped"
    with pytest.raises(StoppedError):
        run_stage("line", stopped, stops, settings=SETTINGS, folder=folder)
    assert asked == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 3.0)]
    asked.clear()
    again = untrained()
    run_stage("line", again, line_through(again, asked, HELPED), settings=SETTINGS, folder=folder)
    assert asked == [(2, 2.0), (3, 3.0)]  # from the checkpoint on
    assert same(whole.state_dict(), again.state_dict())
    log = [json.loads(line)["step"] for line in (folder / "line.jsonl").read_text().splitlines()]
    assert log == [1, 2, 3, 4]


def test_a_stage_that_is_done_is_loaded_with_the_time_that_its_pieces_took(tmp_path, capsys):
    done, run = untrained(), StageRun(None, tmp_path, CPU, {})
    run.stage("line", done, line_through(done, []), SETTINGS)
    log = tmp_path / "line.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    clock = (1.0, 2.5, 0.5, 4.0)  # it was stopped after 2.5 s, and went on
    log.write_text(
        "".join(
            json.dumps(line | {"seconds": seconds}) + "\n"
            for line, seconds in zip(lines, clock, strict=True)
        )
    )
    asked, loaded = [], untrained()
    run.stage("line", loaded, line_through(loaded, asked), SETTINGS)
    assert asked == []
    assert same(done.state_dict(), loaded.state_dict())
    assert run.seconds == {"line": 2.5 + 4.0}
    assert "stage line: 4 steps done" in capsys.readouterr().err


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_longer_a_number_names_its_stage(value, tmp_path):
    module = untrained()

    def broken(batch, step):
        return module(batch).mean() * (value if step == 1 else 1.0), {}

    with pytest.raises(ModelError, match=rf"Stage refine: .* up to step 2 is {value}\. Lower the"):
        run_stage(
            "refine",
            module,
            losses(numbered, broken, CPU),
            settings=SETTINGS._replace(checkpoint_every=1),
            folder=tmp_path,
        )
    # What was good is kept, and the log holds nothing that JSON does not know.
    lines = [json.loads(line) for line in (tmp_path / "refine.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1]


def described(batch, tokenizer, scenes):
    """The descriptions that a joint batch teaches, each judged by the scene beside it."""
    image = tokenizer.get_vocab()["<image>"]
    for part, shown in zip(batch.batches, batch.shown, strict=True):
        with_image = [row for row in range(len(part.input_ids)) if image in part.input_ids[row]]
        for row, scene in zip(with_image, shown.tolist(), strict=True):
            ids, answer = part.input_ids[row], part.answer_mask[row]
            prompt = tokenizer.decode(ids[: int(answer.int().argmax())]).replace("<image>", "")
            asked = prompt.removeprefix("USER: ").removesuffix(" ASSISTANT:").strip()
            if asked in DESCRIPTION_QUESTIONS:
                text = tokenizer.decode(ids[answer]).removesuffix("</s>").strip()
                yield judge_description(scenes[scene], text)


@pytest.mark.parametrize(
    ("noise_from", "stage", "noisy"),
    [
        ("joint", "joint", True),
        ("joint", "lookup", True),
        ("noise", "joint", False),
        ("noise", "refine", False),
        ("noise", "noise", True),
    ],
)
def test_captions_are_noisy_from_the_stage_that_is_named(
    noise_from, stage, noisy, tokenizer, tmp_path
):
    scenes = list(sample_scenes(0, "pool", 64))
    run = StageRun(tokenizer, tmp_path, CPU, {})
    examples = joint_examples(PretrainRecipe(noise_from=noise_from), run, scenes, stage)
    verdicts = [v for step in range(2) for v in described(examples(step), tokenizer, scenes)]
    assert len(verdicts) >= 10
    assert all(verdict.claims.groups for verdict in verdicts)
    hallucinating = sum(verdict.hallucinates for verdict in verdicts) / len(verdicts)
    # 73 % of such captions hallucinate.
    assert hallucinating > 0.5 if noisy else hallucinating == 0


def test_a_large_base_has_eleven_times_the_weights_of_a_small_one(tmp_path):
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(base_model_path())
    weights = [
        sum(
            parameter.numel()
            for parameter in build_model(tokenizer, seed=0, size=size).parameters()
        )
        for size in (SMALL, LARGE)
    ]
    assert [round(count / 1e6, 1) for count in weights] == [1.6, 18.5]
    # A large one cannot go on from a small one's weights.
    start = str(base_model_path())
    recipe = PretrainRecipe(
        size="large", device="cpu", start=start, pool_scenes=64, lookup_steps=1, noise_steps=1
    )
    with pytest.raises(ModelError, match="width 128, size=large has width 384"):
        pretrain(recipe, tmp_path)

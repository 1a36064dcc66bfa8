"""Decoding over tensors that never move: on a CPU step by step, on CUDA as captured graphs."""

import pytest
import torch

from miniatures import picture
from veridical.models.decoding import fixed as module
from veridical.models.decoding.choice import TokenChoice, uniform_noise
from veridical.models.decoding.decoder import Decoder, decode_lean, fixed_rows
from veridical.models.decoding.graphs import CapturedSteps
from veridical.models.decoding.loop import run_loop
from veridical.models.decoding.prompt_pass import read_prompt
from veridical.models.prompts.encoding import encode_prompts

QUESTIONS = ["What is in the picture?", "A cat?", "Describe the image in detail, please."]
STEPS = 40


@pytest.fixture
def ending(vlm):
    """A miniature with many end tokens, so that its responses end at many different steps."""
    settings = vlm.model.generation_config
    before = settings.eos_token_id
    settings.eos_token_id = [vlm.tokenizer.eos_token_id, *range(20, 50)]
    yield vlm
    settings.eos_token_id = before


def batch(vlm, count, *, seed=0):
    questions = [QUESTIONS[n % len(QUESTIONS)] for n in range(count)]
    images = [picture(seed + n, size=(64, 48) if n % 2 else (40, 64)) for n in range(count)]
    return encode_prompts(vlm, questions, images)


def sampled(vlm, count, *, samples=4, seed=0):
    noise = uniform_noise(range(seed, seed + count * samples), STEPS)
    return TokenChoice(1.0, 0.95, torch.tensor(vlm.placeholder_token_ids), noise, samples, STEPS)


@torch.inference_mode()
def test_tokens_are_those_of_the_growing_cache_whatever_is_shown_and_dropped(ending, monkeypatch):
    """Blocks of 8 columns and sizes down to one row: many shapes in one response."""
    monkeypatch.setattr(module, "_COLUMN_BLOCK", 8)
    monkeypatch.setattr(module, "_FEWEST_ROWS", 1)
    prompt, choice = batch(ending, 3), sampled(ending, 3)
    shapes = []
    rows = fixed_rows(ending, read_prompt(ending, prompt, None), choice, capture=False)
    run = rows._run
    monkeypatch.setattr(rows, "_run", lambda r, c: (shapes.append((r, c)), run(r, c))[1])
    found = run_loop(rows, max_new_tokens=STEPS)
    assert torch.equal(found, decode_lean(ending, prompt, None, choice))
    assert len({size for size, _ in shapes}) > 2
    assert len({columns for _, columns in shapes}) > 3


@torch.inference_mode()
def test_one_room_serves_batches_that_fit(ending):
    first, second = batch(ending, 3), batch(ending, 2, seed=7)
    start = read_prompt(ending, first, None)
    rows = fixed_rows(ending, start, sampled(ending, 3), capture=False)
    run_loop(rows, max_new_tokens=STEPS)
    smaller, choice = read_prompt(ending, second, None), sampled(ending, 2, seed=99)
    assert rows.fits(smaller, choice)
    assert not rows.fits(smaller, choice._replace(noise=None))
    assert not rows.fits(smaller, choice._replace(num_samples=7))
    rows.load(smaller, choice)
    found = run_loop(rows, max_new_tokens=STEPS)
    assert torch.equal(found, decode_lean(ending, second, None, choice))


@torch.inference_mode()
def test_a_state_that_differs_is_noticed(own_llava, monkeypatch):
    """The check of a fixed cache against a growing one sees a mask that hides too much."""
    prompt, choice = batch(own_llava, 2), sampled(own_llava, 2, samples=1)
    run = module.FixedRows._run

    def blind(self, rows, columns):
        self._mask[:, :, :, :5] = True
        return run(self, rows, columns)

    monkeypatch.setattr(module.FixedRows, "_run", blind)
    with pytest.raises(Exception, match="a fixed cache's states differ from a growing one's by"):
        fixed_rows(own_llava, read_prompt(own_llava, prompt, None), choice, capture=False)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="graphs are captured on CUDA")
@torch.inference_mode()
def test_graphs_give_the_tokens_of_plain_steps(tiny_llava_path):
    from veridical.models.loading import load_model

    vlm = load_model(tiny_llava_path, device="cuda", dtype="float32")
    decoder = Decoder(vlm)
    for count, seed in ((3, 0), (2, 7)):
        prompt = {key: value.cuda() for key, value in batch(vlm, count, seed=seed).items()}
        choice = sampled(vlm, count, seed=seed)
        choice = choice._replace(suppressed=choice.suppressed.cuda(), noise=choice.noise.cuda())
        found = decoder.decode(prompt, None, choice)
        assert torch.equal(found, decode_lean(vlm, prompt, None, choice))
    assert decoder.uses_graphs


@pytest.mark.skipif(not torch.cuda.is_available(), reason="graphs are captured on CUDA")
def test_a_step_that_cannot_be_captured_runs_plainly(capsys):
    steps, count = CapturedSteps(capture=True), torch.zeros(1, device="cuda")

    def step():
        count.add_(1)
        assert float(count) >= 0  # waits for the device, which no graph can
        return count.unsqueeze(0).clone()

    for _ in range(3):
        steps.run("shape", step, [count])
    assert float(count) == 3
    assert not steps.capture

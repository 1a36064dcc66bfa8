"""What a decoding step costs, ours against `transformers.generate`, in one process.

`measure` takes a loaded model and is what a benchmark on a GPU calls; `run.py` makes a miniature.
Every case fixes the length (end tokens are suppressed) and names rows × samples. Times are of the
whole call and, by difference with a call for one token, of a step.
"""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from PIL import Image

from veridical.models.decoding.choice import TokenChoice, uniform_noise
from veridical.models.decoding.decoder import Decoder
from veridical.models.loading import VisionLanguageModel
from veridical.models.prompts.encoding import encode_prompts

QUESTION = "Describe this image in detail."


class Case(NamedTuple):
    """How much is decoded at once."""

    prompts: int
    samples: int = 1
    new_tokens: int = 128
    temperature: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.prompts}x{self.samples}" + (" sampled" if self.temperature else "")


CASES = (Case(1), Case(16), Case(64), Case(16, 4, temperature=1.0))


def measure(
    vlm: VisionLanguageModel,
    *,
    cases: Sequence[Case] = CASES,
    autocast: bool = False,
    theirs: bool = True,
    their_tokens: int = 32,
    seconds_limit: float = 1e9,
) -> list[dict[str, object]]:
    """Measure each case; a case that fails says why and the others go on.

    Args:
        vlm: The model, with an adapter or without, on its device.
        cases: What is decoded.
        autocast: In bfloat16 autocast, as PPO samples.
        theirs: Measure `generate` too.
        their_tokens: New tokens of `generate`, whose steps all take the same time.
        seconds_limit: Start no case after so many seconds.
    """
    started, found = time.perf_counter(), []
    vlm.model.eval()
    for case in cases:
        if time.perf_counter() - started > seconds_limit:
            found.append({"case": case.name, "skipped": "time"})
            continue
        try:
            with torch.autocast(vlm.device.type, dtype=torch.bfloat16, enabled=autocast):
                found.append(_measure(vlm, case, their_tokens if theirs else 0))
        except (RuntimeError, ValueError, TypeError) as error:
            found.append({"case": case.name, "error": f"{type(error).__name__}: {error}"[:500]})
        print(found[-1], flush=True)
    return found


def _measure(vlm: VisionLanguageModel, case: Case, their_tokens: int) -> dict[str, object]:
    pictures = [Image.new("RGB", (336, 336), (9 * n % 256, 80, 160)) for n in range(case.prompts)]
    prompt = encode_prompts(vlm, [QUESTION] * case.prompts, pictures)
    prompt = {key: value.to(vlm.device) for key, value in prompt.items()}
    rows, result = case.prompts * case.samples, {"case": case.name}
    decoder = Decoder(vlm)
    choice = _choice(vlm, case)
    _reset_peak(vlm)
    first, _, ids = _timed(vlm, lambda: _decode(decoder, prompt, choice))
    whole, processor, again = _timed(vlm, lambda: _decode(decoder, prompt, choice))
    # A second decoder, so that its one token does not throw away the first one's graphs.
    short = Decoder(vlm, capture=False)
    one, one_processor, _ = _timed(
        vlm, lambda: _decode(short, prompt, choice._replace(max_new_tokens=1))
    )
    steps = case.new_tokens - 1
    result |= {
        "rows": rows,
        "prompt_tokens": prompt["input_ids"].shape[1],
        "graphs": decoder.uses_graphs,
        "first_seconds": first,
        "seconds": whole,
        "prompt_seconds": one,
        "step_seconds": (whole - one) / steps,
        "step_processor_seconds": (processor - one_processor) / steps,
        "tokens_per_second": rows * case.new_tokens / whole,
        "tokens_per_second_first": rows * case.new_tokens / first,
        "peak_gib": _peak(vlm),
        "repeats": torch.equal(ids, again),
    }
    if decoder.uses_graphs:
        del decoder
        plain, _, lean = _timed(vlm, lambda: _decode(short, prompt, choice))
        result |= {
            "without_graphs_seconds": plain,
            "equal_tokens_without_graphs": _equal_prefix(ids, lean),
        }
    if their_tokens:
        result |= _measure_theirs(
            vlm, case, prompt, choice, min(their_tokens, case.new_tokens), ids
        )
    return result


@torch.inference_mode()
def _decode(decoder: Decoder, prompt: Mapping[str, torch.Tensor], choice: TokenChoice):
    return decoder.decode(prompt, None, choice)


def _measure_theirs(vlm, case, prompt, choice, tokens, ours) -> dict[str, object]:
    settings = {
        "do_sample": case.temperature > 0,
        "num_return_sequences": case.samples,
        "suppress_tokens": choice.suppressed.tolist(),
        "pad_token_id": vlm.end_token_ids[0],
        "num_beams": 1,
    }
    settings |= (
        {"temperature": case.temperature, "top_k": 0, "top_p": 1.0}
        if case.temperature
        else {"temperature": None, "top_k": None, "top_p": None}
    )

    def generate(count: int) -> torch.Tensor:
        ids = vlm.model.generate(**prompt, **settings, max_new_tokens=count, min_new_tokens=count)
        return ids[:, prompt["input_ids"].shape[1] :]

    generate(2)
    one, one_processor, _ = _timed(vlm, lambda: generate(1))
    whole, processor, ids = _timed(vlm, lambda: generate(tokens))
    result = {
        "their_new_tokens": tokens,
        "their_step_seconds": (whole - one) / (tokens - 1),
        "their_step_processor_seconds": (processor - one_processor) / (tokens - 1),
        "their_prompt_seconds": one,
    }
    if case.temperature == 0:
        result["equal_tokens_theirs"] = _equal_prefix(ours[:, :tokens], ids)
    return result


def _choice(vlm: VisionLanguageModel, case: Case) -> TokenChoice:
    forbidden = torch.tensor([*vlm.placeholder_token_ids, *vlm.end_token_ids], device=vlm.device)
    rows = case.prompts * case.samples
    noise = uniform_noise(range(rows), case.new_tokens).to(vlm.device) if case.temperature else None
    return TokenChoice(case.temperature, 1.0, forbidden, noise, case.samples, case.new_tokens)


def _equal_prefix(found: torch.Tensor, expected: torch.Tensor) -> Mapping[str, float]:
    """How far rows agree: share of rows that agree entirely, and mean length of equal beginnings.

    With random weights in bfloat16 near ties turn over with rounding, and all that follows differs.
    """
    equal = (found == expected).long().cumprod(-1).sum(-1).float()
    return {
        "rows_equal": float((equal == found.shape[1]).float().mean()),
        "mean_equal_tokens": float(equal.mean()),
        "of_tokens": float(found.shape[1]),
    }


def _timed(vlm, action):
    _wait(vlm)
    started, processor = time.perf_counter(), time.process_time()
    found = action()
    _wait(vlm)
    return time.perf_counter() - started, time.process_time() - processor, found


def _wait(vlm) -> None:
    if vlm.device.type == "cuda":
        torch.cuda.synchronize(vlm.device)


def _reset_peak(vlm) -> None:
    if vlm.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(vlm.device)


def _peak(vlm) -> float | None:
    if vlm.device.type != "cuda":
        return None
    return torch.cuda.max_memory_allocated(vlm.device) / 2**30

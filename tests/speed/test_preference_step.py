"""The sides of the benchmark compute the same: TRL's layout and ours score alike."""

import runpy
from pathlib import Path

import torch

from miniatures import picture
from veridical.models.branches import score_branches
from veridical.models.loading import load_model
from veridical.models.prompts.encoding import encode_prompts

FOLDER = Path(__file__).parents[2] / "benchmarks" / "preference_step"


def rows_as_trl_lays_them_out(vlm, responses):
    """Chosen rows, then rejected rows, each behind its prompt, padded on the right."""
    pairs = len(responses) // 2
    prompt = encode_prompts(
        vlm, ["What is in the picture?"] * pairs, [picture(n) for n in range(pairs)]
    )
    width = max(map(len, responses))
    tail = torch.tensor(
        [ids + [vlm.tokenizer.pad_token_id] * (width - len(ids)) for ids in responses]
    )
    filled = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids in responses])
    head = prompt["input_ids"].repeat(2, 1)
    return {
        "input_ids": torch.cat([head, tail], dim=1),
        "attention_mask": torch.cat([torch.ones_like(head), filled], dim=1),
        "completion_mask": torch.cat([torch.zeros_like(head), filled], dim=1),
        "pixel_values": prompt["pixel_values"].repeat(2, 1, 1, 1),
    }


def test_branches_cut_from_rows_score_as_the_rows_do(tiny_llava_path):
    as_branches = runpy.run_path(str(FOLDER / "case.py"))["as_branches"]
    vlm = load_model(tiny_llava_path, device="cpu")
    batch = rows_as_trl_lays_them_out(vlm, [[10, 11, 12, 13], [20, 21], [10, 30, 12], [20, 22, 23]])
    with torch.no_grad():
        scores = score_branches(vlm.model, as_branches(batch))
        inputs = {key: value for key, value in batch.items() if key != "completion_mask"}
        logprobs = vlm.model(**inputs).logits[:, :-1].log_softmax(-1)
    picked = (
        logprobs.gather(-1, batch["input_ids"][:, 1:, None])[..., 0]
        * batch["completion_mask"][:, 1:]
    )
    expected = picked.sum(-1).reshape(2, 2).T  # chosen and rejected of each pair
    torch.testing.assert_close(scores.sum(-1), expected, rtol=1e-4, atol=1e-4)

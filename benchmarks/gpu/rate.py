"""What the card does at best: a large product of matrices in bfloat16, on random numbers."""

import torch
from measuring import Results, measure


def run(results: Results, *, device: str, tiny: bool) -> None:
    """Measure the rate in TFLOP/s, and the rate of copying in TB/s."""
    size = 128 if tiny else 8192
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    out = torch.empty_like(left)
    found = measure(lambda: torch.mm(left, right, out=out), device=device, rounds=20)
    block = torch.empty(2**20 if tiny else 2**32, dtype=torch.uint8, device=device)
    copy = torch.empty_like(block)
    copied = measure(lambda: copy.copy_(block), device=device, rounds=10)
    results.add(
        "rate",
        {
            "matrix_tflops": round(2 * size**3 / found["seconds"] / 1e12, 1),
            "copy_tb_per_second": round(2 * block.numel() / copied["seconds"] / 1e12, 2),
        },
    )

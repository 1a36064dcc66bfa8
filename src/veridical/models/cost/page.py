"""The tables of docs/scale.md: measured steps, and what two papers' trainings cost."""

from collections.abc import Iterator

from veridical.models.cost.cards import H100
from veridical.models.cost.measured import measurements
from veridical.models.cost.plans import (
    COMPARISON,
    PAIR,
    PRICE,
    Cost,
    pairwise_training,
    ppo_training,
)

_GPUS = (1, 8, 64)


def step_table() -> str:
    """Every measured step beside its prediction."""
    rows = ["| step | card | measured | predicted | error |", "| --- | --- | --- | --- | --- |"]
    for one in measurements():
        kept = " (calibrates)" if one.calibrates else ""
        rows.append(
            f"| {one.what} | {one.card.name} | {one.seconds:.3g} s | {one.predicted:.3g} s |"
            f" {one.error:+.0%}{kept} |"
        )
    return "\n".join(rows)


def run_table() -> str:
    """Hours and dollars of RLHF-V's and LLaVA-RLHF's trainings; all predicted."""
    head = " | ".join(f"{gpus} H100" for gpus in _GPUS)
    rows = [f"| training | {head} |", f"| --- |{' --- |' * len(_GPUS)}"]
    for name, costs in _trainings():
        rows.append(f"| {name} | {' | '.join(_cell(cost) for cost in costs)} |")
    price = f"Predicted, at ${PRICE:.2f} per GPU and hour (assumed)."
    return "\n".join([*rows, "", price])


def _trainings() -> Iterator[tuple[str, list[Cost]]]:
    yield (
        "RLHF-V: dense DPO, 1,401 corrections × 7 epochs",
        [
            pairwise_training(1401, H100, gpus=gpus, epochs=7, row=PAIR, reference=True)
            for gpus in _GPUS
        ],
    )
    yield (
        "LLaVA-RLHF: reward model, 10,000 comparisons",
        [
            pairwise_training(10_000, H100, gpus=gpus, epochs=1, row=COMPARISON, reference=False)
            for gpus in _GPUS
        ],
    )
    yield (
        "LLaVA-RLHF: PPO, 72,000 prompts once, four responses each",
        [ppo_training(72_000, H100, gpus=gpus) for gpus in _GPUS],
    )


def _cell(cost: Cost) -> str:
    time = f"{cost.hours:.1f} h" if cost.hours >= 1 else f"{60 * cost.hours:.0f} min"
    idle = f", {cost.used} have rows" if cost.used < cost.gpus else ""
    return f"{time}, ${cost.dollars:,.{0 if cost.dollars >= 10 else 2}f}{idle}"

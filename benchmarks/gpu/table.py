"""A record as tables in Markdown: `python benchmarks/gpu/table.py results/FILE.json`."""

import json
import sys
from pathlib import Path
from typing import Any

from veridical.models.cost.cards import Card
from veridical.models.cost.measured import preference_step

LEARNS = {
    "branches": "casts",
    "cached": "casts",
    "no_casts": "eager",
    "packed": "eager",
    "dense_without_waits": "eager",
    "compiled": "compiled",
}
"""How each of our sides moves its activations, in the words of the model of cost."""
Entries = dict[str, dict[str, Any]]


def show(record: dict[str, Any]) -> str:
    """All parts, one table each."""
    machine = record["machine"]
    lines = [f"{machine['card']}, {record['date']}, torch {machine['torch']}"]
    everything: Entries = {}
    for name, part in record["parts"].items():
        if part["ended"] != 0:
            lines.append(f"{name}: ended with {part['ended']} after {part['seconds']} s")
        everything |= part["found"]
    lines += _steps(everything, everything.get("rate", {}), predicts=not record.get("tiny"))
    for name, values in everything.items():
        if "seconds" not in values or "pairs" not in values:
            lines.append(f"{name}: {json.dumps(values)[:600]}")
    return "\n".join(lines)


def _predict(name: str, rates: dict[str, Any]) -> str:
    """Seconds of a step by the model of cost; empty for shapes and sides without one."""
    shape, side, pairs = name.split()
    if shape != "llava" or side not in LEARNS or not rates:
        return ""
    matrix, copy = (1e12 * rates[name] for name in ("matrix_tflops", "copy_tb_per_second"))
    card = Card("this one", matrix, copy, link_rate=0)
    found = preference_step(card, int(pairs), how=LEARNS[side], live=side == "branches")
    return f"{found:.3f}"


def _steps(entries: Entries, rates: dict[str, Any], *, predicts: bool) -> list[str]:
    rate = rates.get("matrix_tflops")
    rows = [
        "",
        "| step | pairs | seconds | predicted | waited for | times TRL | share of the card's rate |"
        " peak GiB | beyond the weights | share of TRL's | loss |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, one in entries.items():
        if "pairs" not in one:
            if name.count(" ") == 2 and "error" in one:
                rows.append(f"| {name} | | {one['error'][:60]} | | | | | | | | |")
            continue
        shape, side, pairs = name.split()
        trl = entries.get(f"{shape} trl {pairs}", {})
        beyond = one["peak_gib"] - one["weights_gib"]
        theirs = trl.get("peak_gib", 0) - trl.get("weights_gib", 0)
        speed = f"{trl['seconds'] / one['seconds']:.2f}" if "seconds" in trl else ""
        work = one.get("tera_operations")
        share = f"{work / one['seconds'] / rate:.0%}" if work and rate else ""
        memory = f"{beyond / theirs:.2f}" if theirs else ""
        predicted = _predict(name, rates) if predicts else ""
        cells = [f"{shape} {side}", pairs, f"{one['seconds']:.3f}", predicted]
        cells.append(f"{one['seconds_alone']:.3f}")
        loss = f"{one['loss']:.4f}"
        cells += [speed, share, f"{one['peak_gib']:.1f}", f"{beyond:.1f}", memory]
        rows.append(f"| {' | '.join([*cells, loss])} |")
    return [*rows, ""]


if __name__ == "__main__":
    print(show(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))

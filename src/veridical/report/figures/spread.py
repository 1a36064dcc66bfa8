"""Counts of a dataset: lengths of two sides over each other, and shares by label."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from veridical.report.figures.parts import WIDTH
from veridical.report.figures.svg import Scale, element, figure_svg, line, text

_BINS = 20
_ROW = 30.0


def lengths(chosen: Sequence[int], rejected: Sequence[int], *, title: str) -> Markup:
    """How many responses have how many words: the preferred ones upwards, the others downwards."""
    longest = sorted([*chosen, *rejected])[int(0.99 * (len(chosen) + len(rejected) - 1))]
    width = max(1, -(-(longest + 1) // _BINS))
    sides = [_binned(side, width) for side in (chosen, rejected)]
    most = max(max(counts) for counts in sides)
    x = Scale(0, width * _BINS, 10, WIDTH - 10)
    middle, tall = 90.0, 74.0
    parts: list[Markup] = []
    for side, (counts, style) in enumerate(zip(sides, ("after", "before"), strict=True)):
        for number, count in enumerate(counts):
            size = tall * count / most
            words = f"{number * width} to {(number + 1) * width} words: {count:,}"
            parts.append(
                element(
                    "rect",
                    element(
                        "title", f"{number * width} to {(number + 1) * width} words: {count:,}"
                    ),
                    x=x(number * width) + 0.5,
                    y=middle - size if side == 0 else middle,
                    width=max(x((number + 1) * width) - x(number * width) - 1, 1),
                    height=size,
                    class_=f"fill {style}",
                )
            )
    parts.append(line(10, middle, WIDTH - 10, middle, "zero"))
    parts += [text(WIDTH - 10, 14, "preferred", "label", anchor="end")]
    parts += [text(WIDTH - 10, 2 * middle - 6, "rejected", "label", anchor="end")]
    for tick in x.ticks(4):
        words = f"{tick:g} words" if tick == x.ticks(4)[-1] else f"{tick:g}"
        anchor = "end" if x(tick) > WIDTH - 40 else "middle"
        parts.append(text(x(tick), 2 * middle + 14, words, "tick", anchor=anchor))
    return figure_svg(WIDTH, 2 * middle + 20, title, *parts)


def _binned(values: Sequence[int], width: int) -> list[int]:
    counts = [0] * _BINS
    for value in values:
        counts[min(value // width, _BINS - 1)] += 1  # what is longer stands in the last one
    return counts


def shares(counts: Mapping[str, int], *, title: str) -> Markup:
    """Counts by label as bars of their share, the largest first."""
    total = sum(counts.values())
    rows = sorted(counts.items(), key=lambda item: -item[1])
    x = Scale(0, 1, 6, WIDTH - 8)
    parts: list[Markup] = []
    for number, (label, count) in enumerate(rows):
        y = _ROW * number
        share = count / max(total, 1)
        parts += [
            text(6, y + 13, label, "label"),
            text(WIDTH - 8, y + 13, f"{count:,} · {share:.0%}", "number", anchor="end"),
            element("rect", x=6, y=y + 18, width=WIDTH - 14, height=6, class_="track"),
            element("rect", x=6, y=y + 18, width=x(share) - 6, height=6, class_="fill after"),
        ]
    return figure_svg(WIDTH, _ROW * len(rows) + 4, title, *parts)

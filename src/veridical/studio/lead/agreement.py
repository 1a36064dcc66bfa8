"""How well people agree: with each other, with known answers, with themselves."""

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from statistics import mean
from typing import NamedTuple

from sqlalchemy import Connection, select

from veridical.records import Metric
from veridical.studio.lead.alpha import Agreement, Level, krippendorff_alpha
from veridical.studio.lead.gold import agrees, judged_spans
from veridical.studio.lead.judged import Judged, by_item, judged_twice, read_judged
from veridical.studio.lead.spans import kind_matches, word_f1, word_flags
from veridical.studio.opening import Studio
from veridical.studio.store.projects import load_project
from veridical.studio.store.schema import item, judgement, person, response

_SIDES = ("left", "right", "both_equally", "neither")
_VERDICTS = ("left", "right", "tie")


class Line(NamedTuple):
    """One number with what it is of."""

    name: str
    """What is compared."""
    metric: Metric | None
    """The number; None where it is not defined."""
    reason: str = ""
    """Why not."""


class PersonLines(NamedTuple):
    """How one person agrees."""

    with_others: Line
    """Share of shared items on which they say what the others say; F1 of words for segments."""
    gold: Line
    """Share of known items that they get right."""
    with_self: Line
    """Share of repeated items on which they say the same again."""
    left: Line | None
    """Share of decided comparisons that prefer the left side: about one half."""


class AgreementReport(NamedTuple):
    """All of it."""

    lines: list[Line]
    """Over all people."""
    people: dict[str, PersonLines]
    """By person."""
    shared: int
    """Items that two or more people judged."""


def preferred(body: dict[str, object]) -> str:
    """Which side a comparison prefers: what hallucinates less, else what is more helpful."""
    more = str(body["hallucinates_more"])
    if more in ("left", "right"):
        return "right" if more == "left" else "left"
    helpful = str(body["more_helpful"])
    return "tie" if helpful == "equal" else helpful


def agreement_report(connection: Connection, task: str) -> AgreementReport:
    """Count how people agree."""
    rows = read_judged(connection, shared=task != "compare")  # sides: of all comparisons
    groups = {number: found for number, found in by_item(rows).items() if len(found) > 1}
    texts = _texts(connection, groups) if task in ("correct", "mark") else {}
    lines = _task_lines(task, groups, texts)
    golds = {
        row.id: row.gold
        for row in connection.execute(select(item.c.id, item.c.gold).where(item.c.is_gold))
    }
    same = _sameness(task, texts)
    others = _with_others(groups, same)
    by_person: dict[str, list[Judged]] = {}
    for row in rows:
        by_person.setdefault(row.person, []).append(row)
    people = {
        name: _person(by_person.get(name, []), others.get(name, []), golds, same, task)
        for name in _who_judged(connection)
    }
    return AgreementReport(lines, people, len(groups))


def same_verdict(task: str, text: str) -> Callable[[Judged, Judged], float]:
    """How much two judgements of one item say the same: 0 to 1."""
    if task == "compare":
        return lambda one, other: float(preferred(one.body) == preferred(other.body))
    if task == "rate":
        return lambda one, other: float(abs(one.body["score"] - other.body["score"]) <= 1)
    return lambda one, other: word_f1(text, judged_spans(one.body), judged_spans(other.body))


def _sameness(task: str, texts: dict[int, str]) -> Callable[[Judged, Judged], float]:
    return lambda one, other: same_verdict(task, texts.get(one.item_id, ""))(one, other)


def _task_lines(task: str, groups: dict[int, list[Judged]], texts: dict[int, str]) -> list[Line]:
    bodies = [[row.body for row in found] for found in groups.values()]
    if task == "compare":
        more = [[_SIDES.index(body["hallucinates_more"]) for body in unit] for unit in bodies]
        verdicts = [[_VERDICTS.index(preferred(body)) for body in unit] for unit in bodies]
        return [
            _line("Which hallucinates more (α, nominal)", more, 4, "nominal"),
            _line("Which is preferred (α, nominal)", verdicts, 3, "nominal"),
            _share("Which is preferred, same answer", _pairs(verdicts)),
        ]
    if task == "rate":
        scores = [[int(body["score"]) for body in unit] for unit in bodies]
        false = [[int(score < 3) for score in unit] for unit in scores]
        return [
            _line("Score (α, ordinal)", scores, 7, "ordinal"),
            _line("Score (α, interval)", scores, 7, "interval"),
            _line("Hallucinates or not (α, nominal)", false, 2, "nominal"),
            _share("Scores at most one apart", _pairs(scores, within=1)),
        ]
    units: list[tuple[int, ...]] = []  # True is 1
    owners: list[int] = []
    for number, found in groups.items():
        flags = [word_flags(texts[number], judged_spans(row.body)) for row in found]
        units += zip(*flags, strict=True)
        owners += [number] * len(flags[0])
    clean = [[int(bool(body.get("nothing_wrong"))) for body in unit] for unit in bodies]
    alpha = krippendorff_alpha(units, size=2, level="nominal", items=owners)
    f1 = [
        word_f1(texts[number], judged_spans(one.body), judged_spans(other.body))
        for number, found in groups.items()
        for one, other in combinations(found, 2)
    ]
    kinds = [
        match
        for found in groups.values()
        for one, other in combinations(found, 2)
        for match in kind_matches(one.body, other.body)
    ]
    return [
        Line("Word wrong or not (α, nominal)", alpha.metric, alpha.reason),
        _mean("Words in common (F1)", f1),
        _share("Same kind, of segments that overlap", kinds),
        _line("Anything wrong or not (α, nominal)", clean, 2, "nominal"),
    ]


def _with_others(
    groups: dict[int, list[Judged]], same: Callable[[Judged, Judged], float]
) -> dict[str, list[float]]:
    """For each person how much each of their judgements says the same as each other person's."""
    found: dict[str, list[float]] = {}
    for rows in groups.values():
        for one, other in combinations(rows, 2):
            if one.person != other.person:
                alike = same(one, other)
                found.setdefault(one.person, []).append(alike)
                found.setdefault(other.person, []).append(alike)
    return found


def _person(
    rows: Sequence[Judged],
    others: Sequence[float],
    golds: dict[int, dict[str, object]],
    same: Callable[[Judged, Judged], float],
    task: str,
) -> PersonLines:
    judged = [row for row in rows if row.outcome == "judged"]
    known = [agrees(golds[row.item_id], row.body) for row in judged if row.purpose == "gold"]
    first = {row.item_id: row for row in judged if row.round == 0}
    again = [
        same(first[row.item_id], row) >= 0.5
        for row in judged
        if row.round == 1 and row.item_id in first
    ]
    left = None
    if task == "compare":
        sides = [
            (preferred(row.body) == "left") != row.flipped
            for row in judged
            if preferred(row.body) != "tie"
        ]
        left = _share("Left preferred", sides)
    return PersonLines(
        _mean("With others", others),
        _share("Known answers", known),
        _share("With self", again),
        left,
    )


def _who_judged(connection: Connection) -> list[str]:
    judged = select(judgement.c.person_id).distinct()
    names = select(person.c.name).where(person.c.id.in_(judged)).order_by(person.c.name)
    return list(connection.execute(names).scalars())


def _texts(connection: Connection, groups: Iterable[int]) -> dict[int, str]:
    wanted = set(groups)
    query = select(response.c.item_id, response.c.text).where(
        response.c.number == 0, response.c.item_id.in_(judged_twice())
    )
    return {row.item_id: row.text for row in connection.execute(query) if row.item_id in wanted}


def _pairs(units: Sequence[Sequence[int]], *, within: int = 0) -> list[bool]:
    return [abs(a - b) <= within for unit in units for a, b in combinations(unit, 2)]


def _line(name: str, units: Sequence[Sequence[int]], size: int, level: Level) -> Line:
    found: Agreement = krippendorff_alpha(units, size=size, level=level)
    return Line(name, found.metric, found.reason)


def _share(name: str, values: Sequence[bool]) -> Line:
    if not values:
        return Line(name, None, "none yet")
    from veridical.statistics.intervals import wilson  # brings scipy, which starts slowly

    return Line(name, wilson(sum(values), len(values)))


def _mean(name: str, values: Sequence[float]) -> Line:
    if not values:
        return Line(name, None, "none yet")
    import numpy as np

    n = len(values)
    draws = np.random.default_rng(0).choice(np.asarray(values, dtype=float), size=(1000, n))
    low, high = np.quantile(draws.mean(axis=1), (0.025, 0.975))
    value = mean(values)
    metric = Metric(
        value=value,
        n=n,
        low=min(float(low), value),
        high=max(float(high), value),
        method="bootstrap",
    )
    return Line(name, metric)


def agreement_table(studio: Studio) -> str:
    """How well people agree, to be printed."""
    with studio.database.reading() as connection:
        project = load_project(connection)
        report = agreement_report(connection, project.task)
    lines = [f"{project.name}: {report.shared} items judged by two or more people"]
    lines += [f"  {line.name}: {_number(line)}" for line in report.lines]
    for name, found in report.people.items():
        lines.append(name)
        shown = (found.with_others, found.gold, found.with_self, found.left)
        lines += [f"  {line.name}: {_number(line)}" for line in shown if line is not None]
    return "\n".join(lines)


def _number(line: Line) -> str:
    if line.metric is None:
        return line.reason
    one = line.metric
    return f"{one.value:.2f} [{one.low:.2f}, {one.high:.2f}], n = {one.n}"

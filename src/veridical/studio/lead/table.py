"""Agreement as lines of text."""

from veridical.studio.lead.agreement import Line, agreement_report
from veridical.studio.opening import Studio
from veridical.studio.store.projects import load_project


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

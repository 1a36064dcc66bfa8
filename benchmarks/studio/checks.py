"""What must hold after any load and any number of kills."""

from collections import Counter

from sqlalchemy import select, text

from veridical.studio.store.schema import item, judgement, slot


def check(studio, acknowledged):
    """Count what must not be: lost, doubled, over the overlap, twice by one person."""
    with studio.database.reading() as connection:
        kept = {row.id: row for row in connection.execute(select(judgement))}
        slots = connection.execute(select(slot)).all()
        wanted = dict(connection.execute(select(item.c.id, item.c.wanted)).all())
        intact = True
        if studio.database.sqlite:
            intact = connection.scalar(text("PRAGMA integrity_check")) == "ok"
    done = Counter(row.item_id for row in slots if row.state == "done" and row.purpose == "main")
    per_slot = Counter(row.slot_id for row in kept.values() if row.outcome == "judged")
    pairs = Counter((row.item_id, row.person_id, row.round) for row in slots if row.person_id)
    return {
        "acknowledged": len(acknowledged),
        "kept": len(kept),
        "lost": len(set(acknowledged) - set(kept)),
        "doubled": sum(count - 1 for count in per_slot.values()),
        "over_overlap": sum(max(0, count - wanted[number]) for number, count in done.items()),
        "twice_by_one_person": sum(count - 1 for count in pairs.values()),
        "done_without_judgement": sum(
            row.state == "done" and row.judgement_id not in kept for row in slots
        ),
        "surplus": sum(row.purpose == "surplus" for row in slots),
        "intact": intact,
    }

"""How long do the lead's pages take with 100,000 items and 110,000 judgements?

    python benchmarks/studio/lead_pages.py --items 100000

The project is made in a temporary folder, its rows are inserted directly; each page is asked for
once, twice, and again after one more judgement.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from uuid import uuid4

sys.path.append(str(Path(__file__).parents[2] / "tests"))

from sqlalchemy import insert, select, update

from studio_client import Annotator
from studio_projects import ANSWER, make_project
from veridical.studio.store.items import NewItem as Item
from veridical.studio.store.items import add_items
from veridical.studio.store.people import add_person
from veridical.studio.store.schema import judgement, slot

PAGES = ("/lead", "/lead/agreement", "/lead/differences")


def main():
    """Fill a project and ask for the pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--people", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        studio = make_project(Path(folder), "correct", [ANSWER], overlap_share=0.1)
        add_items(studio.database, studio.folder, (new_item(n) for n in range(options.items)))
        judged = fill(studio, options.people)
        lead, ann = Annotator(studio, "boss", role="lead"), Annotator(studio, "last")
        found = {"items": options.items, "judgements": judged, "people": options.people}
        for page in PAGES:
            times = [ask(lead, page), ask(lead, page)]
            item = ann.next()["item"]
            ann.judge(item, {"text": item["texts"][0], "nothing_wrong": True})
            found[page] = [*times, ask(lead, page)]
        found["load_average"] = round(os.getloadavg()[0], 2)
        print(json.dumps(found, indent=2))
        studio.database.close()


def ask(lead, page):
    """Seconds that a page takes."""
    started = time.perf_counter()
    assert lead.client.get(page).status_code == 200
    return round(time.perf_counter() - started, 3)


def new_item(number):
    """An item without a picture."""
    prompt = {"id": f"q{number}", "image": {"path": ""}, "question": f"What is here, {number}?"}
    response = {"id": f"q{number}#0", "prompt_id": f"q{number}", "text": f"{ANSWER} {number}"}
    return Item(f"q{number}#0", (), prompt, (response | {"model": "m"},))


def fill(studio, people):
    """Judge every wanted slot but the last hundred."""
    rng = random.Random(0)
    now = int(time.time() * 1000)
    with studio.database.writing() as connection:
        numbers = [add_person(connection, f"p{n}") for n in range(people)]
        slots = connection.execute(select(slot.c.id, slot.c.item_id, slot.c.number)).all()[:-100]
        rows, updates = [], []
        for place, one in enumerate(slots):
            key = str(uuid4())
            clean = rng.random() < 0.4
            word = rng.choice(("cups", "forks"))
            text = f"{ANSWER} {one.item_id}"
            change = {
                "rejected_span": [28, 34],
                "chosen_span": [28, 28 + len(word)],
                "kind": rng.choice(("object", "number")),
                "note": "",
            }
            body = {
                "task": "correct",
                "text": text if clean else text.replace("knives", word),
                "nothing_wrong": clean,
                "changes": [] if clean else [change],
                "suspects": [],
                "note": "",
            }
            who = numbers[(one.item_id + one.number) % people]
            rows.append(
                {
                    "id": key,
                    "slot_id": one.id,
                    "item_id": one.item_id,
                    "person_id": who,
                    "revision": 1,
                    "outcome": "judged",
                    "payload": body,
                    "body": "",
                    "guideline": 1,
                    "shown": now,
                    "submitted": now - 600_000_000 + place * 5000,
                    "seconds": rng.uniform(10, 90),
                }
            )
            updates.append({"key": one.id, "who": who, "judged": key})
        connection.execute(insert(judgement), rows)
        from sqlalchemy import bindparam

        connection.execute(
            update(slot)
            .where(slot.c.id == bindparam("key"))
            .values(state="done", person_id=bindparam("who"), judgement_id=bindparam("judged")),
            updates,
        )
    return len(rows)


if __name__ == "__main__":
    main()

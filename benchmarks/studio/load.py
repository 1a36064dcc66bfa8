"""Response times under simulated annotators; optionally with kills, an import, a backup.

python benchmarks/studio/load.py --people 50 --seconds 60
python benchmarks/studio/load.py --people 200 --seconds 60 --postgres --workers 2
python benchmarks/studio/load.py --people 30 --kills 50 --think 1
"""

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from checks import check
from people import sign_in, start
from postgres import private_postgres
from server import Server, items, make_studio

from veridical.studio.store.database import Database
from veridical.studio.store.items import add_items


def quantile(values, share):
    """The value below which a share of the values lies, in milliseconds."""
    ordered = sorted(values)
    return round(1000 * ordered[int(share * (len(ordered) - 1))], 1) if ordered else None


def measure(
    *,
    people,
    seconds,
    think,
    count=20_000,
    kills=0,
    postgres=False,
    workers=1,
    importing=0,
    backup=False,
    lease_minutes=30.0,
    seed=0,
):
    """Run one case and give what was seen."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "project"
        url = stack.enter_context(private_postgres()) if postgres else None
        studio = make_studio(
            folder, count, url=url, lease_minutes=lease_minutes, gold_share=0.0, repeat_share=0.02
        )
        sessions = sign_in(studio, people)
        server = Server(folder, workers=workers)
        server.start()
        log, end = start(sessions, server.port, think=think)
        restarts, extra = [], {}
        begun = time.monotonic()
        if importing:
            extra |= _import(studio, folder, importing)
        if backup:
            extra |= _backup(studio, folder)
        if kills:
            draw = random.Random(seed)
            for _ in range(kills):
                time.sleep(draw.uniform(0.3, 2.0))
                server.kill()
                restarts.append(server.start())
        time.sleep(max(0.0, seconds - (time.monotonic() - begun)))
        lasted = time.monotonic() - begun
        end()
        server.kill()
        result = (
            {
                "people": people,
                "think_seconds": think,
                "database": "postgresql" if postgres else "sqlite",
                "workers": workers,
                "items": count,
                "seconds": round(lasted, 1),
                "kills": kills,
                "load_average": round(os.getloadavg()[0], 1),
                "cores": os.cpu_count(),
                "slowest_restart_seconds": round(max(restarts), 2) if restarts else None,
                "submits": len(log.submit_seconds),
                "submit_ms": {p: quantile(log.submit_seconds, s) for p, s in _SHARES},
                "next_ms": {p: quantile(log.next_seconds, s) for p, s in _SHARES},
                "statuses": {str(k): v for k, v in sorted(log.statuses.items())},
                "no_answer": log.broken,
            }
            | extra
            | check(studio, log.acknowledged)
        )
        studio.database.close()
        return result


_SHARES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))


def _import(studio, folder, count):
    """Bring items in while people work, through a database connection of its own process' kind."""
    other = Database(studio.database.url.render_as_string(hide_password=False))
    started = time.perf_counter()
    add_items(other, folder, items(count, start=10_000_000))
    other.close()
    return {"imported": count, "import_seconds": round(time.perf_counter() - started, 1)}


def _backup(studio, folder):
    """Copy the database under load and look whether the copy is whole."""
    time.sleep(2)
    copy = studio.database.backup(folder.parent / "copy.db")
    other = Database(f"sqlite:///{copy}")
    other.migrate()
    found = check(studio._replace(database=other), {})
    other.close()
    return {"backup_intact": found["intact"], "backup_judgements": found["kept"]}


def main():
    """Read the arguments, run, print JSON."""
    parser = argparse.ArgumentParser()
    for name, kind, default in (
        ("people", int, 50),
        ("seconds", float, 60),
        ("think", float, 5),
        ("count", int, 20_000),
        ("kills", int, 0),
        ("workers", int, 1),
        ("importing", int, 0),
        ("lease-minutes", float, 30),
    ):
        parser.add_argument(f"--{name}", type=kind, default=default)
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--backup", action="store_true")
    result = measure(**vars(parser.parse_args()))
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    threading.stack_size(256 * 1024)
    main()

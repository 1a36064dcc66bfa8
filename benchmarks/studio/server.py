"""A studio with drawn items, and its server as a process that can be killed."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time

from veridical.studio.opening import Studio, make_studio_folder
from veridical.studio.settings import StudioSettings
from veridical.studio.store.database import Database
from veridical.studio.store.items import NewItem, add_items
from veridical.studio.store.projects import create_project


def items(count, start=0):
    """Items without a picture: what is measured is the server, not the disk's cache."""
    for number in range(start, start + count):
        prompt = {
            "id": f"p{number}",
            "image": {"path": "", "sha256": None},
            "question": f"What is in picture {number}?",
        }
        response = {
            "id": f"r{number}",
            "prompt_id": f"p{number}",
            "model": "drawn",
            "text": f"Picture {number} shows two cups on a table next to a lamp.",
        }
        yield NewItem(f"r{number}", (), prompt, (response,))


def make_studio(folder, count, *, url=None, overlap=3, **settings) -> Studio:
    """A project to be rated, every item by `overlap` people."""
    database: Database = make_studio_folder(folder, url)
    chosen = StudioSettings(overlap=overlap, overlap_share=1.0, **settings)
    with database.writing() as connection:
        create_project(connection, "load", "rate", chosen, guidelines="Rate.")
    add_items(database, folder, items(count))
    return Studio(folder, database)


class Server:
    """The server in a process of its own."""

    def __init__(self, folder, *, workers=1, port=None):
        self.folder, self.workers, self.port = folder, workers, port or free_port()
        self.process = None

    def start(self):
        """Start and wait until it answers; give the seconds that took."""
        started = time.perf_counter()
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "veridical",
                "studio",
                "open",
                str(self.folder),
                "--port",
                str(self.port),
                "--workers",
                str(self.workers),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while time.perf_counter() - started < 60:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            try:
                connection.request("GET", "/login")
                connection.getresponse().read()
                return time.perf_counter() - started
            except OSError:
                if self.process.poll() is not None:
                    raise RuntimeError("the server did not start") from None
                time.sleep(0.02)
            finally:
                connection.close()
        raise RuntimeError("the server does not answer")

    def kill(self):
        """End it and its workers at once, without a chance to tidy up."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

"""A PostgreSQL server of our own, on a temporary folder and a loopback port; gone afterwards."""

import os
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path


def programs():
    """The folder of initdb and pg_ctl, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    named = shutil.which("initdb")
    return Path(named).parent if named else None


@contextmanager
def private_postgres():
    """Start a server and give the URL of an empty database.

    initdb refuses root, so root runs it as the user "postgres" of Debian's package (or "nobody").
    """
    folder = programs()
    if folder is None:
        raise RuntimeError("no PostgreSQL server: install the package postgresql")
    root = Path(tempfile.mkdtemp(prefix="studio-postgres-"))
    as_user = _as_user(root)
    data = root / "data"
    port = _free_port()

    def run(*words):
        subprocess.run(
            [*as_user, *map(str, words)],
            check=True,
            cwd=root,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    started = False
    try:
        run(folder / "initdb", "-D", data, "-U", "studio", "-A", "trust", "-E", "UTF8")
        options = f"-p {port} -k {root} -c listen_addresses=127.0.0.1 -c max_connections=250"
        run(folder / "pg_ctl", "-D", data, "-l", root / "log", "-w", "-o", options, "start")
        started = True
        run(folder / "createdb", "-h", "127.0.0.1", "-p", port, "-U", "studio", "studio")
        yield f"postgresql+psycopg://studio@127.0.0.1:{port}/studio"
    finally:
        if started:
            run(folder / "pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(root, ignore_errors=True)


def _as_user(root):
    if os.geteuid() != 0:
        return []
    import pwd

    names = {entry.pw_name for entry in pwd.getpwall()}
    user = "postgres" if "postgres" in names else "nobody"
    shutil.chown(root, user)
    return ["setpriv", f"--reuid={user}", "--clear-groups", "--"]


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

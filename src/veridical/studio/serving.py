"""Run the app: one process on SQLite, several on PostgreSQL."""

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from fastapi import FastAPI
from sqlalchemy import Connection

from veridical.errors import ConfigError
from veridical.files import JsonObject
from veridical.progress import log
from veridical.studio.opening import Studio, open_studio
from veridical.studio.store.people import LOGIN_LIFE, add_person, find_person, issue_token
from veridical.studio.web.app import make_app

_PROJECT, _HOSTS, _SECURE = "VERIDICAL_STUDIO", "VERIDICAL_STUDIO_HOSTS", "VERIDICAL_STUDIO_TLS"
LEAD = "lead"
"""Name of the person whom the printed link signs in."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Address(NamedTuple):
    """Where the server listens and by which name people reach it."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8765
    """Port to listen on."""
    public: str = ""
    """Address of the proxy in front, for instance "https://studio.example.org"."""

    @property
    def base(self) -> str:
        """The address that people open."""
        return self.public.rstrip("/") or f"http://{_in_url(self.host)}:{self.port}"

    @property
    def secure(self) -> bool:
        """Whether people reach it by TLS."""
        return self.public.startswith("https://")

    @property
    def hosts(self) -> list[str]:
        """Names under which requests may come."""
        names = [f"{_in_url(host)}:{self.port}" for host in (*_LOOPBACK, self.host)]
        return [*names, urlsplit(self.public).netloc] if self.public else names


def serve_studio(folder: Path, address: Address, *, workers: int = 1) -> None:
    """Serve a project until interrupted; prints a link that signs the lead in.

    Raises:
        ConfigError: The port is taken, or the way of serving is not safe.
    """
    import uvicorn

    if address.host not in _LOOPBACK and not address.public:
        raise ConfigError(
            f"On {address.host} others could read passwords on the way. Put a proxy with TLS in "
            "front and name it: --public https://…; or listen on 127.0.0.1 and use an SSH tunnel."
        )
    studio = open_studio(folder, secure=address.secure)
    if workers > 1 and studio.database.sqlite:
        raise ConfigError("SQLite is served by one process. Use PostgreSQL for several workers.")
    _check_port(address)
    log(f"Open {login_link(studio, LEAD, address)}")
    log("The link signs you in once, within 10 minutes. Stop with Ctrl+C.")
    if workers == 1:
        app = make_app(studio, hosts=address.hosts)
        uvicorn.run(app, **_server(address))
        studio.database.close()
        return
    studio.database.close()
    os.environ |= {
        _PROJECT: str(folder),
        _HOSTS: ",".join(address.hosts),
        _SECURE: "yes" if address.secure else "",
    }
    factory = "veridical.studio.serving:app_from_environment"
    uvicorn.run(factory, factory=True, workers=workers, **_server(address))


def _server(address: Address) -> JsonObject:
    """Settings of the server; connections stay open while people look at a picture."""
    return {
        "host": address.host,
        "port": address.port,
        "access_log": False,  # paths name items
        "log_level": "warning",
        "timeout_keep_alive": 120,
    }


def app_from_environment() -> FastAPI:
    """The app of one of several processes; for process managers such as gunicorn, too.

    Reads `VERIDICAL_STUDIO` (the project's folder), `VERIDICAL_STUDIO_HOSTS` (names with commas)
    and `VERIDICAL_STUDIO_TLS` (anything where people come by TLS).
    """
    studio = open_studio(Path(os.environ[_PROJECT]), secure=bool(os.environ.get(_SECURE)))
    hosts: Sequence[str] = os.environ[_HOSTS].split(",")
    return make_app(studio, hosts=hosts)


def login_link(
    studio: Studio, name: str, address: Address, *, role: str = "lead", source: str = "human"
) -> str:
    """A link that signs somebody in once; they are added where they are new."""
    with studio.database.writing() as connection:
        row = find_person(connection, name)
        number = row.id if row is not None else _add(connection, name, role, source)
        secret = issue_token(connection, "login", life=LOGIN_LIFE, person_id=number)
    return f"{address.base}/join#{secret}"


def _add(connection: Connection, name: str, role: str, source: str) -> int:
    if role not in ("annotator", "lead"):
        raise ConfigError(f"A role is annotator or lead, got {role!r}.")
    return add_person(connection, name, role=role, source=source)


def _check_port(address: Address) -> None:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError as error:
            raise ConfigError(
                f"Cannot listen on {address.host}:{address.port}: {error.strerror}. "
                "Choose another port: --port N."
            ) from error


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host

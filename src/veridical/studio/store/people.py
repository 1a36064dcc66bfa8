"""People, their sessions, and the links that let them in.

A link carries its secret after "#", so that it reaches neither the server's log nor another site's.
The database keeps only hashes of secrets. Passwords are optional: scrypt with a salt of their own.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from veridical.errors import ConfigError
from veridical.studio.store.database import now_ms
from veridical.studio.store.schema import attempt, person, token

MINUTE = 60_000
DAY = 24 * 60 * MINUTE
SESSION_LIFE = 30 * DAY
LOGIN_LIFE = 10 * MINUTE
TRIES = 5
"""Failed logins per minute, by name and by address."""

_NAME = re.compile(r"[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]{0,78}[^\s\x00-\x1f\x7f])?")
_SCRYPT = {"n": 2**14, "r": 8, "p": 1, "maxmem": 64 * 2**20}


class Person(NamedTuple):
    """Somebody who is signed in."""

    id: int
    """Number in the database."""
    name: str
    """The pseudonym under which judgements are exported."""
    role: str
    """"lead" or "annotator"."""
    session: str
    """Hash of the session's secret; keys the token that guards changes."""


def add_person(
    connection: Connection,
    name: str,
    *,
    role: str = "annotator",
    password: str | None = None,
    source: str = "human",
) -> int:
    """Add somebody and give their number.

    Raises:
        ConfigError: The name is taken or cannot be used.
    """
    name = name.strip()
    if not _NAME.fullmatch(name):
        raise ConfigError(f"A name is 1 to 80 characters on one line, got {name[:80]!r}.")
    taken = connection.scalar(select(person.c.id).where(func.lower(person.c.name) == name.lower()))
    if taken is not None:
        raise ConfigError(f"The name {name!r} is taken. Choose another.")
    values = {
        "name": name,
        "role": role,
        "source": source,
        "password": hash_password(password) if password else None,
        "active": True,
        "created": now_ms(),
    }
    made = connection.execute(insert(person).values(values)).inserted_primary_key
    return int(made[0]) if made else 0


def find_person(connection: Connection, name: str) -> Row[Any] | None:
    """The row of a person by name."""
    return connection.execute(select(person).where(person.c.name == name)).first()


def list_people(connection: Connection) -> Sequence[Row[Any]]:
    """Everybody, by name."""
    return connection.execute(select(person).order_by(person.c.name)).all()


def issue_token(
    connection: Connection,
    kind: str,
    *,
    life: int,
    person_id: int | None = None,
    role: str | None = None,
    uses: int = 1,
) -> str:
    """Make a secret of 128 bits and keep its hash; give the secret."""
    secret = secrets.token_urlsafe(16)
    connection.execute(
        insert(token).values(
            sha256=_digest(secret),
            kind=kind,
            person_id=person_id,
            role=role,
            uses_left=uses,
            expires=now_ms() + life,
            created=now_ms(),
        )
    )
    return secret


def look_up(connection: Connection, secret: str, kinds: Sequence[str]) -> Row[Any] | None:
    """The token of a secret where it is still good; uses nothing up."""
    return connection.execute(
        select(token).where(
            token.c.sha256 == _digest(secret),
            token.c.kind.in_(kinds),
            token.c.uses_left > 0,
            token.c.expires > now_ms(),
        )
    ).first()


def use_up(connection: Connection, row: Row[Any]) -> bool:
    """Take one use of a token; False where somebody else took the last one first."""
    done = connection.execute(
        update(token)
        .where(token.c.id == row.id, token.c.uses_left > 0)
        .values(uses_left=token.c.uses_left - 1)
    )
    return done.rowcount == 1


def revoke(connection: Connection, token_id: int) -> None:
    """Make an invitation or link useless."""
    connection.execute(update(token).where(token.c.id == token_id).values(uses_left=0))


def end_session(connection: Connection, who: Person) -> None:
    """Sign somebody out of one browser."""
    connection.execute(delete(token).where(token.c.sha256 == who.session))


def end_sessions(connection: Connection, person_id: int) -> None:
    """Sign somebody out everywhere."""
    connection.execute(delete(token).where(token.c.person_id == person_id))


def signed_in(connection: Connection, secret: str) -> Person | None:
    """Who a session's secret belongs to; None where it is unknown, over or closed."""
    digest = _digest(secret)
    row = connection.execute(
        select(person.c.id, person.c.name, person.c.role)
        .join(token, token.c.person_id == person.c.id)
        .where(
            token.c.sha256 == digest,
            token.c.kind == "session",
            token.c.expires > now_ms(),
            person.c.active,
        )
    ).first()
    return Person(row.id, row.name, row.role, digest) if row is not None else None


def change_token(secret: str, session: str) -> str:
    """The token that a page must send along with every change (against forged requests)."""
    return hmac.new(secret.encode(), session.encode(), hashlib.sha256).hexdigest()[:32]


def hash_password(password: str) -> str:
    """Salted scrypt, as text."""
    salt = secrets.token_bytes(16)
    return f"{salt.hex()}${hashlib.scrypt(password.encode(), salt=salt, dklen=32, **_SCRYPT).hex()}"


def check_password(connection: Connection, name: str, password: str) -> int | None:
    """The number of the person whose name and password these are.

    Takes as long for unknown names.
    """
    row = find_person(connection, name)
    kept = row.password if row is not None and row.active and row.password else "00" * 16 + "$"
    salt, _, wanted = kept.partition("$")
    found = hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"), salt=bytes.fromhex(salt), dklen=32, **_SCRYPT
    ).hex()
    return int(row.id) if row is not None and hmac.compare_digest(found, wanted) else None


def too_many_tries(connection: Connection, keys: Sequence[str]) -> bool:
    """Whether one of these names or addresses failed too often within the last minute."""
    counts = connection.execute(
        select(func.count())
        .where(attempt.c.who.in_(keys), attempt.c.at > now_ms() - MINUTE)
        .group_by(attempt.c.who)
    ).scalars()
    return any(count >= TRIES for count in counts)


def note_failure(connection: Connection, keys: Sequence[str]) -> None:
    """Remember a failed login; forget those older than an hour."""
    connection.execute(delete(attempt).where(attempt.c.at < now_ms() - 60 * MINUTE))
    connection.execute(insert(attempt), [{"who": key, "at": now_ms()} for key in keys])


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()

"""People and their personal codes. Only a scrypt hash is kept; a code is shown once, when it is made."""

from __future__ import annotations

import getpass
import hashlib
import hmac
import os
import secrets
from datetime import UTC, datetime

from sqlalchemy import insert, select, update

from rollout.errors import ApprovalError, ConfigError
from rollout.journal import audit_trail
from rollout.journal.schema import person
from rollout.journal.store import Journal

MAX_FAILURES = 10
"""Wrong codes in a row after which a person needs a new one."""
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without characters that look alike."""


def add(journal: Journal, name: str, *, replace: bool = False) -> str:
    """Add a person; answers their code.

    Args:
        journal: Where the person is kept.
        name: What they are called.
        replace: Give somebody who is known already a new code.

    Raises:
        ConfigError: Somebody is called so already, and nobody asked to replace their code.
    """
    if not name.strip() or not _can_be_kept(name):
        raise ConfigError("a person needs a name", hint="rollout people add NAME")
    code = "-".join("".join(secrets.choice(ALPHABET) for _ in range(5)) for _ in range(3))
    salt = os.urandom(16)
    values = {"salt": salt, "code_hash": _hash(code, salt), "failures": 0, "revoked_at": None}
    who = (person.c.project_id == journal.project_id, person.c.name == name)
    with journal.transaction() as connection:
        known = connection.execute(select(person.c.name).where(*who).with_for_update()).first() is not None
        if known and not replace:
            raise ConfigError(f"'{name}' has a code already", hint="a new one takes its place with --replace")
        if known:
            connection.execute(update(person).where(*who).values(**values))
        else:
            connection.execute(
                insert(person).values(project_id=journal.project_id, name=name, created_at=datetime.now(UTC), **values)
            )
        action = "people.code_replaced" if known else "people.added"
        audit_trail.append(connection, journal.project_id, os_user(), action, name, {})
    return code


def os_user() -> str:
    """Who runs this process: the only person the journal can name before a code is checked."""
    try:
        return f"os:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"os:{os.getuid()}"


def names(journal: Journal) -> list[str]:
    """People who may decide."""
    query = select(person.c.name).where(person.c.project_id == journal.project_id, person.c.revoked_at.is_(None))
    with journal.transaction() as connection:
        return sorted(connection.execute(query).scalars())


def revoke(journal: Journal, name: str) -> None:
    """A person may no longer decide; what they decided stays."""
    with journal.transaction() as connection:
        known = connection.execute(
            update(person)
            .where(person.c.project_id == journal.project_id, person.c.name == name)
            .values(revoked_at=datetime.now(UTC))
        ).rowcount
        if not known:
            raise ConfigError(f"nobody is called '{name}' here", hint="see `rollout people list`")
        audit_trail.append(connection, journal.project_id, os_user(), "people.revoked", name, {})


def sign(journal: Journal, name: str, code: str, reason: str) -> None:
    """Raise ApprovalError unless the code is that person's, and there is a reason that can be kept."""
    if not reason.strip():
        raise ApprovalError("a reason is needed: it is kept and printed", hint="say why in a sentence")
    if not _can_be_kept(reason):
        raise ApprovalError("the reason holds characters that cannot be kept", hint="write it in UTF-8, as plain text")
    check(journal, name, code)


def check(journal: Journal, name: str, code: str) -> None:
    """Raise ApprovalError unless the code is that person's."""
    if not _can_be_kept(name + code):
        raise ApprovalError("name or code hold characters that nobody's have", hint="write them in UTF-8")
    where = (person.c.project_id == journal.project_id, person.c.name == name, person.c.revoked_at.is_(None))
    with journal.transaction() as connection:
        row = connection.execute(select(person).where(*where).with_for_update()).first()
        right = row is not None and hmac.compare_digest(row.code_hash, _hash(code, row.salt))
        locked = row is not None and row.failures >= MAX_FAILURES
        if row is not None and not locked:
            connection.execute(update(person).where(*where).values(failures=0 if right else row.failures + 1))
    if locked:
        raise ApprovalError(
            f"'{name}' gave a wrong code {MAX_FAILURES} times",
            hint=f"make a new one: rollout people add {name} --replace",
        )
    if not right:
        raise ApprovalError(
            f"'{name}' and the code do not belong together",
            hint="check the name with `rollout people list`; `rollout people add NAME --replace` replaces a lost code",
        )


def _can_be_kept(text: str) -> bool:
    """Whether PostgreSQL takes it: no NUL, and no bytes that the terminal's encoding could not read."""
    return "\0" not in text and text.encode(errors="replace").decode() == text


def _hash(code: str, salt: bytes) -> bytes:
    return hashlib.scrypt(code.strip().lower().encode(), salt=salt, n=2**14, r=8, p=1)

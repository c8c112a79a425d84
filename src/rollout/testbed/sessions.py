"""Who is calling: passwords become tokens, tokens become users, until they expire."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select
from sqlalchemy.engine import Engine

from rollout.testbed.passwords import PasswordCheck, hash_password, hash_token
from rollout.testbed.tables import tokens, users


@dataclass(frozen=True, slots=True)
class Grant:
    """A token and how long it holds, seconds."""

    token: str
    expires_at: datetime
    lifetime_s: int


class Sessions:
    """Issues and checks tokens. Only their hashes are stored.

    Args:
        engine: The CRM's database.
        lifetime_s: How long a token holds.
        clock: Aware UTC time.
    """

    def __init__(self, engine: Engine, *, lifetime_s: int, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._lifetime_s = lifetime_s
        self._clock = clock
        self._passwords = PasswordCheck()
        # Checked against when the login is unknown, so that the time of the answer does not tell which logins exist.
        self._nobody = hash_password(secrets.token_hex())

    def log_in(self, login: str, password: str) -> Grant | None:
        """A new token, or None if login and password do not match an active user."""
        with self._engine.connect() as connection:
            hashed = connection.scalar(select(users.c.password_hash).where(users.c.login == login, users.c.active))
        if not self._passwords.matches(password, hashed or self._nobody) or hashed is None:
            return None
        now = self._clock()
        grant = Grant(secrets.token_urlsafe(32), now + timedelta(seconds=self._lifetime_s), self._lifetime_s)
        with self._engine.begin() as connection:
            connection.execute(delete(tokens).where(tokens.c.expires_at < now))
            connection.execute(
                insert(tokens).values(token_hash=hash_token(grant.token), login=login, expires_at=grant.expires_at)
            )
        return grant

    def user_of(self, token: str) -> str | None:
        """The login a token was given to, or None if it is unknown or has expired."""
        statement = (
            select(tokens.c.login)
            .join(users, users.c.login == tokens.c.login)
            .where(tokens.c.token_hash == hash_token(token), tokens.c.expires_at > self._clock(), users.c.active)
        )
        with self._engine.connect() as connection:
            return connection.scalar(statement)

    def role_of(self, login: str) -> str | None:
        """What this user is."""
        with self._engine.connect() as connection:
            return connection.scalar(select(users.c.role).where(users.c.login == login))

    def log_out(self, token: str) -> None:
        """Make a token worthless."""
        with self._engine.begin() as connection:
            connection.execute(delete(tokens).where(tokens.c.token_hash == hash_token(token)))

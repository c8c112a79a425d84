"""Hashing of passwords (scrypt, salted) and of tokens (SHA-256: they are random, so nothing can be guessed)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading

_COST, _BLOCK, _PARALLEL = 2**14, 8, 1


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode("utf-8", "surrogatepass"), salt=salt, n=_COST, r=_BLOCK, p=_PARALLEL)


def hash_password(password: str) -> str:
    """Salt and hash, as text."""
    salt = secrets.token_bytes(16)
    return f"{base64.b64encode(salt).decode()}${base64.b64encode(_scrypt(password, salt)).decode()}"


def password_matches(password: str, hashed: str) -> bool:
    """Whether the password is the one that was hashed; takes the same time either way."""
    salt, _, expected = hashed.partition("$")
    return hmac.compare_digest(_scrypt(password, base64.b64decode(salt)), base64.b64decode(expected))


class PasswordCheck:
    """Checks passwords; one that was right is right again without the cost of hashing it anew.

    Hashing takes a core and 16 MB for some 50 ms on purpose, so a hundred people who log in at once would stop the
    CRM for everybody else. What is remembered is a digest under a key of this process alone, and only of right ones.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._right: dict[str, bytes] = {}
        self._one_at_a_time = threading.Lock()

    def matches(self, password: str, hashed: str) -> bool:
        """Whether the password is the one that was hashed."""
        digest = hmac.digest(self._key, password.encode("utf-8", "surrogatepass"), "sha256")
        if self._remembers(digest, hashed):
            return True
        with self._one_at_a_time:
            if self._remembers(digest, hashed):
                return True
            if not password_matches(password, hashed):
                return False
            self._right[hashed] = digest
            return True

    def _remembers(self, digest: bytes, hashed: str) -> bool:
        return hmac.compare_digest(self._right.get(hashed, b""), digest)


def hash_token(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()

"""Sealing of personal data: one data key a plan, wrapped by the key ring; destroying the wrapped key destroys the data.

Format of a sealed value: 12 bytes nonce, then AES-256-GCM ciphertext and tag over canonical JSON. The
associated data binds a value to its place, so that a sealed value moved to another row does not open.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from rollout.errors import ConfigError

KEY_BYTES = 32
NONCE_BYTES = 12


def canonical_json(value: object) -> bytes:
    """The one JSON text of a value: sorted keys, no spaces, UTF-8."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


@dataclass(frozen=True)
class KeyRing:
    """Keys that wrap data keys, newest first. Rotation puts a new key in front and rewraps."""

    keys: tuple[bytes, ...]

    @classmethod
    def parse(cls, text: str) -> KeyRing:
        """Parse ``ROLLOUT_KEYS``: base64 keys of 32 bytes, comma or white space between them, current one first."""
        try:
            keys = tuple(base64.b64decode(part, validate=True) for part in text.replace(",", " ").split())
        except binascii.Error as error:
            raise ConfigError("ROLLOUT_KEYS is not base64", hint="make a key with `openssl rand -base64 32`") from error
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ConfigError(
                "ROLLOUT_KEYS needs keys of 32 bytes in base64", hint="make a key with `openssl rand -base64 32`"
            )
        return cls(keys)

    @staticmethod
    def generate() -> str:
        """The text of a new key."""
        return base64.b64encode(os.urandom(KEY_BYTES)).decode()

    @property
    def current_id(self) -> str:
        """Id of the key that wraps new data keys."""
        return key_id(self.keys[0])

    def wrap(self, data_key: bytes, label: str) -> bytes:
        """Wrap a data key with the current key; the label is bound to it."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + AESGCM(self.keys[0]).encrypt(nonce, data_key, label.encode())

    def unwrap(self, wrapped: bytes, wrapped_by: str, label: str) -> bytes:
        """Unwrap a data key. Raises ConfigError if its key is not in the ring."""
        for key in self.keys:
            if key_id(key) == wrapped_by:
                try:
                    return AESGCM(key).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], label.encode())
                except InvalidTag as error:
                    raise ConfigError(
                        f"data key {label} is damaged", hint="restore the journal from a backup"
                    ) from error
        raise ConfigError(
            f"data key {label} is wrapped by key {wrapped_by}, which ROLLOUT_KEYS does not hold",
            hint="add the old key behind the current one in ROLLOUT_KEYS, or restore the workspace's key file",
        )


def key_id(key: bytes) -> str:
    """A key's public name: it can be printed."""
    return hashlib.sha256(b"rollout-key:" + key).hexdigest()[:12]


class Sealer:
    """Seals and opens JSON values under one data key, and makes keyed digests of them. Thread-safe."""

    def __init__(self, key_id: str, data_key: bytes) -> None:
        self.key_id = key_id
        self._aead = AESGCM(data_key)
        self._mac_key = hashlib.sha256(b"digest:" + data_key).digest()

    def seal(self, value: object, place: str) -> bytes:
        """Seal a JSON value; ``place`` must be the same when it is opened."""
        return self.seal_json(canonical_json(value), place)

    def seal_json(self, text: bytes, place: str) -> bytes:
        """Seal a value whose canonical JSON is at hand."""
        return self.seal_all([text], [place])[0]

    def seal_all(self, texts: Sequence[bytes], places: Sequence[str]) -> list[bytes]:
        """Seal many values whose canonical JSON is at hand, each for its place.

        All nonces are drawn at once: with each draw the thread lets go of the interpreter, and where others are at
        work it takes far longer to get it back than to seal a value.
        """
        nonces, encrypt = os.urandom(NONCE_BYTES * len(texts)), self._aead.encrypt
        return [
            (nonce := nonces[start : start + NONCE_BYTES]) + encrypt(nonce, text, place.encode())
            for start, text, place in zip(range(0, len(nonces), NONCE_BYTES), texts, places, strict=True)
        ]

    def open(self, sealed: bytes, place: str) -> Any:
        """Open a sealed value. Raises ConfigError when it was altered or moved."""
        return self.open_all([sealed], [place])[0]

    def open_all(self, sealed: Sequence[bytes], places: Sequence[str]) -> list[Any]:
        """Open many sealed values, each of its place. Raises ConfigError when one was altered or moved."""
        opened: list[Any] = []
        decrypt, loads = self._aead.decrypt, orjson.loads
        try:
            for value, place in zip(sealed, places, strict=True):
                opened.append(loads(decrypt(value[:NONCE_BYTES], value[NONCE_BYTES:], place.encode())))
        except InvalidTag as error:
            raise ConfigError(
                f"the sealed value of {places[len(opened)]} does not open: it was altered or moved",
                hint="restore the journal from a backup",
            ) from error
        return opened

    def fingerprints(self, place: str) -> Callable[[str, str | None], str]:
        """Fingerprints of one record's values: (field, value) → keyed digest (64 bit) in hexadecimal, "" for None.

        It tells whether a value is still the same, and nothing else: equal values of other records or fields differ.
        """
        begin = hashlib.blake2b(place.encode(), key=self._mac_key, digest_size=8).copy

        def fingerprint(name: str, value: str | None) -> str:
            if value is None:
                return ""
            digest = begin()
            digest.update(f"\x1f{name}\x1f{value}".encode())
            return digest.hexdigest()

        return fingerprint

    def digest(self, text: bytes) -> str:
        """Keyed digest (BLAKE2b, 128 bit) of canonical JSON: meaningless without the data key."""
        return hashlib.blake2b(text, key=self._mac_key, digest_size=16).hexdigest()

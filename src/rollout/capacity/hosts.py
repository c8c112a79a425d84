"""Which addresses may be put under load: those the project lists, and no other."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from rollout.errors import ConfigError

_PORTS = {"http": 80, "https": 443}


def allowed(address: str, hosts: Iterable[str]) -> str:
    """The address as `scheme://host:port`, if it is listed.

    Args:
        address: The base URL of the system under test.
        hosts: `loadtest.hosts` of the project.

    Raises:
        ConfigError: It is not listed, or either is no address of the form scheme://host[:port].
    """
    asked = _origin(address, "the address of the system under test")
    listed = [_origin(host, "an entry of `loadtest.hosts`") for host in hosts]
    if asked not in listed:
        raise ConfigError(
            f"{_text(asked)} may not be put under load",
            where="rollout.yaml: loadtest.hosts",
            hint=f"it lists {', '.join(map(_text, listed))}; add an address only if everybody who works there agrees",
        )
    return _text(asked)


def _origin(address: str, what: str) -> tuple[str, str, int]:
    try:
        parts = urlsplit(address)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in _PORTS or not parts.hostname or port is None or parts.username or parts.password:
        raise ConfigError(
            f"{what} is no address: '{address.rpartition('@')[2]}'",
            where="rollout.yaml: loadtest.hosts",
            hint="write scheme, host and port, such as https://crm-test.example.com:8443",
        )
    return parts.scheme, parts.hostname.rstrip("."), port


def _text(origin: tuple[str, str, int]) -> str:
    scheme, host, port = origin
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"

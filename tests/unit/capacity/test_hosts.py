"""No address is put under load that the project does not list."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from rollout.capacity.hosts import allowed
from rollout.errors import ConfigError
from rollout.project.spec_around import LoadTestSection

LISTED = ("http://crm-test.example.com:8080", "https://CRM.example.com")


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("http://crm-test.example.com:8080", "http://crm-test.example.com:8080"),
        ("http://CRM-test.example.com:8080/", "http://crm-test.example.com:8080"),
        ("https://crm.example.com", "https://crm.example.com:443"),
        ("https://crm.example.com:443/any/path", "https://crm.example.com:443"),
    ],
)
def test_scheme_host_and_port_decide(address, origin):
    assert allowed(address, LISTED) == origin


@pytest.mark.parametrize(
    "address",
    [
        "http://crm.example.com",  # another scheme
        "https://crm.example.com:8443",  # another port
        "https://crm.example.com.evil.example",  # another host
        "https://evil.example/https://crm.example.com",
        "https://crm.example.com@evil.example",
    ],
)
def test_anything_else_is_refused(address):
    with pytest.raises(ConfigError):
        allowed(address, LISTED)


def test_the_refusal_says_what_is_listed():
    with pytest.raises(ConfigError, match=r"crm-prod\.example\.com:443 may not .*http://crm-test\.example\.com:8080"):
        allowed("https://crm-prod.example.com", LISTED)


@pytest.mark.parametrize("entry", ["", "crm.example.com", "ftp://crm.example.com", "http://", "http://crm:x", "*"])
def test_an_entry_that_is_no_address_is_an_error_and_no_wildcard(entry):
    with pytest.raises(ConfigError, match="is no address"):
        allowed("https://crm.example.com", [entry])


@pytest.mark.parametrize("think_s", [(3.0, 1.0), (-1.0, 1.0)])
def test_pauses_are_in_order(think_s):
    with pytest.raises(ValidationError, match="shortest pause comes first"):
        LoadTestSection(hosts=LISTED, username="u", password="p", think_s=think_s)

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest


@pytest.fixture
def parse() -> Callable[[str], ET.Element]:
    """Parses a document strictly: our HTML is also well-formed XML, so an open or crossed tag is an error."""

    def parsed(html: str) -> ET.Element:
        assert html.startswith("<!DOCTYPE html>")
        return ET.fromstring(html)

    return parsed

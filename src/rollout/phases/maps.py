"""The tables that people keep for mappings, read from their CSV files."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rollout.errors import ConfigError
from rollout.mapping.transforms_maps import CodeMap
from rollout.mapping.transforms_text import lookup_key

_CODE_COLUMNS = ("company", "code", "customer")


def read_map(path: Path, key: str, value: str, *, shown: str) -> Mapping[str, str]:
    """A two-column CSV (UTF-8, BOM allowed), keys folded by `lookup_key`.

    Raises:
        ConfigError: The file cannot be read, lacks a column, has a line without key or value, or maps one key twice to
            different values. Names the line.
    """
    table: dict[str, str] = {}
    for where, (raw, result) in _lines(path, (key, value), shown):
        if table.setdefault(lookup_key(raw), result) != result:
            told = f"'{raw}' is mapped to '{table[lookup_key(raw)]}' and to '{result}'"
            raise ConfigError(told, where=where, hint="keep one of the two lines")
    return table


def read_code_map(path: Path, *, shown: str) -> CodeMap:
    """A CSV of the columns company, code, customer (UTF-8, BOM allowed).

    Raises:
        ConfigError: The file cannot be read, lacks a column, has a line that lacks one of them, or gives one code of a
            company to two customers. Names the line.
    """
    companies: dict[str, dict[str, str]] = {}
    for where, (company, code, customer) in _lines(path, _CODE_COLUMNS, shown):
        codes = companies.setdefault(lookup_key(company), {})
        if codes.setdefault(lookup_key(code), customer) != customer:
            told = f"code '{code}' of {company} is '{codes[lookup_key(code)]}' and '{customer}'"
            raise ConfigError(told, where=where, hint="a code is one customer's: keep one of the two lines")
    return companies


def _lines(path: Path, columns: Sequence[str], shown: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The lines that hold anything, each whole, with the place of each."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            if not {*columns} <= set(reader.fieldnames or ()):
                told = f"the columns {', '.join(columns)} are needed"
                raise ConfigError(told, where=f"{shown}:1", hint="name them in line 1")
            for row in reader:
                cells = tuple((row[column] or "").strip() for column in columns)
                where = f"{shown}:{reader.line_num}"
                if any(cells) and not all(cells):
                    both = "both columns" if len(columns) == 2 else "all columns"  # noqa: PLR2004 - a word for two
                    raise ConfigError(f"a line needs {both}", where=where, hint="fill it in or remove the line")
                if any(cells):
                    yield where, cells
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        told = f"the map cannot be read ({error})"
        raise ConfigError(told, where=shown, hint="save it as CSV in UTF-8") from error

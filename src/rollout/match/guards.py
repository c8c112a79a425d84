"""What must not be merged without a person: rows that contradict each other, whatever else they agree on."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rollout.match.components import Ints
from rollout.match.parquet import quoted, scan
from rollout.match.spec import Guards

BRANCH = "branch"
"""Trait of a company and its branches."""
_MARKS = "分公司|分厂|分店|分行|支行|分部|分院|分校|分社|办事处|营业部|项目部"
_MARKED = re.compile(rf"(?P<before>.*?)(?:{_MARKS})[)）\]】]*$")
_WHOLE = re.compile(r".*(?:公司|集团|厂|银行|医院|学校|大学|商店|中心|事务所)")
_NO_PLACE = re.compile(r"[\s()（）\[\]【】·,，-]|[省市区县]$")
_PLACE_CHARACTERS = 2


@dataclass(frozen=True)
class Traits:
    """The rows that may be merged or reviewed, in the order of their source keys: a *node* is a place in it.

    So nothing that is decided by the order of nodes depends on the order of rows.
    """

    rows: Ints
    """Row of the clean stage, by node."""
    keys: Any
    """Source key, by node: an Arrow array."""
    values: Mapping[str, Ints]
    """What rows must agree on, by node: a number for each value, -1 where there is none. By what it is of:
    `code.FIELD`, `across.FIELD`, `branch`."""

    def __len__(self) -> int:
        """Nodes."""
        return len(self.rows)

    def nodes(self, rows: Ints) -> Ints:
        """The nodes of rows, all of which are among them."""
        found: Ints = self._places[rows]
        return found

    @cached_property
    def _places(self) -> Ints:
        """By row its node."""
        places = np.zeros(int(self.rows.max(initial=-1)) + 1, np.int64)
        places[self.rows] = np.arange(len(self.rows))
        return places


def read_traits(
    connection: duckdb.DuckDBPyConnection,
    clean: Path,
    rows: Ints,
    *,
    fields: Mapping[str, str],
    guards: Guards,
    codes: Sequence[str],
) -> Traits:
    """Read what guards ask of rows.

    Args:
        connection: Gets the name `guarded`, which is gone again afterwards.
        clean: Parquet of the clean stage.
        rows: Distinct rows of it.
        fields: Field → the stage's column.
        guards: What rows must agree on.
        codes: Fields that hold a company's registered code: two different ones are two companies.
    """
    wanted = {f"code.{name}": fields[name] for name in codes} | {
        f"across.{name}": fields[name] for name in guards.across
    }
    if guards.branches is not None:
        wanted[BRANCH] = fields[guards.branches]
    columns = "".join(f", {quoted(column)} AS t{at}" for at, column in enumerate(wanted.values()))
    connection.register("guarded", pa.table({"row": rows}))
    try:
        table = connection.query(
            f"SELECT guarded.row, _source_key{columns} FROM guarded"  # noqa: S608
            f" JOIN {scan(clean)} AS clean ON clean.file_row_number = guarded.row ORDER BY _source_key"
        ).to_arrow_table()
    finally:
        connection.unregister("guarded")
    return Traits(
        rows=table["row"].to_numpy(),
        keys=table["_source_key"].combine_chunks(),
        values={
            trait: _numbered(_branches(table[f"t{at}"]) if trait == BRANCH else table[f"t{at}"])
            for at, trait in enumerate(wanted)
        },
    )


def branch_of(name: str) -> str:
    """Which branch a company's name is of; "" of one that names none.

    The two characters before the mark tell branches of one company apart, however their place is written:
    `甲有限公司上海分公司`, `甲（上海市）分公司` → `上海`.
    """
    marked = _MARKED.match(name.strip())
    if marked is None:
        return ""
    place = _WHOLE.sub("", marked["before"], count=1)
    while place != (shorter := _NO_PLACE.sub("", place)):
        place = shorter
    return place[-_PLACE_CHARACTERS:] or "?"


def proves_nothing(whys: Sequence[str | None], never_alone: Sequence[str]) -> Any:
    """Of which pairs all that speaks for them are fields whose agreement alone proves nothing.

    Args:
        whys: JSON of each pair: [[field, level, weight], ...].
        never_alone: Those fields.

    Returns:
        A boolean array.
    """
    weak = set(never_alone)
    return np.array(
        [
            bool(weak) and not any(weight > 0 and field not in weak for field, _, weight in json.loads(why or "[]"))
            for why in whys
        ],
        np.bool_,
    )


def _branches(names: Any) -> Any:
    """The branch of each name; only names that have a mark are looked at one by one."""
    whole = names.combine_chunks() if isinstance(names, pa.ChunkedArray) else names
    marked = pc.fill_null(pc.match_substring_regex(whole, _MARKS), False)
    found = pa.array([branch_of(name) for name in whole.filter(marked).to_pylist()], pa.string())
    plain = pc.if_else(pc.is_valid(whole), pa.scalar(""), pa.scalar(None, pa.string()))
    return pc.replace_with_mask(plain, marked, found)


def _numbered(values: Any) -> Ints:
    """A number for each value, -1 for null."""
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    numbers = whole.dictionary_encode().indices
    found: Ints = pc.fill_null(numbers, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return found

"""What every transform is made of: its context, its answer, and the Arrow helpers that keep it vectorised.

A transform sees a whole column at once. Most cells of real data are in order or nearly so: a regular expression in
Arrow's kernel finds those, and only what is left goes, each distinct value once, through a function for one value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from rollout.model.base import Frozen

if TYPE_CHECKING:  # a second to import, which checking a mapping should not cost
    import pandas as pd

Scalar = Callable[[str], tuple[str | None, str | None]]
"""One cell in; its canonical text and a reason code out. See `Coded`."""


@dataclass(frozen=True)
class TransformContext:
    """What transforms may know besides the cell. Files are already loaded, so a transform stays pure."""

    phone_region: str = "CN"
    """Region of numbers without country code."""
    placeholders: tuple[str, ...] = ()
    """Cell texts that mean "no value"; compared without regard to case."""
    time_zone: str = "Asia/Shanghai"
    """Zone of instants that carry none."""
    value_maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Loaded value maps by file, as the mapping names it; keys folded by `lookup_key`."""
    owner_map: Mapping[str, str] = field(default_factory=dict)
    """Users of the target by legacy name, folded by `lookup_key`."""
    owner_default: str | None = None
    """User who gets the rows of owners that the map does not know; None: such rows are a problem."""
    owner_pool: str = "公海"
    """How maps and cells say that a record belongs to nobody."""
    owner_pool_user: str | None = None
    """User that stands for the pool; None: the owner is left empty."""
    code_maps: Mapping[str, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)
    """Loaded code maps by file: by company its codes and their customers, keys folded by `lookup_key`."""


MEANT_EMPTY = ("owner_pool",)
"""Codes beside a null that is as it should be: a remark, no problem."""


@dataclass(frozen=True)
class Coded:
    """A column (`pyarrow.StringArray`) and its reason codes (same length, or None if there are none at all).

    A code beside a null is a *problem*: there was a value and it could not be used. A code beside a value is a
    *remark*: the value is good, but a person should know something about it.
    """

    values: Any
    codes: Any = None


@dataclass(frozen=True)
class Transformed:
    """`Coded` as pandas Series over the caller's index, Arrow-backed text."""

    canonical: pd.Series[Any]
    codes: pd.Series[Any]

    @property
    def problems(self) -> pd.Series[Any]:
        """Codes of the cells whose value could not be used, null elsewhere."""
        return self.codes.where(self.canonical.isna())

    @property
    def remarks(self) -> pd.Series[Any]:
        """Codes beside values that are good nevertheless, null elsewhere."""
        return self.codes.where(self.canonical.notna())


class NoArgs(Frozen):
    """The arguments of a transform that takes none."""


ColumnFunction = Callable[[Any, Any, TransformContext], Coded]
"""(column of tidied text, validated arguments, context) → `Coded`."""


@dataclass(frozen=True)
class Transform:
    """An entry of the registry."""

    name: str
    summary: str
    column: ColumnFunction
    args: type[Frozen] = NoArgs


def to_arrow(values: pd.Series[Any]) -> Any:
    """The one contiguous `pyarrow.StringArray` of a text column."""
    array = pa.array(values, from_pandas=True)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    return array if array.type == pa.string() else array.cast(pa.string())


def to_series(array: Any, index: pd.Index[Any] | None = None, name: Any = None) -> pd.Series[Any]:
    """An Arrow array as a pandas Series, without a copy."""
    import pandas as pd  # noqa: PLC0415 - see above

    return pd.Series(pd.arrays.ArrowExtensionArray(array), index=index, name=name)


def nulls(length: int) -> Any:
    """A text column without any value."""
    return pa.nulls(length, pa.string())


def matches(values: Any, pattern: str) -> Any:
    """Where the RE2 pattern is found; False for nulls."""
    return pc.fill_null(pc.match_substring_regex(values, pattern), False)


def pending(values: Any, done: Any) -> Any:
    """Where there is a value and it is not done yet."""
    return pc.and_(pc.is_valid(values), pc.invert(done))


def by_scalar(values: Any, function: Scalar, where: Any | None = None) -> Coded:
    """Send the cells at ``where`` (default: all) through a one-cell function, each distinct value once."""
    if where is None:
        where = pc.is_valid(values)
    todo = values.filter(where)
    if len(todo) == 0:
        return Coded(values)
    encoded = todo.dictionary_encode()
    results = [function(text) for text in encoded.dictionary.to_pylist()]
    changed = pa.array([value for value, _ in results], pa.string()).take(encoded.indices)
    out = pc.replace_with_mask(values, where, changed)
    if all(code is None for _, code in results):
        return Coded(out)
    codes = pa.array([code for _, code in results], pa.string()).take(encoded.indices)
    return Coded(out, pc.replace_with_mask(nulls(len(values)), where, codes))


def then(first: Coded, second: Coded) -> Coded:
    """The answer of two steps in a row: the later code wins, an earlier one stays where the later step is silent."""
    if first.codes is None or second.codes is None:
        return Coded(second.values, second.codes if first.codes is None else first.codes)
    return Coded(second.values, pc.coalesce(second.codes, first.codes))

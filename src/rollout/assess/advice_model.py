"""What an assessment suggests for the mapping, with reasons; a person confirms it."""

from __future__ import annotations

from pydantic import Field

from rollout.model.base import Frozen


class ReasonShare(Frozen):
    """Why something is suggested: a code, and the share of the filled rows that speaks for it."""

    code: str
    share: float | None = None


class ColumnAdvice(Frozen):
    """A column that may fill a field which nothing fills yet."""

    entity: str
    source: str
    column: str
    target: str
    label: str = ""
    score: float = Field(description="0 to 1.")
    reasons: tuple[ReasonShare, ...]
    transform: str
    date_format: str | None = None
    must_confirm: bool = Field(default=False, description="Dates may be read in two ways.")


class ValueAdvice(Frozen):
    """A cell that a value map lacks, and what it may stand for; None: a person must say."""

    entity: str
    source: str
    field: str
    label: str = ""
    raw: str
    rows: int
    value: str | None


class DateAdvice(Frozen):
    """A mapped column whose dates may be read in two ways, and whose format nobody has confirmed."""

    entity: str
    source: str
    column: str
    label: str = ""
    layouts: dict[str, float] = Field(description="Share of the filled rows by way of writing.")
    undecided: int = Field(description="Rows that may mean several days.")
    likely: str | None = Field(default=None, description="The format that the other rows speak for.")


class Advice(Frozen):
    """All suggestions."""

    columns: tuple[ColumnAdvice, ...] = ()
    values: tuple[ValueAdvice, ...] = ()
    dates: tuple[DateAdvice, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.columns or self.values or self.dates)

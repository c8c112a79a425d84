"""Dates, instants, numbers, yes/no: text in, canonical text out, nothing guessed."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo

import pyarrow.compute as pc
from pydantic import Field, field_validator, model_validator

from rollout.mapping.transforms_base import Coded, TransformContext, by_scalar, matches, pending
from rollout.model.base import Frozen

# --- dates -----------------------------------------------------------------------------------------------------------

_EXCEL_EPOCH = date(1899, 12, 30)
_SERIALS = (20_000, 80_000)
"""Whole numbers taken for Excel day numbers: 1954-10-03 to 2119-01-10. Below lie years, above yyyymm."""
_YEARS = (1800, 2199)
# Calendar dates but 29 February; what is left goes the slow way.
_ISO_DATE = (
    r"(?:1[89]|2[01])\d\d-"
    r"(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
)
_TIME = r"(?:[ T]+(?P<H>\d{1,2}):(?P<M>\d{2})(?::(?P<S>\d{2})(?:\.\d{1,9})?)?)?"
_YEAR_FIRST = re.compile(
    rf"(?P<y>\d{{4}})(?:(?P<sep>[-/.])(?P<m>\d{{1,2}})(?P=sep)(?P<d>\d{{1,2}})"
    rf"| ?年 ?(?P<m2>\d{{1,2}}) ?月 ?(?P<d2>\d{{1,2}}) ?[日号]?){_TIME}"
)
_COMPACT = re.compile(rf"(?P<y>\d{{4}})(?P<m>\d{{2}})(?P<d>\d{{2}}){_TIME}")
_YEAR_LAST = re.compile(rf"(?P<a>\d{{1,2}})(?P<sep>[-/.])(?P<b>\d{{1,2}})(?P=sep)(?P<y>\d{{4}}){_TIME}")
_SHORT_YEAR = re.compile(rf"\d{{1,2}}([-/.])\d{{1,2}}\1\d{{1,2}}{_TIME}")
_SIGN = re.compile(r"[-/.]")
_SERIAL = re.compile(r"(\d{5})(?:\.(\d+))?")
_NEVER = "%Y-%d"
"""What is written with hyphens has the month behind the year (ISO 8601), whatever a column's format is."""

MIXED = "mixed"
"""As a column's format: it is known to have several, none of which decides about the others' cells."""


class DateArgs(Frozen):
    """Arguments of `date` and `datetime`."""

    formats: tuple[str, ...] = Field(
        default=(), description="strptime formats, tried in order instead of the safe set, such as %d/%m/%Y."
    )
    format: str | None = Field(
        default=None,
        description="The column's format as a person confirmed it, such as %d/%m/%Y: it decides what 03/04/2024 is, "
        "beside what can be read in one way only. `mixed`: the column has no one format, and such cells are a problem.",
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: Any) -> Any:
        """`date: "%d/%m/%Y"` names the format."""
        return {"format": data["value"]} if isinstance(data, dict) and set(data) == {"value"} else data

    @field_validator("formats")
    @classmethod
    def _usable(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in formats:
            try:
                datetime.strptime(datetime(2001, 2, 3, tzinfo=UTC).strftime(pattern), pattern)  # noqa: DTZ007
            except ValueError as error:
                raise ValueError(f"'{pattern}' is not a date format") from error
        return formats

    @field_validator("format")
    @classmethod
    def _tells_a_day(cls, pattern: str | None) -> str | None:
        if pattern is None or pattern == MIXED:
            return pattern
        day = datetime(2031, 2, 23, tzinfo=UTC)
        try:
            told = datetime.strptime(day.strftime(pattern), pattern).date()  # noqa: DTZ007 - a date has no zone
        except ValueError:
            told = None
        if told != day.date():
            raise ValueError(f"'{pattern}' is not a date format: it needs year, month and day, such as %d/%m/%Y")
        if pattern.startswith(_NEVER):
            raise ValueError("a year is followed by the month in what is written with hyphens (ISO 8601)")
        return pattern

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.format is not None and self.formats:
            raise ValueError("give either `format` or `formats`")
        return self


def date_(values: Any, args: DateArgs, _: TransformContext) -> Coded:
    """``YYYY-MM-DD``. A time of day is left out with a remark unless it is midnight; no date ever shifts."""
    todo = pending(values, matches(values, f"^{_ISO_DATE}$"))
    return by_scalar(values, lambda cell: date_one(cell, args.formats, args.format), todo)


@lru_cache(maxsize=65_536)
def date_one(cell: str, formats: tuple[str, ...] = (), confirmed: str | None = None) -> tuple[str | None, str | None]:
    """One date."""
    moment, code = _moment(cell, formats, confirmed)
    if moment is None:
        return None, code.replace("moment", "date") if code else None
    midnight = (moment.hour, moment.minute, moment.second, moment.microsecond) == (0, 0, 0, 0)
    return moment.date().isoformat(), None if midnight else "date_time_dropped"


def datetime_(values: Any, args: DateArgs, context: TransformContext) -> Coded:
    """``YYYY-MM-DDTHH:MM:SSZ``. Text without an offset is local time of the source."""
    zone = context.time_zone
    todo = pending(values, matches(values, rf"^{_ISO_DATE}T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ$"))
    return by_scalar(values, lambda cell: datetime_one(cell, zone, args.formats, args.format), todo)


@lru_cache(maxsize=65_536)
def datetime_one(
    cell: str, zone: str, formats: tuple[str, ...] = (), confirmed: str | None = None
) -> tuple[str | None, str | None]:
    """One instant."""
    moment: datetime | None = None
    if re.search(r"\d(?:Z|[+-]\d{2}:?\d{2})$", cell) and "T" in cell:
        try:
            moment = datetime.fromisoformat(cell)
        except ValueError:
            return None, "datetime_invalid"
    else:
        local, code = _moment(cell, formats, confirmed)
        if local is None:
            return None, code.replace("moment", "datetime") if code else None
        moment = local.replace(tzinfo=ZoneInfo(zone))
        if moment.utcoffset() != moment.replace(fold=1).utcoffset():
            # The clock was put forward or back: this local time happened never or twice.
            return None, "datetime_ambiguous"
    try:
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), None
    except (OverflowError, ValueError):
        return None, "datetime_invalid"


def _moment(cell: str, formats: tuple[str, ...], confirmed: str | None) -> tuple[datetime | None, str | None]:
    """A local date and time; codes are `moment_invalid` and `moment_ambiguous`."""
    text = cell.replace("\n", " ")
    if formats:
        return _declared(text, (*formats, "%Y-%m-%d"))
    if confirmed is not None and confirmed != MIXED:
        # What was confirmed is the order of day, month and year; the sign between them may change.
        sign = _SIGN.search(text)
        pattern = _SIGN.sub(sign[0], confirmed) if sign else confirmed
        if not pattern.startswith(_NEVER):
            moment, _ = _declared(text, (pattern, f"{pattern} %H:%M", f"{pattern} %H:%M:%S"))
            if moment is not None:
                return moment, None
        if _YEAR_LAST.fullmatch(text) or _SHORT_YEAR.fullmatch(text):
            return None, "moment_invalid"  # of another format than the column has
    if found := _SERIAL.fullmatch(text):
        return _serial(int(found[1]), found[2])
    if found := _YEAR_FIRST.fullmatch(text) or _COMPACT.fullmatch(text):
        parts = found.groupdict()
        return _built(parts["y"], parts["m"] or parts["m2"], parts["d"] or parts["d2"], found)
    if found := _YEAR_LAST.fullmatch(text):
        readings = {
            _built(found["y"], month, day, found)[0]
            for month, day in ((found["a"], found["b"]), (found["b"], found["a"]))
        }
        readings.discard(None)
        if len(readings) > 1:
            return None, "moment_ambiguous"
        return (readings.pop(), None) if readings else (None, "moment_invalid")
    return None, "moment_ambiguous" if _SHORT_YEAR.fullmatch(text) else "moment_invalid"


def _declared(text: str, formats: tuple[str, ...]) -> tuple[datetime | None, str | None]:
    for pattern in formats:
        try:
            moment = datetime.strptime(text, pattern)  # noqa: DTZ007 - local by definition, the caller adds the zone
        except ValueError:
            continue
        if _YEARS[0] <= moment.year <= _YEARS[1]:
            return moment.replace(tzinfo=None), None
    return None, "moment_invalid"


def _serial(days: int, fraction: str | None) -> tuple[datetime | None, str | None]:
    if not _SERIALS[0] <= days <= _SERIALS[1]:
        return None, "moment_invalid"
    seconds = round(float(f"0.{fraction}") * 86_400) if fraction else 0
    day = datetime.combine(_EXCEL_EPOCH, datetime.min.time()) + timedelta(days=days)
    return day + timedelta(seconds=seconds), None


def _built(year: str, month: str, day: str, found: re.Match[str]) -> tuple[datetime | None, str | None]:
    if not _YEARS[0] <= int(year) <= _YEARS[1]:
        return None, "moment_invalid"
    clock = (int(found["H"] or 0), int(found["M"] or 0), int(found["S"] or 0))
    try:
        return datetime(int(year), int(month), int(day), *clock), None  # noqa: DTZ001 - as in _declared
    except ValueError:
        return None, "moment_invalid"


# --- numbers ---------------------------------------------------------------------------------------------------------

_UNITS = {
    "千": 10**3,
    "万": 10**4,
    "十万": 10**5,
    "百万": 10**6,
    "千万": 10**7,
    "亿": 10**8,
    "十亿": 10**9,
    "百亿": 10**10,
}
_EXACT = Context(prec=200)
"""Decimal's usual context rounds to 28 digits."""
_NUMBER = re.compile(
    r"(?P<open>\()?(?P<sign>[+\-−])?[¥￥]? ?(?P<digits>\d{1,3}(?:,\d{3})+|\d+|(?=\.\d))(?P<fraction>\.\d*)?"
    r"(?P<exponent>[Ee][+-]?\d{1,2})?"
    r" ?(?P<unit>十万|百万|千万|十亿|百亿|千|万|亿)? ?(?P<word>元|人|名|个|位|RMB|CNY)?(?(open)\))"
)


class NumberArgs(Frozen):
    """Arguments of `integer` and `decimal`."""

    unit: Literal["1", "千", "万", "百万", "亿"] | None = Field(
        default=None,
        description="What the field counts in. Cells that name a unit themselves (120万, 1.5亿) are converted to it; "
        "without it they are a problem, because nobody knows what the plain cells count in.",
    )


def integer(values: Any, args: NumberArgs, _: TransformContext) -> Coded:
    """Digits only. Thousands separators, a currency or counting word and ``.0`` go; a fraction is a problem."""
    values = _plain(values)
    todo = pending(values, matches(values, r"^(?:0|-?[1-9]\d{0,17})$"))
    return by_scalar(values, lambda cell: integer_one(cell, args.unit), todo)


def decimal(values: Any, args: NumberArgs, _: TransformContext) -> Coded:
    """Decimal point, no exponent, no trailing zeros."""
    values = _plain(values)
    todo = pending(values, matches(values, r"^(?:0|-?[1-9]\d{0,17}|-?(?:0|[1-9]\d{0,17})\.\d{0,17}[1-9])$"))
    return by_scalar(values, lambda cell: decimal_one(cell, args.unit), todo)


def _plain(values: Any) -> Any:
    """Thousands separators and trailing zeros off, where they cannot mean anything else."""
    grouped = matches(values, r"^-?\d{1,3}(?:,\d{3})+(?:\.\d+)?$")
    if pc.any(grouped).as_py():
        values = pc.if_else(grouped, pc.replace_substring(values, ",", ""), values)
    values = pc.replace_substring_regex(values, r"^(-?\d+)\.0+$", r"\1")
    return pc.replace_substring_regex(values, r"^(-?\d+\.\d*[1-9])0+$", r"\1")


@lru_cache(maxsize=65_536)
def integer_one(cell: str, unit: str | None = None) -> tuple[str | None, str | None]:
    """One whole number."""
    number, code = _number(cell, unit)
    if number is None:
        return None, code
    if number != number.to_integral_value():
        return None, "number_fraction"
    return str(int(number)), code


@lru_cache(maxsize=65_536)
def decimal_one(cell: str, unit: str | None = None) -> tuple[str | None, str | None]:
    """One decimal number."""
    number, code = _number(cell, unit)
    if number is None:
        return None, code
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if number == 0 else text, code


def _number(cell: str, unit: str | None) -> tuple[Decimal | None, str | None]:
    found = _NUMBER.fullmatch(cell.replace("\n", " "))
    if not found:
        return None, "number_invalid"
    plain = found["digits"].replace(",", "") + (found["fraction"] or "") + (found["exponent"] or "")
    try:
        number = Decimal(plain)
    except InvalidOperation:
        return None, "number_invalid"
    if found["sign"] in ("-", "−") or found["open"]:
        number = number.copy_negate()
    if found["unit"]:
        if unit is None:
            return None, "number_unit"
        number = _EXACT.divide(_EXACT.multiply(number, _UNITS[found["unit"]]), _UNITS.get(unit, 1))
    return number, "number_scientific" if found["exponent"] else None


# --- yes / no --------------------------------------------------------------------------------------------------------

_TRUE = frozenset(("true", "t", "yes", "y", "1", "1.0", "on", "是", "对", "有", "真", "√", "✓", "✔", "☑"))
_FALSE = frozenset(("false", "f", "no", "n", "0", "0.0", "off", "否", "不是", "错", "没有", "假", "×", "✗", "✘", "☐"))


def boolean(values: Any, _: Frozen, __: TransformContext) -> Coded:
    """``true`` or ``false``."""
    return by_scalar(values, boolean_one)


@lru_cache(maxsize=1_024)
def boolean_one(cell: str) -> tuple[str | None, str | None]:
    """One yes or no."""
    word = cell.casefold()
    if word in _TRUE:
        return "true", None
    return ("false", None) if word in _FALSE else (None, "boolean_invalid")

"""A workbook's cells as text, the way a person reads them and never rounded or dressed up.

Numbers lose neither digits nor gain any: ``13812345678`` is that, not ``13812345678.0`` or ``1.38e10``. A number that
Excel shows as a date arrives as a date and becomes ISO text; a date kept as a plain serial number stays digits, and the
`date` transform reads it. Truth values are ``true`` and ``false``. An empty cell is None.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

Cell = int | float | str | bool | dt.time | dt.date | dt.timedelta
"""What calamine yields; an empty cell is an empty string."""

_MIDNIGHT = dt.time()


def cell_text(cell: Cell) -> str | None:
    """One cell as text."""
    if isinstance(cell, str):
        return cell or None
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, int | float):
        return _number(cell)
    if isinstance(cell, dt.datetime):  # a date as well, so it is asked first
        return (cell.date() if cell.time() == _MIDNIGHT else cell).isoformat()
    if isinstance(cell, dt.timedelta):
        return _duration(cell)
    return cell.isoformat()


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e15:  # noqa: PLR2004 - Excel keeps 15 digits
        return str(int(value))
    # repr is the shortest text that means this number; Decimal writes it without exponent.
    return format(Decimal(repr(value)), "f").removesuffix(".0")


def _duration(value: dt.timedelta) -> str:
    """Hours may pass 24: Excel's [h]:mm:ss."""
    minutes, seconds = divmod(int(value.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}"

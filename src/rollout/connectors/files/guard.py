"""Workbooks are looked at from outside before a parser opens them: what they are, and how large they would become."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

from rollout.errors import ConfigError

MAX_UNPACKED_BYTES = 2 << 30
"""All parts of an XLSX together. A full sheet of 1,048,576 rows and 20 columns has about 1 GB."""
MAX_PART_RATIO = 250
"""Unpacked ÷ packed size of one part. Excel's own sheets reach 5 to 60."""
RATIO_COUNTS_FROM_BYTES = 16 << 20
"""Small parts may compress as well as they like."""
MAX_PARTS = 10_000
MAX_XLS_BYTES = 256 << 20
MAX_ROWS = 1_048_576
"""Excel's own limit."""
MAX_COLUMNS = 1_024
MAX_CELLS = 60_000_000
"""Of one sheet; rows × columns of its used range, which the parser holds in memory."""

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_AGAIN = "open it in Excel and save it again as .xlsx"
_SCAN_BYTES = 1 << 20


def is_workbook(path: Path) -> bool:
    """Whether the file's first bytes are those of an XLSX or XLS, whatever its name says."""
    with path.open("rb") as file:
        head = file.read(8)
    return head.startswith(b"PK") or head == _OLE


def require_safe(path: Path, label: str) -> None:
    """Raise ConfigError unless the file is a whole, unencrypted workbook of bearable size."""
    with path.open("rb") as file:
        head = file.read(8)
        if head.startswith(b"PK"):
            _require_safe_zip(path, label)
        elif head == _OLE:
            if path.stat().st_size > MAX_XLS_BYTES:
                raise ConfigError(f"an XLS of more than {MAX_XLS_BYTES >> 20} MB is not read", where=label, hint=_AGAIN)
            if _ENCRYPTED in file.read():
                raise ConfigError(
                    "the workbook is protected by a password",
                    where=label,
                    hint="remove the password in Excel (File, Info, Protect Workbook) and save it again",
                )
        elif not head:
            raise ConfigError("the file is empty", where=label, hint="export it again")
        elif head.lstrip()[:1] == b"<":
            raise ConfigError(
                "this is a web page (HTML or XML) with a workbook's name", where=label, hint=f"{_AGAIN}, or as CSV"
            )
        else:
            raise ConfigError("this is not an Excel workbook", where=label, hint=f"set format: csv, or {_AGAIN}")


def _require_safe_zip(path: Path, label: str) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise ConfigError(
            f"the workbook is incomplete or damaged ({error})", where=label, hint="copy or export the file again"
        ) from error
    total = sum(part.file_size for part in parts)
    if total > MAX_UNPACKED_BYTES or len(parts) > MAX_PARTS:
        raise ConfigError(
            f"the workbook unpacks to {total >> 20} MB in {len(parts)} parts; "
            f"at most {MAX_UNPACKED_BYTES >> 20} MB in {MAX_PARTS} parts are read",
            where=label,
            hint="split it, or save it as CSV",
        )
    for part in parts:
        if part.file_size > RATIO_COUNTS_FROM_BYTES and part.file_size > MAX_PART_RATIO * max(part.compress_size, 1):
            raise ConfigError(
                f"'{part.filename}' unpacks to {part.file_size // max(part.compress_size, 1)} times its size, "
                f"at most {MAX_PART_RATIO} times is read: this looks like a zip bomb",
                where=label,
                hint=f"make sure where the file comes from; {_AGAIN}",
            )
    if "[Content_Types].xml" not in {part.filename for part in parts}:
        raise ConfigError("this ZIP archive is not an Excel workbook", where=label, hint="unpack it first")


def require_bearable(height: int, width: int, *, where: str) -> None:
    """Raise ConfigError if a sheet's used range passes the limits."""
    if height > MAX_ROWS or width > MAX_COLUMNS or height * width > MAX_CELLS:
        raise ConfigError(
            f"the sheet has {height} rows and {width} columns; at most {MAX_ROWS} rows, {MAX_COLUMNS} columns "
            f"and {MAX_CELLS} cells are read",
            where=where,
            hint="delete empty formatted rows and columns, or save the sheet as CSV",
        )


def has_error_cells(path: Path) -> bool:
    """Whether any sheet of an XLSX holds an error value such as #N/A."""
    with zipfile.ZipFile(path) as archive:
        return any(
            b't="e"' in block
            for name in archive.namelist()
            if name.startswith("xl/worksheets/") and name.endswith(".xml")
            for block in _overlapping(archive, name)
        )


def _overlapping(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """A part in blocks that overlap, so that nothing short is cut in two."""
    with archive.open(name) as part:
        kept = b""
        while block := part.read(_SCAN_BYTES):
            yield kept + block
            kept = block[-8:]

"""Which encoding a text file is in, decided on all of its bytes and never by guessing from a sample alone.

UTF-8 (with or without byte order mark) is recognised by strict decoding: other encodings practically never pass it.
GB18030 and Big5 both accept most byte pairs. Which one is tried first is decided by the header (the administrator has
named columns that must be in it), and failing that by the share of everyday characters that each reading yields; the
first that then decodes the whole file strictly is taken, unless what comes of it is no everyday writing at all.
"""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from rollout.errors import ConfigError

BLOCK_BYTES = 4 << 20
SAMPLE_BYTES = 256 << 10
"""What the first guess at an encoding looks at; the whole file then has to agree."""
DETECTED = ("utf-8", "gb18030", "big5", "cp950")
"""Candidates in order of preference. cp950 is Windows' Big5, with some more characters."""
CERTAIN_MARGIN = 0.10
"""Share of everyday characters by which the better reading must lead to be called certain."""
LEAST_EVERYDAY = 0.30
"""Share of everyday characters below which a reading is none: accented Latin letters pass for rare hanzi."""
NUL_SHARE_OF_BINARY = 0.10

_DECLARE = "set the source's encoding, such as cp1252 for Western European text"
_SAVE_AS = "open it in the program it came from and save it as CSV UTF-8"
_SIGNATURES = (
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
    (b"PK\x03\x04", "a workbook or ZIP archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"%PDF", "a PDF document"),
)


@dataclass(frozen=True, slots=True)
class TextFile:
    """What one pass over a text file's bytes told."""

    encoding: str
    """Python's codec name; `utf-8-sig` where there is a byte order mark."""
    size_bytes: int
    has_quotes: bool
    nul_bytes: int
    certain: bool = True
    scores: dict[str, float] = field(default_factory=dict)
    """Share of everyday characters by candidate, where more than one could read the file."""


class _Strict:
    """Strict decoding of a file that comes in blocks; remembers the first offence, as an offset in bytes."""

    def __init__(self, encoding: str) -> None:
        self.encoding = encoding
        self.failed_at: int | None = None
        self._decoder = codecs.getincrementaldecoder(encoding)("strict")
        self._seen = 0

    def feed(self, block: bytes, *, final: bool = False) -> None:
        if self.failed_at is not None:
            return
        try:
            self._decoder.decode(block, final)
        except UnicodeDecodeError as error:
            # The decoder's own object starts with the bytes it had kept back from the block before.
            self.failed_at = self._seen + len(block) - len(error.object) + error.start
        self._seen += len(block)


def inspect(path: Path, label: str, *, declared: str = "auto", header_names: Collection[str] = ()) -> TextFile:
    """Read a text file's bytes and say what they are.

    Args:
        path: The file.
        label: Its name in messages, relative to the project.
        declared: `auto`, or the encoding the project declares, which is then held to strictly.
        header_names: Columns that must be in the file; they settle what the bytes leave open.

    Raises:
        ConfigError: Empty, not text, not in the declared (or any known) encoding (names the byte and the line), or in
            one that nothing speaks for.
    """
    _require_codec(declared, label)
    first = _Strict("utf-8" if declared == "auto" else declared)
    facts, sample = _survey(path, label, first)
    if first.failed_at is None:
        bom = sample.startswith(codecs.BOM_UTF8) and codecs.lookup(first.encoding).name == "utf-8"
        return replace(facts, encoding="utf-8-sig") if bom else facts
    if declared != "auto":
        fitting = _first_readable([name for name in DETECTED if name != declared], path)
        hint = f"it reads as {fitting}: set encoding: {fitting}, or auto" if fitting else _SAVE_AS
        raise _undecodable(first, path, label, hint)
    ranked, settled, scores = _rank(sample, header_names)
    best = _first_readable(ranked, path)
    if best is None:
        furthest = max((first, *(_decode(path, name) for name in ranked)), key=lambda check: check.failed_at or 0)
        raise _undecodable(furthest, path, label, f"repair that place, {_DECLARE}, or {_SAVE_AS}")
    if scores.get(best, 1.0) < LEAST_EVERYDAY:
        raise ConfigError(
            f"this is neither UTF-8 nor plausible Chinese: read as {best}, hardly a character is an everyday one",
            where=label,
            hint=f"{_DECLARE}, or {best} if that is right",
        )
    if not settled:
        settled = _first_readable([name for name in ranked if _family(name) != _family(best)], path) is None
    return replace(facts, encoding=best, certain=settled, scores=scores)


def _require_codec(declared: str, label: str) -> None:
    """Only encodings that hold ASCII as ASCII: separators and line ends are looked for in the bytes."""
    hint = "use utf-8, gb18030, big5 or auto"
    try:
        plain = ',"\n'.encode("utf-8" if declared == "auto" else declared) == b',"\n'
    except (LookupError, ValueError) as error:
        raise ConfigError(f"there is no encoding '{declared}' of text", where=label, hint=hint) from error
    if not plain and codecs.lookup(declared).name != "utf-8-sig":
        raise ConfigError(f"text in '{declared}' is not read", where=label, hint=f"{_SAVE_AS}, or {hint}")


def _survey(path: Path, label: str, check: _Strict) -> tuple[TextFile, bytes]:
    """Facts on all bytes, fed to ``check`` on the way; and the first block."""
    size = nuls = 0
    quotes = False
    sample = b""
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            if not size:
                sample = block
                _refuse_signature(block, label)
            size += len(block)
            nuls += block.count(b"\0")
            quotes = quotes or b'"' in block
            check.feed(block)
    check.feed(b"", final=True)
    if not sample.strip(b" \t\r\n" + codecs.BOM_UTF8):
        raise ConfigError(
            "the file is empty", where=f"{label}:1", hint="export it again, or take it out of the source's folder"
        )
    if nuls > size * NUL_SHARE_OF_BINARY:
        raise ConfigError("this is not a text file: it is full of NUL bytes", where=f"{label}:1", hint=_SAVE_AS)
    return TextFile(encoding=check.encoding, size_bytes=size, has_quotes=quotes, nul_bytes=nuls), sample


def _first_readable(encodings: Iterable[str], path: Path) -> str | None:
    return next((name for name in encodings if _decode(path, name).failed_at is None), None)


def _decode(path: Path, encoding: str) -> _Strict:
    """Decode a whole file strictly, up to the first offence."""
    check = _Strict(encoding)
    with path.open("rb") as file:
        while check.failed_at is None and (block := file.read(BLOCK_BYTES)):
            check.feed(block)
    check.feed(b"", final=True)
    return check


def _refuse_signature(block: bytes, label: str) -> None:
    for signature, what in _SIGNATURES:
        if block.startswith(signature):
            raise ConfigError(f"this is {what}, not a CSV file", where=label, hint=_SAVE_AS)


def _undecodable(check: _Strict, path: Path, label: str, hint: str) -> ConfigError:
    at = check.failed_at or 0
    line, seen = 1, 0
    with path.open("rb") as file:
        while seen < at and (block := file.read(min(BLOCK_BYTES, at - seen))):
            line += block.count(b"\n")
            seen += len(block)
        offence = file.read(1)
    return ConfigError(
        f"not {check.encoding}: byte {at} (0x{offence.hex().upper()}) in line {line} cannot be read",
        where=f"{label}:{line}",
        hint=hint,
    )


def _rank(sample: bytes, header_names: Collection[str]) -> tuple[list[str], bool, dict[str, float]]:
    """The encodings other than UTF-8, likeliest first; whether the first is settled if it reads the file; scores."""
    names = [name for name in DETECTED if name != "utf-8"]
    texts = {name: sample[:SAMPLE_BYTES].decode(name, "ignore") for name in names}
    fitting = {_family(name) for name, text in texts.items() if all(column in text for column in header_names)}
    if header_names and len(fitting) == 1:
        return sorted(names, key=lambda name: _family(name) not in fitting), True, {}
    telling = b"\n".join(line for line in sample.split(b"\n") if not line.isascii())[:SAMPLE_BYTES]
    scores = {name: round(_everyday_share(telling.decode(name, "ignore"), _family(name)), 3) for name in names}
    ranked = sorted(names, key=lambda name: -scores[name])
    rival = next(scores[name] for name in ranked if _family(name) != _family(ranked[0]))
    return ranked, scores[ranked[0]] - rival >= CERTAIN_MARGIN, scores


def _family(encoding: str) -> str:
    return "big5" if encoding in {"big5", "cp950"} else encoding


def _everyday_share(text: str, family: str) -> float:
    """Share of the non-ASCII characters that belong to everyday writing.

    Both standards sort their hanzi into an everyday level and a rare one: GB 2312 level 1 has the lead bytes B0 to D7,
    Big5 level 1 A4 to C6; symbols and full-width forms lie below. A wrong reading scatters over the rare ones.
    """
    charset, leads = _EVERYDAY[family]
    counts = Counter(character for character in text if not character.isascii())
    common = sum(count for character, count in counts.items() if character.encode(charset, "ignore")[:1] in leads)
    return common / counts.total() if counts else 0.0


_EVERYDAY = {
    "gb18030": ("gb2312", frozenset(bytes([lead]) for lead in range(0xA1, 0xD8))),
    "big5": ("big5", frozenset(bytes([lead]) for lead in range(0xA1, 0xC7))),
}

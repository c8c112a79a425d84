"""The registry of comparisons: what two values of a field may look like side by side, best first.

A comparison makes parts of a field (`rollout.match.parts`) and weighs one or two pieces of evidence over them. Evidence
is a list of levels; the first whose condition holds counts, the last one always holds. Each level carries how often it
is seen among rows that are the same (``m``) and among rows that are not (``u``): what is assumed until, or where, the
data at hand cannot teach better.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rollout.errors import ConfigError
from rollout.match import parts
from rollout.match.spec import Comparison


@dataclass(frozen=True)
class Level:
    """How alike two values may be."""

    code: str
    """Names it in what explains a pair: `level.<comparison>.<code>` in the message catalogue."""
    sql: str
    """Condition over the parts, each in braces with `_l` or `_r` behind: ``{key}_l = {key}_r``. "" always holds."""
    m: float
    u: float
    tf: str = ""
    """Part whose frequency counts: agreeing on a rare value proves more than on a common one."""
    fixed: bool = False
    """``m`` is not learnt: rows that share a switchboard or a house contradict each other here and would teach that
    the same company may well be called by another name."""
    least_u: float = 0.0
    """Not rarer than this, however few agree by chance: what it says is partly said by other evidence."""


@dataclass(frozen=True)
class Evidence:
    """Levels over some parts; no evidence at all where one of the parts ``needs`` names has no value."""

    code: str
    needs: tuple[str, ...]
    levels: tuple[Level, ...]


@dataclass(frozen=True)
class Kind:
    """An entry of the registry."""

    name: str
    summary: str
    make: parts.PartsFunction
    parts: tuple[str, ...]
    """What ``make`` answers; blocking means the first when it names the field alone."""
    evidence: tuple[Evidence, ...]
    strong: tuple[tuple[str, ...], ...] = ()
    """Parts that bring the same rows together on their own."""
    weak: tuple[str, ...] = ()
    """Parts that do so along with another field's."""
    args: tuple[str, ...] = ()
    """Switches that `args` may turn off: a part that is not made (`pinyin`: how names sound)."""


def _same(part: str, m: float, u: float) -> Level:
    return Level("same", f"{{{part}}}_l = {{{part}}}_r", m, u, tf=part)


_NEAR_PLACE = (
    "({place}_l is null or {place}_r is null or {place}_l = {place}_r"
    " or {province}_l = {province}_r and ({city}_l is null or {city}_r is null))"
)
_LIKE_TRADE = (
    "({trade}_l is null or {trade}_r is null or contains({trade}_l, {trade}_r) or contains({trade}_r, {trade}_l))"
)
# DuckDB's edit distances count bytes, of which a Chinese character has three: those are counted as a set instead.
_LATIN = "strlen({brand}_l) = length({brand}_l) and strlen({brand}_r) = length({brand}_r)"
_SHARED = "len(list_intersect(string_split({brand}_l, ''), string_split({brand}_r, '')))"
_ONE_SIGN_OTHER = _SHARED + " >= greatest(length({brand}_l), length({brand}_r)) - 1"
_COMPANY_NAME = (
    Evidence(
        "brand",
        ("brand",),
        (
            _same("brand", 0.80, 5e-4),
            Level("sound", "{sound}_l = {sound}_r", 0.05, 5e-4, tf="brand"),
            Level(
                "short",
                "(starts_with({brand}_l, {brand}_r) or starts_with({brand}_r, {brand}_l))"
                " and least(length({brand}_l), length({brand}_r)) >= 2",
                0.05,
                1e-3,
            ),
            Level(
                "close",
                f"case when {_LATIN} then jaro_winkler_similarity({{brand}}_l, {{brand}}_r) >= 0.92"
                f" else least(length({{brand}}_l), length({{brand}}_r)) >= 3 and {_ONE_SIGN_OTHER} end",
                0.06,
                1e-3,
            ),
            Level(
                "half",
                f"case when {_LATIN} then jaro_winkler_similarity({{brand}}_l, {{brand}}_r) >= 0.85"
                f" else {_SHARED} > 0 and {_ONE_SIGN_OTHER} end",
                0.02,
                0.01,
            ),
            # A company by quite another name is another one, even if all else agrees: a neighbour, or a sister.
            Level("other", "", 0.0004, 0.987, fixed=True),
        ),
    ),
    Evidence(
        "wording",
        ("brand",),
        (
            Level("branch", "coalesce({branch}_l, '') <> coalesce({branch}_r, '')", 0.01, 0.03, fixed=True),
            Level(
                "registered",
                "{place}_l = {place}_r and {brand}_l = {brand}_r and {form}_l = {form}_r"
                " and coalesce({trade}_l, '') = coalesce({trade}_r, '')",
                0.4,
                2e-4,
                least_u=2e-4,
            ),
            Level("place_trade", "{place}_l = {place}_r and {trade}_l = {trade}_r", 0.2, 3e-3),
            Level("trade", "{trade}_l = {trade}_r and " + _NEAR_PLACE, 0.15, 0.02),
            Level("place", "{place}_l = {place}_r and " + _LIKE_TRADE, 0.1, 0.01),
            Level("neither", _NEAR_PLACE + " and " + _LIKE_TRADE, 0.118, 0.1),
            Level("other_trade", _NEAR_PLACE, 0.002, 0.2, fixed=True),
            Level("other_place", "{trade}_l = {trade}_r", 0.0004, 0.05, fixed=True),
            Level("other", "", 0.0005, 0.586, fixed=True),
        ),
    ),
)
_TEXT_LIKENESS = (
    "len(list_intersect({tokens}_l, {tokens}_r)) / len(list_distinct(list_concat({tokens}_l, {tokens}_r)))::double"
)
_ALL_OF_RIGHT, _ALL_OF_LEFT = "list_has_all({rare}_l, {rare}_r)", "list_has_all({rare}_r, {rare}_l)"
_STREET = "jaro_winkler_similarity({street}_l, {street}_r)"

_ALL = (
    Kind(
        "company_name",
        "place, brand, trade, legal form and branch apart; simplified characters, pinyin",
        parts.company_name_parts,
        ("brand", "key", "place", "province", "city", "trade", "form", "branch", "sound"),
        _COMPANY_NAME,
        strong=(("brand", "place"), ("brand",), ("sound",)),
        args=("pinyin",),
    ),
    Kind(
        "person_name",
        "letters, pinyin, initials and small slips",
        parts.person_name_parts,
        ("key", "sound", "initial"),
        (
            Evidence(
                "name",
                ("key",),
                (
                    _same("key", 0.80, 5e-3),
                    Level("sound", "{sound}_l = {sound}_r", 0.04, 3e-3, tf="key"),
                    Level("close", "jaro_winkler_similarity({key}_l, {key}_r) >= 0.92", 0.06, 5e-3),
                    Level("near", "damerau_levenshtein({key}_l, {key}_r) <= 2 and length({key}_l) >= 5", 0.03, 5e-3),
                    Level("initial", "{initial}_l = {initial}_r", 0.03, 0.08),
                    Level("other", "", 0.04, 0.902),
                ),
            ),
        ),
        weak=("key", "sound"),
        args=("pinyin",),
    ),
    Kind(
        "phone",
        "digits; area code left out; one digit wrong",
        parts.phone_parts,
        ("number", "tail"),
        (
            Evidence(
                "phone",
                ("number",),
                (
                    _same("number", 0.65, 2e-4),
                    Level("tail", "{tail}_l = {tail}_r and length({tail}_l) = 7", 0.05, 2e-4),
                    Level(
                        "close",
                        "damerau_levenshtein({number}_l, {number}_r) <= 1 and length({number}_l) >= 7",
                        0.05,
                        1e-3,
                    ),
                    Level("other", "", 0.25, 0.9986),
                ),
            ),
        ),
        strong=(("number",), ("tail",)),
    ),
    Kind(
        "email",
        "address; same name at another domain; one letter wrong",
        parts.email_parts,
        ("key", "local"),
        (
            Evidence(
                "email",
                ("key",),
                (
                    _same("key", 0.70, 1e-4),
                    Level("close", "damerau_levenshtein({key}_l, {key}_r) <= 2", 0.08, 2e-4),
                    # What stands before the @ is made of the person's name, which is weighed already.
                    Level("local", "{local}_l = {local}_r", 0.05, 1e-3, least_u=0.01),
                    Level("other", "", 0.17, 0.9987),
                ),
            ),
        ),
        strong=(("key",),),
        weak=("local",),
    ),
    Kind(
        "address",
        "house numbers and street apart; without province, city and district",
        parts.address_parts,
        ("key", "numbers", "first", "street", "door"),
        (
            Evidence(
                "address",
                ("key",),
                (
                    _same("key", 0.55, 5e-4),
                    Level("close", "{numbers}_l = {numbers}_r and " + _STREET + " >= 0.85", 0.12, 3e-4),
                    Level("door", "{first}_l = {first}_r and " + _STREET + " >= 0.8", 0.08, 5e-4),
                    Level(
                        "street",
                        _STREET + " >= 0.92 and ({numbers}_l is null or {numbers}_r is null)",
                        0.04,
                        2e-3,
                    ),
                    Level("slip", _STREET + " >= 0.92 and damerau_levenshtein({first}_l, {first}_r) <= 1", 0.03, 2e-3),
                    Level("other_number", _STREET + " >= 0.92", 0.008, 0.01, fixed=True),
                    Level("other", "", 0.172, 0.9847),
                ),
            ),
        ),
        strong=(("key",), ("door",)),
    ),
    Kind(
        "date",
        "day; two of year, month and day; day and month changed about",
        parts.date_parts,
        ("key", "year", "month", "day"),
        (
            Evidence(
                "date",
                ("key",),
                (
                    _same("key", 0.85, 1e-3),
                    Level(
                        "changed_about",
                        "{year}_l = {year}_r and {month}_l = {day}_r and {day}_l = {month}_r",
                        0.01,
                        1e-3,
                    ),
                    Level(
                        "two_parts",
                        "({year}_l = {year}_r)::int + ({month}_l = {month}_r)::int + ({day}_l = {day}_r)::int >= 2",
                        0.06,
                        0.015,
                    ),
                    Level("other", "", 0.08, 0.983),
                ),
            ),
        ),
        weak=("key",),
    ),
    Kind(
        "code",
        "letters and digits; one of them wrong",
        parts.code_parts,
        ("key",),
        (
            Evidence(
                "code",
                ("key",),
                (
                    _same("key", 0.90, 1e-4),
                    Level("close", "damerau_levenshtein({key}_l, {key}_r) <= 1 and length({key}_l) >= 6", 0.05, 1e-4),
                    Level("other", "", 0.05, 0.9998),
                ),
            ),
        ),
        strong=(("key",),),
        weak=("key",),
    ),
    Kind(
        "text",
        "words in whatever order, rare ones above all; Chinese text by character",
        parts.text_parts,
        ("key", "tokens", "rare"),
        (
            Evidence(
                "text",
                ("key",),
                (
                    _same("key", 0.50, 1e-3),
                    Level("distinctive", "len({rare}_l) > 0 and " + _ALL_OF_RIGHT + " and " + _ALL_OF_LEFT, 0.15, 2e-4),
                    Level(
                        "contained",
                        "len({rare}_l) > 0 and len({rare}_r) > 0 and (" + _ALL_OF_RIGHT + " or " + _ALL_OF_LEFT + ")",
                        0.15,
                        1e-3,
                    ),
                    Level("most", _TEXT_LIKENESS + " >= 0.6", 0.03, 1e-3),
                    Level("close", "jaro_winkler_similarity({key}_l, {key}_r) >= 0.92", 0.03, 1e-3),
                    Level("some", "len(list_intersect({rare}_l, {rare}_r)) > 0", 0.06, 4e-3),
                    Level("nothing", "len({rare}_l) = 0 or len({rare}_r) = 0", 0.05, 0.2),
                    Level("other", "", 0.03, 0.7928, fixed=True),
                ),
            ),
        ),
        strong=(("key",),),
    ),
    Kind(
        "exact",
        "the same or not",
        parts.exact_parts,
        ("key",),
        (Evidence("value", ("key",), (_same("key", 0.85, 0.05), Level("other", "", 0.15, 0.95))),),
    ),
)

KINDS: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in _ALL})
"""Every comparison by the name that `rollout.yaml` uses."""

LEVEL_KEYS = tuple(
    sorted(
        f"level.{kind.name}.{evidence.code}.{level.code}"
        for kind in _ALL
        for evidence in kind.evidence
        for level in evidence.levels
    )
)
"""Keys of the message catalogue that explain a pair: what `Pairs.table`'s `why` names, behind `level.`."""


def kind_of(comparison: Comparison, where: str) -> Kind:
    """Look a comparison up.

    Raises:
        ConfigError: No such kind, or arguments, which none takes.
    """
    kind = KINDS.get(comparison.kind)
    if kind is None:
        near = difflib.get_close_matches(comparison.kind, KINDS, n=1)
        raise ConfigError(
            f"no comparison is called '{comparison.kind}'",
            where=where,
            hint=(f"did you mean '{near[0]}'? " if near else "") + f"there are: {', '.join(sorted(KINDS))}",
        )
    wrong = sorted(set(comparison.args) - set(kind.args))
    if wrong or not all(isinstance(value, bool) for value in comparison.args.values()):
        raise ConfigError(
            f"comparison '{comparison.kind}' does not understand its arguments: {', '.join(wrong or comparison.args)}",
            where=where,
            hint=f"it takes {', '.join(f'{name}: true | false' for name in kind.args) or 'none'}",
        )
    return kind

"""How a model's parts lie in the table that is compared: columns, evidence, blocking rules. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from rollout.errors import ConfigError
from rollout.match.comparisons import KINDS, Evidence, Kind, kind_of
from rollout.match.spec import MatchModel

FEATURES = "match_features"
"""The table that is compared: `row` (place in the clean stage) and a column for each part."""
_MOST_WEAK_FIELDS = 7


@dataclass(frozen=True)
class Placed:
    """A field, its kind, and where its parts lie."""

    field: str
    kind: Kind
    prefix: str
    pinyin: bool = True

    def column(self, part: str) -> str:
        """The column of a part. Splink names things after columns, so they are plain."""
        return f"{self.prefix}_{part}"


@dataclass(frozen=True)
class Rule:
    """A blocking rule: rows that agree on all columns are compared."""

    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """All that is compared.

    Args:
        model: As declared.
        where: The entity, for errors.
    """

    model: MatchModel
    where: str

    @cached_property
    def placed(self) -> Mapping[str, Placed]:
        """By field: those compared, then those that only blocking names."""
        found = {
            field: Placed(
                field,
                kind_of(comparison, f"match.{self.where}.model.comparisons.{field}"),
                f"c{number}",
                pinyin=comparison.args.get("pinyin", True),
            )
            for number, (field, comparison) in enumerate(self.model.comparisons.items())
        }
        for part in (part for rule in self.model.blocking for part in rule):
            field = part.partition(".")[0]
            if field not in found:
                found[field] = Placed(field, KINDS["exact"], f"b{len(found)}")
        return found

    @cached_property
    def evidence(self) -> Mapping[str, tuple[Placed, Evidence]]:
        """By its name in Splink's tables."""
        return {
            f"{placed.prefix}_{evidence.code}": (placed, evidence)
            for field, placed in self.placed.items()
            if field in self.model.comparisons
            for evidence in placed.kind.evidence
        }

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """The blocking rules, declared or suggested.

        Raises:
            ConfigError: A rule names a part that its field's comparison does not make, or nothing suggests any.
        """
        rules = tuple(self._declared()) or tuple(self._suggested())
        if not rules:
            raise ConfigError(
                "no blocking rule can be suggested from these comparisons",
                where=f"match.{self.where}.model",
                hint="declare `blocking`, or compare a second field",
            )
        return rules

    def _declared(self) -> Iterator[Rule]:
        for parts in self.model.blocking:
            yield Rule(" + ".join(parts), tuple(self._column(part) for part in parts))

    def _suggested(self) -> Iterator[Rule]:
        compared = [self.placed[field] for field in self.model.comparisons]
        for placed in compared:
            for parts in placed.kind.strong:
                yield self._rule([(placed, part) for part in parts])
        weak = [placed for placed in compared if placed.kind.weak][:_MOST_WEAK_FIELDS]
        for left, right in combinations(weak, 2):
            for parts in sorted(set(zip(left.kind.weak, right.kind.weak, strict=False))):
                yield self._rule(list(zip((left, right), parts, strict=True)))

    def _rule(self, parts: list[tuple[Placed, str]]) -> Rule:
        return Rule(
            " + ".join(f"{placed.field}.{part}" for placed, part in parts),
            tuple(placed.column(part) for placed, part in parts),
        )

    def _column(self, name: str) -> str:
        """The column that `field` or `field.part` means."""
        field, _, part = name.partition(".")
        placed = self.placed[field]
        part = part or placed.kind.parts[0]
        if part not in placed.kind.parts:
            raise ConfigError(
                f"comparison '{placed.kind.name}' of '{field}' makes no part '{part}'",
                where=f"match.{self.where}.model.blocking",
                hint=f"its parts: {', '.join(placed.kind.parts)}",
            )
        return placed.column(part)

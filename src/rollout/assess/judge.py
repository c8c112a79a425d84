"""Judges values as cleansing will: by what the source's own mapping makes of every row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from rollout.cleanse.chunk import CleansedChunk
from rollout.cleanse.rules import FieldPlan

_MISSING, _TOO_LONG = "required_missing", "too_long"


@dataclass
class Judgement:
    """Rows by field of the entity, blank rows left out; a row counts once a field."""

    missing: Counter[str] = field(default_factory=Counter)
    """Without a value that the field or its rule requires."""
    too_long: Counter[str] = field(default_factory=Counter)
    """With a text longer than the field."""
    invalid: Counter[str] = field(default_factory=Counter)
    """With a value that the mapping cannot use for any other reason, held back or dropped."""
    codes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """By field ("" for a rule over several), reason code and what was done: every rule that a row breaks."""
    ready: int = 0
    """Rows that cleansing lets through; references are judged elsewhere."""


def judged(chunks: Iterable[CleansedChunk]) -> Judgement:
    """Count what became of the rows."""
    found = Judgement()
    for chunk in chunks:
        found.ready += chunk.clean.num_rows
        for (name, code, done), remark in chunk.remarks.items():
            found.codes[name, code, done] += remark.rows
            if done != "kept":
                _count(found, name, code, remark.rows)
        counted = chunk.problems.group_by(["field", "reason_code"]).aggregate([([], "count_all")])
        for row in counted.to_pylist():
            name = row["field"] or ""
            found.codes[name, row["reason_code"], "quarantined"] += row["count_all"]
            _count(found, name, row["reason_code"], row["count_all"])
    return found


def _count(found: Judgement, name: str, code: str, rows: int) -> None:
    kind = {_MISSING: found.missing, _TOO_LONG: found.too_long}.get(code, found.invalid)
    kind[name] += rows


def present_plans(plans: Iterable[FieldPlan], columns: Collection[str]) -> tuple[FieldPlan, ...]:
    """The plans as far as these columns allow; a column that lacks is told in a finding of its own."""
    found = []
    for plan in plans:
        if plan.rule is None or plan.rule.const is not None:
            found.append(plan)
            continue
        there = tuple(name for name in plan.rule.columns if name in columns)
        if there:
            found.append(replace(plan, rule=plan.rule.model_copy(update={"source": there})))
    return tuple(found)

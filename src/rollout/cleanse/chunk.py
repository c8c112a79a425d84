"""One chunk of raw rows → clean rows, rejected rows with all their problems, and remarks. Pure, over Arrow tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rollout.cleanse.reasons import REASONS
from rollout.cleanse.row_rules import CODES, REFUSED, broken
from rollout.cleanse.rules import FieldPlan
from rollout.cleanse.spec import Breach, RowRule
from rollout.cleanse.words import NO_WORDS, Words
from rollout.mapping.spec import RESERVED_COLUMNS, OnError
from rollout.mapping.transforms import run_steps
from rollout.mapping.transforms_base import MEANT_EMPTY, Coded, TransformContext, nulls
from rollout.mapping.transforms_text import tidy
from rollout.model.entity import FieldType

ROW_COLUMNS = ("_source_key", "_source", "_file", "_line")
"""What identifies a row in every stage."""
QUARANTINE_COLUMNS = (*ROW_COLUMNS, "field", "value", "reason_code", "message", "hint")
"""Columns of the quarantine stage; all text but `_line`."""


@dataclass
class Remark:
    """How often a code was seen beside a field without holding the row back, and where first."""

    rows: int = 0
    first: str = ""


@dataclass
class Volume:
    """What became of a field's cells."""

    filled: int = 0
    """Cells with anything in them."""
    kept: int = 0
    """Of them those that have a value still."""
    changed: int = 0
    """Of those the ones that read otherwise than before."""

    def add(self, other: Volume) -> None:
        """Count another chunk's, too."""
        self.filled += other.filled
        self.kept += other.kept
        self.changed += other.changed


@dataclass
class CleansedChunk:
    """What became of a chunk; its rows are in exactly one of ``clean``, ``rejected``, ``left_out`` and ``blank``."""

    clean: Any
    """Arrow table: the entity's fields, `ROW_COLUMNS`, `_priority`, `_repeats` (rows equal there are one record)."""
    rejected: Any
    """Arrow table like ``clean``: rows that have at least one problem. Their other fields help to judge them."""
    problems: Any
    """Arrow table of `QUARANTINE_COLUMNS`: one row a problem, values raw."""
    left_out: Any
    """Arrow table like ``clean``: rows that people left out, with what can be read of them."""
    blank: Any
    """Keys of rows without any value."""
    remarks: dict[tuple[str, str, str], Remark] = field(default_factory=dict)
    """By (field, code, what was done: kept, dropped, defaulted)."""
    volumes: dict[str, Volume] = field(default_factory=dict)
    """By field; rows that are blank or left out do not count."""


@dataclass
class _Field:
    """One field's column after its rules."""

    values: Any
    raw: Any
    rejected: Any
    """Code where the row is held back, null elsewhere."""


def cleanse_chunk(
    table: Any,
    plans: Sequence[FieldPlan],
    context: TransformContext,
    *,
    rules: Sequence[RowRule] = (),
    words: Words = NO_WORDS,
    priority: int = 1,
    shared: bool = False,
) -> CleansedChunk:
    """Apply a mapping, and then the rules over whole rows, to raw rows.

    Args:
        table: Arrow table of a raw stage: the source's columns as text, `_key` and `ROW_COLUMNS`.
        plans: From `compile_mapping`; every column they read is in the table.
        context: For the transforms.
        rules: From `compile_rules`.
        words: What people said about rows.
        priority: The source's, noted with each row.
        shared: Whether a row may hold records of several entities: then one without a key holds none of this entity
            unless a column that fills one of its own fields (not a reference) has something.
    """
    table = table.combine_chunks()
    blank = _blank_rows(table, _own_columns(plans) if shared else table.column_names)
    blank_keys = _column(table, "_source_key").filter(blank)
    if len(blank_keys):
        table = table.filter(pc.invert(blank)).combine_chunks()
    gone = None
    if (left := words.left_out(_column(table, "_source_key"))) is not None:
        read = cleanse_chunk(table.filter(left), plans, context, priority=priority)
        gone = pa.concat_tables([read.clean, read.rejected])
        table = table.filter(pc.invert(left)).combine_chunks()
    remarks: dict[tuple[str, str, str], Remark] = {}
    done = [_apply(plan, table, context, remarks, words) for plan in plans]
    volumes = {plan.name: _volume(column) for plan, column in zip(plans, done, strict=True) if plan.rule}
    breaches = _judged(rules, plans, done, table, context, remarks)
    bad = pa.repeat(pa.scalar(False), table.num_rows)
    for _, where in breaches:
        bad = pc.or_(bad, where)
    for column in done:
        if column.rejected.null_count < table.num_rows:
            bad = pc.or_(bad, pc.is_valid(column.rejected))
    mapped = pa.table(
        [
            *(column.values for column in done),
            *(_column(table, name) for name in ROW_COLUMNS),
            pa.repeat(pa.scalar(priority, pa.int64()), table.num_rows),
            _column(table, "_repeats"),
        ],
        names=[*(plan.name for plan in plans), *ROW_COLUMNS, "_priority", "_repeats"],
    )
    some_bad = pc.any(bad).as_py()
    problems = [_problems(plan, column, table) for plan, column in zip(plans, done, strict=True)] if some_bad else []
    raws = {plan.name: column.raw for plan, column in zip(plans, done, strict=True)}
    problems += [told for rule, where in breaches for told in _breaches(rule, where, raws, table)]
    return CleansedChunk(
        clean=mapped.filter(pc.invert(bad)) if some_bad else mapped,
        rejected=mapped.filter(bad),
        problems=pa.concat_tables([empty_problems(), *problems]),
        left_out=mapped.slice(0, 0) if gone is None else gone,
        blank=blank_keys,
        remarks=remarks,
        volumes=volumes,
    )


def empty_problems() -> Any:
    """A quarantine table without rows."""
    return pa.table({name: pa.array([], pa.int64() if name == "_line" else pa.string()) for name in QUARANTINE_COLUMNS})


def problem_table(rows: Any, field_name: Any, values: Any, codes: Any) -> Any:
    """Quarantine rows.

    Args:
        rows: Arrow table that has `ROW_COLUMNS`, one row a problem.
        field_name: The field's name (one for all), or None.
        values: Raw values.
        codes: Reason codes.
    """
    told = codes.to_pylist()
    return pa.table(
        [
            *(_column(rows, name) for name in ROW_COLUMNS),
            pa.array([field_name] * len(told), pa.string()),
            values,
            codes,
            pa.array([REASONS[code].message for code in told], pa.string()),
            pa.array([REASONS[code].hint for code in told], pa.string()),
        ],
        names=list(QUARANTINE_COLUMNS),
    )


def _column(table: Any, name: str) -> Any:
    values = table[name]
    if isinstance(values, pa.ChunkedArray):
        return values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()
    return values


def _own_columns(plans: Sequence[FieldPlan]) -> list[str]:
    """Columns that fill an entity's fields but for its references."""
    rules = [plan.rule for plan in plans if plan.rule and plan.spec.type is not FieldType.REFERENCE]
    return list(dict.fromkeys(column for rule in rules for column in rule.columns))


def _blank_rows(table: Any, columns: Sequence[str]) -> Any:
    """Rows with nothing in these columns. Only a row without a key can be one, so the others are not looked at."""
    blank = pc.starts_with(_column(table, "_key"), "@")
    if not pc.any(blank).as_py():
        return blank
    for name in columns:
        if name not in RESERVED_COLUMNS:
            values = _column(table, name)
            blank = pc.and_(blank, pc.fill_null(pc.equal(pc.utf8_trim_whitespace(values), ""), True))
    return blank


def _apply(
    plan: FieldPlan, table: Any, context: TransformContext, remarks: dict[tuple[str, str, str], Remark], words: Words
) -> _Field:
    length = table.num_rows
    if plan.rule is None:
        values = nulls(length)
        codes = pa.repeat(pa.scalar("required_missing"), length) if plan.spec.required else nulls(length)
        return _Field(values, values, codes)
    raw = words.repaired(plan.name, _column(table, "_source_key"), _raw(plan, table, context))
    coded = _checked(plan, run_steps(raw, plan.steps, context))
    values = coded.values
    codes = nulls(length) if coded.codes is None else coded.codes
    meant = pc.is_in(codes, value_set=pa.array(MEANT_EMPTY, pa.string()))
    missing = pc.and_(pc.is_null(values), pc.invert(meant))
    if coded.codes is not None:
        _remember(remarks, plan, codes, pc.and_(pc.is_valid(codes), pc.invert(missing)), "kept", table)
    wrong = pc.and_(missing, pc.is_valid(codes))
    if plan.rule.required:
        empty = pc.and_(missing, pc.is_null(codes))
        codes = pc.if_else(empty, pa.scalar("required_missing"), codes)
        wrong = pc.or_(wrong, empty)
    rejected = nulls(length)
    if pc.any(wrong).as_py():
        if plan.rule.on_error is OnError.REJECT:
            rejected = pc.if_else(wrong, codes, pa.scalar(None, pa.string()))
        elif plan.rule.on_error is OnError.DEFAULT:
            values = pc.if_else(wrong, pa.scalar(plan.default), values)
            _remember(remarks, plan, codes, wrong, "defaulted", table)
        else:
            _remember(remarks, plan, codes, wrong, "dropped", table)
    if plan.spec.required:
        # What the target requires is missing for whatever reason: the row cannot go on.
        lost = pc.and_(pc.is_null(values), pc.is_null(rejected))
        if pc.any(lost).as_py():
            rejected = pc.if_else(lost, pc.coalesce(codes, pa.scalar("required_missing")), rejected)
    return _Field(values, raw, rejected)


def _volume(column: _Field) -> Volume:
    filled = pc.sum(pc.fill_null(pc.not_equal(column.raw, ""), False)).as_py() or 0
    kept = len(column.values) - column.values.null_count
    changed = pc.sum(pc.not_equal(column.values, column.raw)).as_py() or 0
    return Volume(filled, kept, changed)


def _judged(
    rules: Sequence[RowRule],
    plans: Sequence[FieldPlan],
    done: list[_Field],
    table: Any,
    context: TransformContext,
    remarks: dict[tuple[str, str, str], Remark],
) -> list[tuple[RowRule, Any]]:
    """The rules that hold rows back, and which. A rule that drops or replaces a value does so in ``done``."""
    held = []
    place = {plan.name: at for at, plan in enumerate(plans)}
    fields = {plan.name: plan.spec for plan in plans}
    for rule in rules:
        columns = {name: done[place[name]].values for name in rule.named}
        where = broken(rule, columns, fields, time_zone=context.time_zone)
        if not pc.any(where).as_py():
            continue
        if rule.action in {Breach.QUARANTINE, Breach.REJECT}:
            held.append((rule, where))
            continue
        at = place[rule.acts_on]
        codes = pc.if_else(where, pa.scalar(CODES[rule.check]), pa.scalar(None, pa.string()))
        values = pc.if_else(where, pa.scalar(rule.default, pa.string()), done[at].values)
        _remember(remarks, plans[at], codes, where, "defaulted" if rule.default else "dropped", table)
        rejected = done[at].rejected
        if plans[at].spec.required and rule.default is None:
            rejected = pc.coalesce(rejected, codes)
        done[at] = _Field(values, done[at].raw, rejected)
    return held


def _breaches(rule: RowRule, where: Any, raws: Mapping[str, Any], table: Any) -> list[Any]:
    """Quarantine rows of a rule: one a field that may be put right, each with the rule's name."""
    rows = table.select(ROW_COLUMNS).filter(where)
    codes = pa.repeat(pa.scalar(REFUSED if rule.action is Breach.REJECT else CODES[rule.check]), rows.num_rows)
    told = []
    for name in rule.fields:
        found = problem_table(rows, name, raws[name].filter(where), codes)
        at = found.column_names.index("message")
        named = pc.binary_join_element_wise(found["message"], pa.scalar(f"({rule.name})"), " ")
        told.append(found.set_column(at, "message", named))
    return told


def _raw(plan: FieldPlan, table: Any, context: TransformContext) -> Any:
    """The cells the rule reads: of several columns the first that holds a value."""
    assert plan.rule is not None
    if plan.rule.const is not None:
        return pa.repeat(pa.scalar(plan.rule.const), table.num_rows)
    columns = [_column(table, name) for name in plan.rule.columns]
    if len(columns) == 1:
        return columns[0]
    absent = pa.scalar(None, pa.string())
    full = [pc.if_else(pc.is_null(tidy(values, context).values), absent, values) for values in columns[:-1]]
    return pc.coalesce(*full, columns[-1])


def _checked(plan: FieldPlan, coded: Coded) -> Coded:
    """Pick-list and length."""
    values, codes = coded.values, coded.codes
    if plan.spec.type is FieldType.PICKLIST:
        allowed = pc.is_in(values, value_set=pa.array(plan.spec.picklist, pa.string()))
        values, codes = _refuse(values, codes, pc.invert(allowed), "not_in_picklist")
    if plan.spec.max_length is not None:
        longer = pc.greater(pc.utf8_length(values), plan.spec.max_length)
        values, codes = _refuse(values, codes, longer, "too_long")
    return Coded(values, codes)


def _refuse(values: Any, codes: Any, where: Any, code: str) -> tuple[Any, Any]:
    refused = pc.and_(pc.is_valid(values), pc.fill_null(where, False))
    if not pc.any(refused).as_py():
        return values, codes
    codes = nulls(len(values)) if codes is None else codes
    return pc.if_else(refused, pa.scalar(None, pa.string()), values), pc.if_else(refused, pa.scalar(code), codes)


def _remember(
    remarks: dict[tuple[str, str, str], Remark], plan: FieldPlan, codes: Any, where: Any, done: str, table: Any
) -> None:
    seen = codes.filter(where)
    if len(seen) == 0:
        return
    for counted in pc.value_counts(seen):
        code = counted["values"].as_py()
        row = pc.and_(pc.fill_null(pc.equal(codes, code), False), where).index(True).as_py()
        key = _column(table, "_source_key")[row].as_py()
        remark = remarks.setdefault((plan.name, code, done), Remark(first=key))
        remark.rows += counted["counts"].as_py()


def _problems(plan: FieldPlan, column: _Field, table: Any) -> Any:
    where = pc.is_valid(column.rejected)
    if not pc.any(where).as_py():
        return empty_problems()
    rows = table.select(ROW_COLUMNS).filter(where)
    return problem_table(rows, plan.name, column.raw.filter(where), column.rejected.filter(where))

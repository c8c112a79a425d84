"""Does a workbook that came back say something that can be done? All that is wrong is told, by line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
from pydantic import Field

from rollout.errors import ConfigError
from rollout.journal.row_decisions import Repair, RowDecision
from rollout.mapping.transforms import compile_steps, run_steps
from rollout.mapping.transforms_base import TransformContext
from rollout.model.base import Frozen
from rollout.model.choice import AS_BEFORE, BY_FIELD, WITH_ID, Choice
from rollout.model.entity import FieldSpec, FieldType
from rollout.model.target import TargetRecord
from rollout.phases.rejects import LeftOver
from rollout.project.spec import EntitySpec, Language
from rollout.report.rejects_workbook import FilledLine, choice_of, is_blank_mark, shown_choice
from rollout.report.workbook_cells import cell_text, is_error

Finder = Callable[[str, Sequence[str]], Mapping[str, TargetRecord]]
"""Records of an entity by target id."""
Parents = Callable[[str, str], str | None]
"""The golden key of an entity's record, by the key a person typed: a golden key, or the row key of its source."""


class SheetProblem(Frozen):
    """Why a line cannot be done."""

    line: int = Field(description="In the sheet, the header being 1.")
    key: str
    message: str
    hint: str


@dataclass(frozen=True)
class Filled:
    """A row of the queue with the lines that a person filled in for it."""

    entity: str
    row: LeftOver
    lines: tuple[FilledLine, ...]


@dataclass
class Checker:
    """Turns filled lines into decisions; what cannot be is in ``problems``.

    Args:
        entities: The project's.
        known: Decisions there were before, by entity and migration key: their repairs stay.
        find: Looks records up in the target.
        parents: Looks parents up by key.
        ours: The id of the record that a row is known to be, by entity and migration key.
        deserted: Whether no row stands any more for a record of ours, by entity and target id.
        context: For the normalisers of the field types.
        language: Of the pick-lists.
    """

    entities: Mapping[str, EntitySpec]
    known: Mapping[tuple[str, str], RowDecision]
    find: Finder
    parents: Parents
    ours: Parents
    deserted: Callable[[str, str], bool]
    context: TransformContext
    language: Language
    problems: list[SheetProblem] = field(default_factory=list)
    named: dict[tuple[str, str], int] = field(default_factory=dict)
    """Target ids that a line named, by entity."""
    found: dict[str, TargetRecord] = field(default_factory=dict)
    """The record that a row became, by migration key."""

    def decide(self, filled: Iterable[Filled]) -> list[RowDecision]:
        """The decisions, one a row; rows without any action are left as they are."""
        return [decision for one in filled if (decision := self._row(one)) is not None]

    def _row(self, filled: Filled) -> RowDecision | None:
        row, before = filled.row, len(self.problems)
        chosen = [(line, self._choice(line, row)) for line in filled.lines]
        actions = {choice for _, choice in chosen if choice is not None}
        if not actions:
            for line, _ in chosen:
                if (line.new_value or line.target_id) and not line.action:
                    self._wrong(line, "a value or an ID, and no action", "choose what is to be done with the row")
            return None
        self._refuse_doubled(filled.lines)
        first = next(line for line, choice in chosen if choice is not None)
        if len(actions) > 1 and not actions <= set(BY_FIELD):
            self._wrong(first, "the lines of one row ask for different things", "choose one action for the row")
            return None
        action = Choice.USE_LEGACY if Choice.USE_LEGACY in actions else next(iter(actions))
        by_field = self._by_field(row, chosen) if action in BY_FIELD else {}
        seen = {name: row.record.values.get(name) if row.record else None for name in by_field}
        repairs = self._repairs(filled, action)
        target_id = self._target_id(filled, action, first)
        known = self.known.get((filled.entity, row.line.migration_key))
        if known and action in AS_BEFORE:
            target_id = known.target_id
            if action is Choice.RESEND:
                by_field, seen = dict(known.by_field), dict(known.seen)
        if len(self.problems) > before:
            return None
        return RowDecision(
            entity=filled.entity,
            migration_key=row.line.migration_key,
            golden_key=row.line.golden_key,
            plan_id=row.line.plan_id,
            action=action,
            target_id=target_id,
            repairs=repairs,
            by_field=by_field,
            seen=seen,
        )

    def _choice(self, line: FilledLine, row: LeftOver) -> Choice | None:
        if not line.action:
            return None
        choice = choice_of(line.action)
        if choice is None or choice not in row.choices:
            may = ", ".join(shown_choice(allowed, self.language) for allowed in row.choices)
            self._wrong(line, f"'{line.action}' is nothing to do with a row of this kind", f"choose one of: {may}")
            return None
        return choice

    def _refuse_doubled(self, lines: Sequence[FilledLine]) -> None:
        """A field that was copied and filled in twice, differently, says nothing."""
        first: dict[str, FilledLine] = {}
        for line in lines:
            if not (line.action or line.new_value or line.target_id):
                continue
            other = first.setdefault(line.field, line)
            if (choice_of(other.action), other.new_value) != (choice_of(line.action), line.new_value):
                told = f"line {other.line} says something else about the same field"
                self._wrong(line, told, "keep one line a field")

    def _by_field(self, row: LeftOver, chosen: Sequence[tuple[FilledLine, Choice | None]]) -> dict[str, Choice]:
        by_field = {line.field: choice for line, choice in chosen if choice is not None and line.field}
        for line, choice in chosen:
            if line.field in row.clashing and choice is None:
                told = f"both sides changed '{line.field}' as well, and nothing is chosen for it"
                self._wrong(line, told, "choose for each field of the row whose value counts")
            held = row.record.values.get(line.field) if row.record else None
            if choice is not None and line.field and cell_text(held).strip() != (line.crm_value or "").strip():
                told = f"'{line.field}' changed in the CRM since the workbook was written"
                self._wrong(line, told, "export again, and look at the value that is there now")
        return by_field

    def _repairs(self, filled: Filled, action: Choice) -> dict[str, Repair]:
        row, known = filled.row, self.known.get((filled.entity, filled.row.line.migration_key))
        repairs = dict(known.repairs) if known else {}
        for line in filled.lines:
            if not line.new_value:
                continue
            if action is not Choice.RETRY:
                self._wrong(line, "a repaired value is sent by a retry only", "choose retry, or take the value away")
                continue
            spec = self.entities[filled.entity].fields.get(line.field)
            if spec is None:
                self._wrong(line, "a repaired value without its field", "name the field, as the export has it")
                continue
            is_fine, now = self._value(line, spec)
            if is_fine:
                earlier, held = repairs.get(line.field), row.values.get(line.field)
                was = earlier.was if earlier and earlier.now == held else held
                repairs[line.field] = Repair(was, now)
        return repairs

    def _value(self, line: FilledLine, spec: FieldSpec) -> tuple[bool, str | None]:
        """Whether a repaired value can be its field's, and its canonical text."""
        if is_error(line.new_value):
            self._wrong(line, "the cell shows an error, not a value", "write the value itself")
            return False, None
        if is_blank_mark(line.new_value):
            if spec.required:
                self._wrong(line, f"'{line.field}' must have a value", "fill one in")
            return not spec.required, None
        if spec.type is FieldType.REFERENCE:
            golden = self.parents(spec.references or "", line.new_value)
            if golden is None:
                told = f"no record of {spec.references} goes by '{line.new_value}'"
                self._wrong(line, told, "write the key of the record it belongs to, as the export shows keys")
            return golden is not None, golden
        value = canonical(line.new_value, spec, self.context)
        if value is None:
            self._wrong(line, f"this is no value of a {spec.type.value} field", f"correct '{line.field}'")
        elif spec.picklist and value not in spec.picklist:
            self._wrong(line, "this is none of the field's options", f"use one of: {', '.join(spec.picklist)}")
        elif spec.max_length is not None and len(value) > spec.max_length:
            self._wrong(line, f"more than {spec.max_length} characters", f"shorten '{line.field}'")
        else:
            return True, value
        return False, None

    def _target_id(self, filled: Filled, action: Choice, first: FilledLine) -> str | None:
        """The record that a decision names, seen to be there and to be nobody else's."""
        given = {line.target_id: line for line in filled.lines if line.target_id}
        if action not in WITH_ID:
            for line in given.values():
                self._wrong(line, "an ID, and an action that takes none", "choose exists as (ID) or landed")
            return None
        if filled.row.is_undo and not given:
            return None  # what was taken back may well be gone
        if len(given) != 1:
            self._wrong(first, "this action needs the ID of one record", "write it under CRM record ID")
            return None
        [(target_id, line)] = given.items()
        key = filled.row.line.migration_key
        record = self.find(filled.entity, [target_id]).get(target_id)
        if record is None:
            self._wrong(line, f"the CRM has no {filled.entity} '{target_id}'", "look the ID up again")
        elif record.migration_key not in (None, key) and not (
            action is Choice.EXISTS_AS and self.deserted(filled.entity, target_id)
        ):
            self._wrong(line, f"record '{target_id}' belongs to another row", "look the ID up again")
        elif action is Choice.LANDED and (ours := self.ours(filled.entity, key) or target_id) != target_id:
            self._wrong(line, f"the row is record '{ours}' since it was loaded first", "look the ID up again")
        elif (other := self.named.setdefault((filled.entity, target_id), line.line)) != line.line:
            self._wrong(line, f"line {other} names the record '{target_id}' too", "one record is one row")
        else:
            self.found[key] = record
        return target_id

    def _wrong(self, line: FilledLine, message: str, hint: str) -> None:
        self.problems.append(SheetProblem(line=line.line, key=line.key, message=message, hint=hint))


def canonical(text: str, spec: FieldSpec, context: TransformContext) -> str | None:
    """A typed value in its field's canonical text; None where it is no value of the field."""
    coded = run_steps(pa.array([text], pa.string()), compile_steps((), spec.type), context)
    value: str | None = coded.values[0].as_py()
    return value


def matched(
    lines: Sequence[FilledLine],
    rows: Mapping[tuple[str, str], LeftOver],
    entities: Iterable[str],
    is_known: Callable[[str, str], bool],
) -> tuple[list[Filled], list[SheetProblem], int]:
    """Lines put to their rows of the queue, whatever order they came back in.

    Args:
        lines: As they came back.
        rows: The queue now, by entity and golden key.
        entities: The project's.
        is_known: Whether an entity's record goes by a golden key.

    Returns:
        The rows with their lines; what is wrong; how many rows with an action are not in the queue any more.
    """
    by_row: dict[tuple[str, str], list[FilledLine]] = {}
    problems: list[SheetProblem] = []
    gone: set[tuple[str, str]] = set()
    for line in lines:
        at = (line.entity, line.key)
        if line.entity not in entities:
            problems.append(
                SheetProblem(
                    line=line.line,
                    key=line.key,
                    message=f"the project has no '{line.entity}'",
                    hint="leave key and object as the export has them",
                )
            )
        elif at in rows and rows[at].state == "skipped" and choice_of(line.action) is Choice.SKIP:
            gone.add(at)  # the workbook comes a second time
        elif at in rows:
            by_row.setdefault(at, []).append(line)
        elif line.action or line.new_value or line.target_id:
            if is_known(*at):
                gone.add(at)
            else:
                told, hint = f"no {line.entity} goes by '{line.key}'", "leave key and object as the export has them"
                problems.append(SheetProblem(line=line.line, key=line.key, message=told, hint=hint))
    return [Filled(at[0], rows[at], tuple(found)) for at, found in by_row.items()], problems, len(gone)


def refuse_another(info: Mapping[str, str], **expected: str) -> None:
    """Raises ConfigError where a workbook is of another project, target or wave."""
    for name, value in expected.items():
        if info.get(name) != value:
            raise ConfigError(
                f"the workbook is of {name} '{info.get(name, '')}', not '{value}'",
                hint="export the queue of this one: rollout rejects export FILE",
            )

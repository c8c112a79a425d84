"""What mappings leave open, and no plan may guess: people whom the owner map does not know, dates of two readings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa

from rollout.errors import ApprovalError
from rollout.mapping.date_columns import DateColumn, date_column
from rollout.mapping.spec import MappingRule
from rollout.mapping.transforms import compile_steps, run_steps
from rollout.mapping.transforms_values import DateArgs
from rollout.phases.cleanse import transform_context
from rollout.phases.context import PhaseContext
from rollout.phases.map_cells import RawColumn, cells, cleansed_columns
from rollout.phases.stages import engine
from rollout.report.files import write_list

TEMPLATE = "owners-missing.csv"


class OpenDates(NamedTuple):
    """A column whose dates nobody has confirmed the format of."""

    entity: str
    source: str
    column: str
    field: str
    dates: DateColumn


def refuse_open_mapping(context: PhaseContext) -> None:
    """Refuse to plan while people must complete the owner map or confirm a date format first.

    Raises:
        ApprovalError: Lists every unmapped name and every such column with its rows.
    """
    unmapped = unmapped_owners(context)
    dates = open_dates(context)
    told = []
    hints = []
    if unmapped:
        names = ", ".join(f"{name} ({rows} rows)" for name, rows in unmapped.items())
        file = _write_template(context, unmapped)
        owners = context.project.spec.owner_map
        told.append(f"the owner map does not know {len(unmapped)} people: {names}")
        hints.append(
            f"fill in {file} and add its lines to {owners.file if owners else 'the owner map'}"
            f" (who left: the successor, or {owners.pool if owners else ''})"
        )
    if dates:
        columns = "; ".join(
            f"{found.source} {found.column} → {found.entity}.{found.field}, {found.dates.undecided} rows"
            for found in dates
        )
        told.append(f"dates such as 03/04/2024 can be read in two ways, and nobody has confirmed the format: {columns}")
        hints.append("confirm the format with `rollout map export`, or as `transform: {date: {format: '%d/%m/%Y'}}`")
    if told:
        raise ApprovalError("; ".join(told), hint="; ".join(hints) + "; then cleanse and plan again")


def unmapped_owners(context: PhaseContext) -> dict[str, int]:
    """The people whom the owner map must know and does not, with their rows; none where the map may have gaps."""
    owners = context.project.spec.owner_map
    if owners is None or owners.unmapped != "refuse":
        return {}
    found: Counter[str] = Counter()
    with engine(context.project.workspace.stages) as connection:
        for column in _open_columns(context, "owner_unknown"):
            known = cells(connection, column.path, column.rule.columns)
            if not known:
                continue
            spec = context.project.spec.entities[column.entity].fields[column.rule.target]
            coded = run_steps(
                pa.array([cell.text for cell in known], pa.string()),
                compile_steps(column.rule.transform, spec.type),
                transform_context(context.project, column.entity, column.source),
            )
            codes = coded.codes.to_pylist() if coded.codes is not None else [None] * len(known)
            for cell, code in zip(known, codes, strict=True):
                if code == "owner_unknown":
                    found[cell.text.strip()] += cell.rows
    return dict(found.most_common())


def open_dates(context: PhaseContext) -> list[OpenDates]:
    """The columns of the latest cleansing whose dates may mean several days, and whose format nobody confirmed."""
    found = []
    with engine(context.project.workspace.stages) as connection:
        for column in _open_columns(context, "date_ambiguous", "datetime_ambiguous"):
            if is_confirmed(column.rule):
                continue
            dates = date_column((cell.text, cell.rows) for cell in cells(connection, column.path, column.rule.columns))
            if dates.is_open:
                name = " | ".join(column.rule.columns)
                found.append(OpenDates(column.entity, column.source.name, name, column.rule.target, dates))
    return found


def is_confirmed(rule: MappingRule) -> bool:
    """Whether a rule says how its column writes dates."""
    steps = compile_steps(rule.transform)
    return any(isinstance(step.args, DateArgs) and (step.args.format or step.args.formats) for step in steps)


def _open_columns(context: PhaseContext, *codes: str) -> Iterator[RawColumn]:
    """The columns of fields beside which the latest cleansing saw one of the codes."""
    run = context.journal.latest_run("cleanse")
    for entity, summary in (run.summary["entities"] if run else {}).items():
        places = {
            found["where"] for found in summary.get("findings", ()) if found["id"].removeprefix("cleanse.") in codes
        }
        for place in sorted(places):
            yield from cleansed_columns(context, entity, str(place).partition(".")[2])


def _write_template(context: PhaseContext, unmapped: dict[str, int]) -> str:
    """The lines that the owner map lacks, to be filled in."""
    lines = [(name, "", str(rows)) for name, rows in unmapped.items()]
    path = write_list(context.project.workspace.reports, TEMPLATE, ("legacy_name", "user", "rows"), lines)
    return path.relative_to(context.project.root).as_posix() if path.is_relative_to(context.project.root) else str(path)

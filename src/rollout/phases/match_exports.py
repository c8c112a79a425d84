"""What matching decided, as CSV for whoever wants to look at it elsewhere. Keys and weights; no personal data."""

from __future__ import annotations

import csv
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from rollout.errors import ConfigError
from rollout.model.base import Frozen
from rollout.phases.context import PhaseContext
from rollout.report.workbook_cells import write_private

MERGE_MAP = ("source_key", "golden_key", "rule", "weight")
REVIEW_QUEUE = ("left_key", "right_key", "rule", "weight", "probability", "reasons")
_WHY = {"merge-map": ("tied_to", "why"), "review-queue": ("why",)}
_FILES = {"merge-map": ("merges_file", MERGE_MAP), "review-queue": ("review_file", REVIEW_QUEUE)}


class MatchExport(Frozen):
    """A file that was written."""

    entity: str
    what: str
    file: str
    rows: int


def export_match(
    context: PhaseContext, what: str, entity: str, *, file: Path | None = None, why: bool = False
) -> MatchExport:
    """Write the merge map or the review queue of the latest cleansing.

    Args:
        context: The phase's context.
        what: `merge-map` or `review-queue`.
        entity: Whose.
        file: Where to; None: in the workspace's reports.
        why: Also what each comparison weighed, and of the merge map the row that each is tied to.

    Raises:
        ConfigError: Nothing was cleansed yet, the entity is unknown, a stage is gone, or the file cannot be written.
    """
    table = _table(context, entity, _FILES[what][0])
    columns = (*_FILES[what][1], *(_WHY[what] if why else ()))
    path = file or context.project.workspace.reports / f"{what}-{entity}.csv"
    lines = StringIO(newline="")
    writer = csv.writer(lines)
    writer.writerow(columns)
    writer.writerows([_cell(row[name]) for name in columns] for row in table.select(columns).to_pylist())
    try:
        write_private(path, lines.getvalue().encode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"cannot be written ({error.strerror})", where=str(path), hint="name another file") from error
    return MatchExport(entity=entity, what=what, file=str(path), rows=table.num_rows)


def _table(context: PhaseContext, entity: str, name: str) -> Any:
    run = context.journal.latest_run("cleanse")
    if run is None:
        raise ConfigError("nothing was cleansed yet", hint="run `rollout cleanse` first")
    if entity not in run.summary["entities"]:
        known = ", ".join(run.summary["entities"])
        raise ConfigError(f"there is no entity '{entity}'", hint=f"the entities are: {known}")
    path = context.project.workspace.stages / str(run.summary["entities"][entity].get(name, ""))
    if not path.is_file():
        raise ConfigError("a stage of the latest cleansing is gone", where=str(path), hint="run `rollout cleanse`")
    return pq.read_table(path)


def _cell(value: str | float | None) -> str:
    """A number in full, without the noise of its last digits."""
    if isinstance(value, float):
        return f"{value:.4f}"
    return value or ""

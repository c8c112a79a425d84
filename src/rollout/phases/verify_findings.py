"""What verification tells people: findings with row keys, never with values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from rollout.model.finding import Finding, Level
from rollout.phases.readback import SampleLook
from rollout.verify.control_totals import ControlTotalResult
from rollout.verify.people import PeopleResult
from rollout.verify.reconcile import Orphans, Reconciliation, Status
from rollout.verify.results import SuiteResult

_EXAMPLES = 10


def entity_findings(
    result: Reconciliation, counted: int, look: SampleLook, suites: tuple[SuiteResult, ...]
) -> Iterator[Finding]:
    """Everything worth telling about one entity, worst first."""
    yield from _reconciled(result, counted)
    if look.wrong:
        yield Finding(
            id="verify.sample_wrong",
            level=Level.ERROR,
            message=f"{len(look.wrong)} of {look.bound.size} sampled records are not as they should be",
            where=result.entity,
            hint="look at these rows in the CRM and in the source; then find out what the others have in common",
            count=len(look.wrong),
            detail={"rows": [{"key": key, "fields": list(look.wrong[key])} for key in sorted(look.wrong)[:_EXAMPLES]]},
        )
    for suite in suites:
        yield from _expectations(suite)
    yield from _told(result)


def orphan_findings(found: Orphans) -> Iterator[Finding]:
    """References in the target that lead nowhere."""
    for name, count in found.orphans.items():
        yield Finding(
            id="verify.orphans",
            level=Level.ERROR,
            message=f"{count} records of the target refer to one that is not there",
            where=f"{found.entity}.{name}",
            hint="see who made these records; correct or delete them",
            count=count,
            detail={"rows": [{"target_id": target_id} for target_id in found.examples[name]]},
        )


def people_findings(results: Sequence[PeopleResult]) -> Iterator[Finding]:
    """What people found wrong, and what they did not look at yet."""
    for result in results:
        if result.wrong:
            yield Finding(
                id="verify.people_wrong",
                level=Level.ERROR,
                message=f"people found {result.wrong} of {result.checked} records wrong",
                where=result.entity,
                hint="see their remarks with `rollout sample export DIR --again`; put it right and load again",
                count=result.wrong,
            )
        if result.open:
            yield Finding(
                id="verify.people_open",
                level=Level.WARNING,
                message=f"{result.open} of {result.asked} records that people are to check are open",
                where=result.entity,
                hint="collect the workbooks: `rollout sample list` says whose; `rollout sample import` takes them",
                count=result.open,
            )


def total_findings(totals: Sequence[ControlTotalResult]) -> Iterator[Finding]:
    """Source rows that a figure could not count."""
    for total in totals:
        if total.made_of is not None and total.made_of.unreadable:
            yield Finding(
                id="verify.total_unreadable",
                level=Level.WARNING,
                message=f"{total.made_of.unreadable} source rows hold a value that '{total.name}' cannot count",
                where=f"{total.entity}.{total.field}" if total.field else total.entity,
                hint="put these rows right in the quarantine; until then the figure is not whole",
                count=total.made_of.unreadable,
            )


def _reconciled(result: Reconciliation, counted: int) -> Iterator[Finding]:
    entity = result.entity
    if counted != result.observed:
        yield Finding(
            id="verify.count_differs",
            level=Level.ERROR,
            message=f"the target says it holds {counted} records, and showed {result.observed}",
            where=entity,
            hint="see whether somebody changes records now, or whether the migration's user may not see all of them",
            count=abs(counted - result.observed),
        )
    if result.missing:
        yield Finding(
            id="verify.missing",
            level=Level.ERROR,
            message=f"{result.missing} records were loaded and are not in the target",
            where=entity,
            hint="find out who deleted them, then plan and load again",
            count=result.missing,
            detail={"rows": _examples(result.rows_path, "status", Status.MISSING)},
        )
    if result.duplicate:
        yield Finding(
            id="verify.duplicate",
            level=Level.ERROR,
            message=f"{result.duplicate} migration keys are held by more than one record",
            where=entity,
            hint="keep the record that the crosswalk names",
            count=result.duplicate,
            detail={"rows": _examples(result.rows_path, "status", Status.DUPLICATE)},
        )
    if result.extra:
        yield Finding(
            id="verify.extra",
            level=Level.ERROR,
            message=f"{result.extra} migration keys are in the target although nothing was loaded under them",
            where=entity,
            hint="find out who made these records",
            count=result.extra,
            detail={"rows": _examples(result.rows_path, "status", Status.EXTRA)},
        )
    for field, count in result.wrong_fields.items():
        yield Finding(
            id="verify.field_differs",
            level=Level.ERROR,
            message=f"{count} records differ from what was loaded",
            where=f"{entity}.{field}",
            hint="compare with the change history in the CRM: who changed them, and when",
            count=count,
            detail={"rows": _examples(result.fields_path, "field", field)},
        )


def _expectations(suite: SuiteResult) -> Iterator[Finding]:
    if not suite.conclusive and not suite.outcomes:
        yield Finding(
            id="verify.suite_empty",
            level=Level.ERROR,
            message=f"nothing was judged: {suite.rows} rows, {suite.declared} expectations",
            where=suite.suite,
            hint="load the entity first",
        )
    for outcome in suite.outcomes:
        if outcome.success is None:
            yield Finding(
                id="verify.expectation_raised",
                level=Level.ERROR,
                message=f"could not be evaluated: {outcome.message or 'no answer'}",
                where=f"{suite.suite} {outcome.check}",
                hint="correct the expectation",
            )
        elif not outcome.success:
            yield Finding(
                id="verify.expectation_failed",
                level=Level.ERROR if outcome.severity == "critical" else Level.WARNING,
                message=f"{outcome.unexpected} of {outcome.evidence} values are not as expected",
                where=f"{suite.suite} {outcome.check}",
                hint="look at the records with these migration keys",
                count=outcome.unexpected,
                detail={"rows": list(outcome.keys[:_EXAMPLES])},
            )
    if suite.not_applicable:
        yield Finding(
            id="verify.expectation_not_applicable",
            level=Level.INFO,
            message="expectations about fields that this entity does not have were left out",
            where=suite.suite,
            count=len(suite.not_applicable),
            detail={"checks": list(suite.not_applicable)},
        )


def _told(result: Reconciliation) -> Iterator[Finding]:
    if result.held:
        yield Finding(
            id="verify.held",
            level=Level.INFO,
            message=f"{result.held} records of earlier loads: their source row is gone, or their change was refused",
            where=result.entity,
            hint="decide whether they stay; nothing is deleted",
            count=result.held,
        )
    if result.other_waves:
        yield Finding(
            id="verify.other_waves",
            level=Level.INFO,
            message=f"{result.other_waves} records are of other waves: judged when those are verified",
            where=result.entity,
            count=result.other_waves,
        )
    if result.other:
        yield Finding(
            id="verify.without_key",
            level=Level.INFO,
            message=f"{result.other} records have no migration key: not ours, not judged",
            where=result.entity,
            count=result.other,
        )
    if result.kept:
        yield Finding(
            id="verify.kept",
            level=Level.INFO,
            message=f"{result.kept} differing fields are left to the people who changed them, says the approved plan",
            where=result.entity,
            count=result.kept,
        )


def _examples(path: str, column: str, value: str) -> list[Mapping[str, Any]]:
    """Keys of some of the rows concerned, with the reason where there is one."""
    shown = [name for name in ("golden_key", "migration_key", "reason") if name in pq.read_schema(path).names]
    found = pq.read_table(path, columns=shown, filters=pc.field(column) == value).slice(0, _EXAMPLES).to_pylist()
    return [{name: cell for name, cell in row.items() if cell is not None} for row in found]

"""What the gates `load` and `verify` judge, measured. Pure.

Figures are of the worst entity, or summed where one wrong row anywhere is one too many, so that no entity hides behind
another. Evidence is the sum over the entities, and 0 as soon as one of them has none: a gate that says something
about every entity must have looked at every entity.

The buckets of the conservation table count source rows, and a golden record's row stands for the rows merged into it
(they are in `merged`). So the rows planned are ``created + updated + unchanged + adopted + rejected + conflict +
waiting + unknown + not_loaded``, and coverage's denominator ``source − merged − skipped`` is the same plus the
quarantined rows: both compare golden records with golden records. Rows that were loaded and taken back are in `skipped`
too, but nobody approved to do without them: they stay in the denominator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from rollout.model.outcome import LOADED, Accounting, Bucket
from rollout.model.verdict import Measurement
from rollout.verify.results import SuiteResult
from rollout.verify.sample import SampleBound

if TYPE_CHECKING:  # brings DuckDB, which a load does not need
    from rollout.verify.reconcile import Orphans, Reconciliation

_UNFINISHED = (Bucket.REJECTED, Bucket.CONFLICT, Bucket.WAITING, Bucket.UNKNOWN)


def load_measurements(table: Sequence[Accounting], entities: Sequence[str]) -> list[Measurement]:
    """Metrics of the gate `load`, from the conservation table alone.

    Args:
        table: One line an entity.
        entities: Entities that must be in it; one that is not has no evidence.
    """
    lines = [line for line in table if line.entity in entities]
    complete = {line.entity for line in lines} == set(entities)
    return [
        _worst("load_success", lines, _loaded_of(planned), planned, complete=complete),
        _worst("coverage", lines, _loaded_of(coverable), coverable, complete=complete),
        Measurement(
            metric="accounted",
            value=float(all(line.accounted for line in lines)) if lines else None,
            evidence=_evidence([line.source for line in lines], complete=complete),
            detail=", ".join(line.entity for line in lines if not line.accounted),
        ),
        Measurement(
            metric="open_rows",
            value=float(sum(line.waiting + line.unknown + line.not_loaded for line in lines)) if lines else None,
            evidence=_evidence([line.source for line in lines], complete=complete),
            detail=_by_entity({line.entity: line.waiting + line.unknown + line.not_loaded for line in lines}),
        ),
    ]


def verify_measurements(
    reconciled: Mapping[str, Reconciliation],
    counted: Mapping[str, int],
    samples: Mapping[str, SampleBound],
    suites: Sequence[SuiteResult],
    orphans: Sequence[Orphans] = (),
) -> list[Measurement]:
    """Metrics of the gate `verify`, each by entity.

    Args:
        reconciled: The comparison of everything.
        counted: How many records the target says it holds.
        samples: What the acceptance samples prove.
        suites: All suites that were run.
        orphans: Where the references of everything in the target lead.
    """
    return [
        _total("count_difference", {n: abs(counted[n] - r.observed) for n, r in reconciled.items()}, counted),
        *(
            _total(metric, {name: int(getattr(result, field)) for name, result in reconciled.items()}, expected)
            for expected in [{name: result.expected for name, result in reconciled.items()}]
            for metric, field in (
                ("reconcile_missing", "missing"),
                ("reconcile_extra", "extra"),
                ("reconcile_duplicate", "duplicate"),
                ("reconcile_different", "different"),
            )
        ),
        Measurement(
            metric="relations_broken",
            value=float(sum(result.relations_broken for result in reconciled.values())),
            # An entity without references has none to compare; all of them together must have some.
            evidence=sum(result.relations for result in reconciled.values()),
            detail=_by_entity({name: result.relations_broken for name, result in reconciled.items()}),
        ),
        Measurement(
            metric="orphans",
            value=float(sum(sum(found.orphans.values()) for found in orphans)) if orphans else None,
            evidence=sum(found.references for found in orphans),
            detail=_by_entity(
                {f"{found.entity}.{name}": count for found in orphans for name, count in found.orphans.items()}
            ),
        ),
        _sample(samples),
        _expectations(suites),
    ]


def planned(line: Accounting) -> int:
    """Golden records that were to be loaded."""
    return line.loaded + sum(line.bucket(bucket) for bucket in _UNFINISHED) + line.not_loaded


def coverable(line: Accounting) -> int:
    """Records that the source rows make: merged ones count once, approved skips not at all."""
    return line.source - line.merged - (line.skipped - line.undone)


def _loaded_of(base: Callable[[Accounting], int]) -> Callable[[Accounting], float | None]:
    def share(line: Accounting) -> float | None:
        return sum(line.bucket(bucket) for bucket in LOADED) / base(line) if base(line) > 0 else None

    return share


def _worst(
    metric: str,
    lines: Sequence[Accounting],
    share: Callable[[Accounting], float | None],
    base: Callable[[Accounting], int],
    *,
    complete: bool,
) -> Measurement:
    shares = {line.entity: share(line) for line in lines}
    known = [value for value in shares.values() if value is not None]
    return Measurement(
        metric=metric,
        value=min(known) if known and len(known) == len(shares) else None,
        evidence=_evidence([base(line) for line in lines], complete=complete),
        detail=", ".join(f"{name} {'–' if value is None else _percent(value)}" for name, value in shares.items()),
    )


def _total(metric: str, values: Mapping[str, int], evidence: Mapping[str, int]) -> Measurement:
    return Measurement(
        metric=metric,
        value=float(sum(values.values())) if values else None,
        evidence=_evidence([evidence[name] for name in values]),
        detail=_by_entity(values),
    )


def _sample(samples: Mapping[str, SampleBound]) -> Measurement:
    bounds = [sample.bound for sample in samples.values()]
    known = [value for value in bounds if value is not None]
    return Measurement(
        metric="sample_wrong_bound",
        value=max(known) if known and len(known) == len(bounds) else None,
        evidence=_evidence([sample.size for sample in samples.values()]),
        detail=", ".join(
            f"{name} {sample.wrong} / {sample.size}"
            + ("" if sample.bound is None else f" (≤ {_percent(sample.bound)})")
            for name, sample in samples.items()
        ),
    )


def _percent(share: float) -> str:
    """Exact to a row in a million, and no longer than it has to be."""
    return f"{share * 100:.4f}".rstrip("0").rstrip(".") + " %"


def _expectations(suites: Sequence[SuiteResult]) -> Measurement:
    open_suites = [suite.suite for suite in suites if not suite.conclusive]
    failed = [f"{suite.suite} {outcome.check}" for suite in suites for outcome in suite.failed]
    # What fails, fails; that something else could not be asked does not excuse it.
    value = float(len(failed)) if failed or (suites and not open_suites) else None
    return Measurement(
        metric="gx_failed",
        value=value,
        evidence=sum(suite.evidence for suite in suites),
        detail="; ".join([*failed, *(f"{name} is inconclusive" for name in open_suites)]),
    )


def _evidence(parts: Sequence[int], *, complete: bool = True) -> int:
    return sum(parts) if complete and parts and all(part > 0 for part in parts) else 0


def _by_entity(values: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items() if value)

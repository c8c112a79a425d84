"""From samples to figures and measurements. Pure.

Only requests that were *sent* while all users should have worked count, however long their answers took: a request that
hangs until after the hold is the slowest of them, not one to forget. Times are those of successful requests, so that
quick failures make nothing look fast.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate

from rollout.capacity.recording import Recording, Sample
from rollout.model.loadtest import (
    ActivityFigures,
    ErrorFigures,
    LoadFigures,
    LoadPoint,
    LoadSettings,
    UsersBucket,
)
from rollout.model.verdict import Measurement

LOG_IN = "log_in"
MAX_POINTS = 120
BUCKETS = 10
SLACK_S = 1.0
"""Allowed beyond two pauses before a user who got no good answer no longer counts as being at work."""


def figures(recording: Recording, settings: LoadSettings, *, found_stored: int | None) -> LoadFigures:
    """Work the figures out.

    Args:
        recording: The samples in any order.
        settings: What was asked for.
        found_stored: How many of ``recording.stored`` could be read back; None: the CRM could not be asked.
    """
    began, ended = recording.mark("hold_began"), recording.mark("hold_ended")
    until = math.inf if began is None else began + settings.hold_s
    complete = began is not None and ended is not None and ended >= until
    held = [sample for sample in recording.samples if began is not None and began <= sample.at_s < until]
    times = _times(held)
    failed = len(held) - len(times)
    said = len(recording.stored)
    return LoadFigures(
        complete=complete,
        hold_from_s=began,
        users_reached=at_work(recording.samples, began, until, 2 * settings.think_s[1] + SLACK_S)
        if began is not None and complete
        else None,
        requests=len(times),
        failed=failed,
        mean_s=_mean(times),
        p95_s=_p95(times),
        error_rate=failed / len(held) if held else None,
        throughput_per_s=len(times) / settings.hold_s if complete else None,
        said_stored=said,
        found_stored=found_stored,
        stored_share=None if found_stored is None or not said else found_stored / said,
        activities=_activities(held),
        errors=_errors(held),
        series=_series(recording.samples),
        by_users=_by_users(recording.samples, settings.users, until),
    )


def measurements(found: LoadFigures) -> list[Measurement]:
    """What the gate is judged by. Of a test that ended before its time only what was stored is known."""
    asked = found.requests + found.failed if found.complete else 0

    def timed(metric: str, value: float | None, evidence: int) -> Measurement:
        return Measurement(metric=metric, value=value if found.complete else None, evidence=evidence)

    return [
        timed("users_reached", found.users_reached, asked),
        timed("requests", found.requests, asked),
        timed("mean_s", found.mean_s, found.requests if found.complete else 0),
        timed("p95_s", found.p95_s, found.requests if found.complete else 0),
        timed("error_rate", found.error_rate, asked),
        Measurement(metric="stored_share", value=found.stored_share, evidence=found.said_stored),
    ]


def at_work(samples: Iterable[Sample], since_s: float, until_s: float, grace_s: float) -> int:
    """The fewest users at work at any moment of a window.

    A user is at work while a request of theirs that will succeed is under way, and for ``grace_s`` after it: longer
    than any pause. Who gets no good answer for longer than that has stopped, whatever still runs in their name.
    """
    spans: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for sample in samples:
        if sample.ok and sample.at_s < until_s and sample.ended_s + grace_s > since_s:
            spans[sample.user].append((max(sample.at_s, since_s), min(sample.ended_s + grace_s, until_s)))
    changes = [(since_s, 0)]
    for mine in spans.values():
        for begin, end in _merged(mine):
            changes += [(begin, 1), (end, -1)]
    by_moment: dict[float, int] = defaultdict(int)
    for at_s, change in changes:
        by_moment[at_s] += change
    counts = accumulate(by_moment[at_s] for at_s in sorted(by_moment) if at_s < until_s)
    return min(counts)


def _merged(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    return merged


def _times(samples: Iterable[Sample]) -> list[float]:
    """Seconds of the successful requests, shortest first."""
    return sorted(sample.seconds for sample in samples if sample.ok)


def _mean(times: Sequence[float]) -> float | None:
    return math.fsum(times) / len(times) if times else None


def _p95(times: Sequence[float]) -> float | None:
    """By nearest rank: a time that was measured."""
    return times[math.ceil(0.95 * len(times)) - 1] if times else None


def _activities(held: Iterable[Sample]) -> tuple[ActivityFigures, ...]:
    by_name: dict[str, list[Sample]] = defaultdict(list)
    for sample in held:
        by_name[sample.name].append(sample)
    rows = []
    for name, samples in sorted(by_name.items()):
        times = _times(samples)
        failed = len(samples) - len(times)
        rows.append(ActivityFigures(name=name, ok=len(times), failed=failed, mean_s=_mean(times), p95_s=_p95(times)))
    return tuple(rows)


def _errors(held: Iterable[Sample]) -> tuple[ErrorFigures, ...]:
    counted = Counter((sample.error, sample.name) for sample in held if not sample.ok)
    ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return tuple(ErrorFigures(kind=kind, activity=name, count=count) for (kind, name), count in ordered)


def _series(samples: Sequence[Sample]) -> tuple[LoadPoint, ...]:
    """The whole test in at most `MAX_POINTS` intervals of whole seconds, by the moment at which requests ended."""
    last_s = max((sample.ended_s for sample in samples), default=0.0)
    width_s = max(1, math.ceil((last_s + 1e-9) / MAX_POINTS))
    bins: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        bins[int(sample.ended_s // width_s)].append(sample)
    points, users = [], 0
    for number in range(max(bins, default=-1) + 1):
        ended = bins.get(number, [])
        users = max((sample.users for sample in ended), default=users)
        times = _times(ended)
        points.append(
            LoadPoint(
                at_s=(number + 0.5) * width_s,
                users=users,
                ok_per_s=len(times) / width_s,
                failed_per_s=(len(ended) - len(times)) / width_s,
                mean_s=_mean(times),
                p95_s=_p95(times),
            )
        )
    return tuple(points)


def _by_users(samples: Sequence[Sample], users: int, until_s: float) -> tuple[UsersBucket, ...]:
    """Throughput by the number of users: whole seconds up to the end of the hold, in ranges of a tenth of the users.

    Logging in is left out: each user does it once, on coming, and it would hide what the work itself costs.
    """
    seconds: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        if sample.ended_s < until_s and sample.name != LOG_IN:
            seconds[int(sample.ended_s)].append(sample)
    step = max(1, math.ceil(users / BUCKETS))
    ranges: dict[int, list[list[Sample]]] = defaultdict(list)
    for ended in seconds.values():
        ranges[max(0, max(sample.users for sample in ended) - 1) // step].append(ended)
    buckets = []
    for number, groups in sorted(ranges.items()):
        times = _times(sample for group in groups for sample in group)
        buckets.append(
            UsersBucket(
                users_from=number * step + 1,
                users_to=(number + 1) * step,
                seconds=len(groups),
                ok_per_s=len(times) / len(groups),
                mean_s=_mean(times),
            )
        )
    return tuple(buckets)

"""What a load test has to say besides its figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from rollout.capacity.recording import Recording
from rollout.capacity.runner import LocustEnd
from rollout.model.finding import Finding, Level
from rollout.model.loadtest import LoadFigures, LoadSettings
from rollout.phases.loadtest_records import Removal


def reduced(run: LoadSettings, asked: LoadSettings) -> Iterator[Finding]:
    """Fewer users, or for a shorter time, than the project asks."""
    for name in ("users", "ramp_s", "hold_s"):
        ran, wanted = getattr(run, name), getattr(asked, name)
        if ran < wanted:
            yield Finding(
                id="loadtest.reduced",
                level=Level.WARNING,
                message=f"less than the project asks: {name} {ran:g} instead of {wanted:g}",
                where=f"loadtest.{name}",
                hint="run it without options before the result is relied on",
                detail={"loadtest_setting": name, "ran": f"{ran:g}", "asked": f"{wanted:g}"},
            )


def process(found: LoadFigures, end: LocustEnd, recording: Recording, log: Path) -> Iterator[Finding]:
    """Whether Locust did what it should."""
    if not found.complete:
        how = "was ended after the longest time it may take" if end.timed_out else f"ended with {end.exit_code}"
        yield Finding(
            id="loadtest.ended_early",
            level=Level.ERROR,
            message=f"the users did not stay as long as was asked: Locust {how}",
            where=log.name,
            hint="its log tells why; then run the load test again",
            detail={"exit_code": end.exit_code},
        )
    if recording.mark("generator_busy") is not None:
        yield Finding(
            id="loadtest.generator_busy",
            level=Level.WARNING,
            message="the process that makes the load used up its core: the times may be its own",
            hint="run the load test from another machine than the CRM's, or with fewer users a process",
        )


def stored(lost: list[str] | None) -> Iterator[Finding]:
    """Whether what was said to be stored is there."""
    if lost is None:
        yield Finding(
            id="loadtest.not_readable",
            level=Level.ERROR,
            message="the CRM could not be asked what it stored",
            hint="see that it runs, then run the load test again",
        )
    elif lost:
        yield Finding(
            id="loadtest.not_stored",
            level=Level.ERROR,
            message=f"{len(lost)} records that the CRM said it stored are not there as they were sent",
            where=lost[0],
            hint="have the CRM's administrator find out where they went",
            count=len(lost),
        )


def left_behind(removal: Removal, leftovers: Removal, prefix: str, any_prefix: str) -> Iterator[Finding]:
    """What is still in the CRM, and what earlier tests had left there."""
    for done, keys in ((removal, prefix), (leftovers, any_prefix)):
        if done.left or done.problem:
            yield Finding(
                id="loadtest.not_removed",
                level=Level.ERROR,
                message=f"records of the load test are still in the CRM: {done.problem or 'they stayed when deleted'}",
                where=keys,
                hint=f"delete the records whose migration key begins with '{keys}', or run the load test again",
                count=done.left or None,
            )
    if leftovers.removed:
        yield Finding(
            id="loadtest.leftovers_removed",
            level=Level.INFO,
            message=f"{leftovers.removed} records of an earlier load test that was cut short were removed",
            where=any_prefix,
            count=leftovers.removed,
        )


def no_followups(target: str) -> Finding:
    """The CRM has no follow-ups."""
    return Finding(
        id="loadtest.no_followups",
        level=Level.INFO,
        message="the CRM has no entity 'followup': the users wrote none",
        where=target,
    )


def by_level(findings: Iterable[Finding]) -> dict[str, int]:
    """How many there are of each level."""
    return dict(Counter(finding.level.value for finding in findings))

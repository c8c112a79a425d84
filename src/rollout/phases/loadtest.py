"""`loadtest`: do as many people as will work in the CRM get their answers in time, and is what they enter stored?"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from rollout.capacity import judge
from rollout.capacity.hosts import allowed
from rollout.capacity.recording import LocustOptions, Recording, read_recording
from rollout.capacity.runner import LocustEnd, run_locust
from rollout.errors import ConfigError, RolloutError
from rollout.journal.leases import hold
from rollout.model.base import Frozen
from rollout.model.finding import Finding
from rollout.model.loadtest import LoadFigures, LoadSettings
from rollout.model.verdict import GateResult, Verdict, judge_gate
from rollout.phases import loadtest_findings as told
from rollout.phases.context import PhaseContext, Progress, shown
from rollout.phases.loadtest_records import ENTITIES, PREFIX, LoadTestTarget, Removal, not_found, remove, target_of
from rollout.phases.loadtest_report import GATE, write_report
from rollout.project.gates import criteria
from rollout.project.spec_around import LoadTestSection

MIX: Mapping[str, int] = {
    "create_account": 4,
    "create_followup": 2,
    "search_account": 2,
    "open_account": 2,
    "list_accounts": 1,
}
"""What a salesperson does, and how often; each is a method of the user in `loadtests/salesperson.py`."""
SETTLE_S = 15.0
"""After the ramp; then the hold begins even if not all users have come, and they will be missing from the figures."""


class LoadTestSummary(Frozen):
    """The answer of `loadtest`. Times are seconds of successful requests while all users worked."""

    run_id: str
    target: str
    verdict: Verdict
    users_reached: int | None = Field(description="The fewest users at work at any moment of the hold.")
    requests: int
    mean_s: float | None
    p95_s: float | None
    error_rate: float | None
    stored_share: float | None
    throughput_per_s: float | None
    removed: int = Field(description="Records of this test that were removed from the CRM.")
    not_removed: int = Field(description="Records whose keys begin with `key_prefix` that are still there.")
    leftovers_removed: int = Field(description="Records of earlier tests that were removed at the beginning.")
    key_prefix: str
    settings: LoadSettings = Field(description="What was run.")
    asked: LoadSettings = Field(description="What the project asks.")
    figures: LoadFigures
    gate: GateResult
    findings: dict[str, int] = Field(description="Findings by level.")
    reports: tuple[str, ...] = Field(description="Paths of the documents.")
    recording: str = Field(description="Every request, a JSON line each; relative to the workspace.")
    seconds: float


def run_loadtest(
    context: PhaseContext, *, users: int | None = None, ramp_s: float | None = None, hold_s: float | None = None
) -> LoadTestSummary:
    """Let users work in the target of the phase `loadtest`, judge what they saw, and clean up after them.

    Args:
        context: The phase's context.
        users: In place of the project's. The report says so if it is less.
        ramp_s: Seconds, likewise.
        hold_s: Seconds, likewise.

    Raises:
        ConfigError: The project has no load test, the host is not listed, or a figure is out of bounds.
        LeaseHeld: Another load test, or a load into the same target, is under way.
        Retryable: The target or the database cannot be reached.
    """
    begun_s = time.perf_counter()
    prepared = _prepare(context, {"users": users, "ramp_s": ramp_s, "hold_s": hold_s})
    with (
        hold(context.journal, GATE),
        hold(context.journal, f"load {prepared.target_name}"),
        context.journal.running(GATE) as run,
    ):
        options = prepared.options(context, run.run_id)
        leftovers = remove(prepared.target, prepared.entities, PREFIX, context.progress)
        with _removed_whatever_happens(prepared, options, context.progress) as removal:
            end, recording = _let_them_work(context, prepared, options)
            lost = _read_back(prepared.target, recording, context.progress)
        found = judge.figures(
            recording,
            options.settings,
            found_stored=None if lost is None else len(recording.stored) - len(lost),
        )
        gate = _judged(context, prepared, found)
        findings = _findings(prepared, options, _Outcome(found, end, recording, lost, removal, leftovers))
        context.journal.add_findings(run.run_id, findings)
        context.journal.record_gate(run.run_id, gate)
        summary = LoadTestSummary(
            run_id=run.run_id,
            target=prepared.target_name,
            verdict=gate.verdict,
            users_reached=found.users_reached,
            requests=found.requests,
            mean_s=found.mean_s,
            p95_s=found.p95_s,
            error_rate=found.error_rate,
            stored_share=found.stored_share,
            throughput_per_s=found.throughput_per_s,
            removed=removal.removed,
            not_removed=removal.left,
            leftovers_removed=leftovers.removed,
            key_prefix=options.key_prefix,
            settings=options.settings,
            asked=prepared.asked,
            figures=found,
            gate=gate,
            findings=told.by_level(findings),
            reports=(),
            recording=str(Path(options.recording).relative_to(context.project.workspace.root)),
            seconds=time.perf_counter() - begun_s,
        )
        reports = write_report(context, run.run_id, summary.model_dump(mode="json"), findings)
        summary = summary.model_copy(update={"reports": reports})
        run.summary = summary.model_dump(mode="json")
    return summary


@dataclass(frozen=True)
class _Prepared:
    """A load test that may be run."""

    target_name: str
    target: LoadTestTarget
    entities: tuple[str, ...]
    """Of those that load tests store, the ones this CRM has."""
    section: LoadTestSection
    settings: LoadSettings
    asked: LoadSettings

    def options(self, context: PhaseContext, run_id: str) -> LocustOptions:
        """What Locust is told for one run."""
        return LocustOptions(
            settings=self.settings,
            username=self.section.username,
            key_prefix=f"{PREFIX}{run_id[:8]}:",
            timeout_s=self.target.capabilities.call_timeout_s,
            settle_s=SETTLE_S,
            parent_pid=os.getpid(),
            recording=str(context.project.workspace.loadtests / f"{run_id}.jsonl"),
        )


def _prepare(context: PhaseContext, overrides: Mapping[str, float | None]) -> _Prepared:
    """Whether the test may be run, before anything is touched."""
    spec = context.project.spec
    if spec.loadtest is None:
        raise ConfigError(
            "the project has no load test", where="rollout.yaml", hint="add a section `loadtest:` with hosts and a user"
        )
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        section = LoadTestSection.model_validate(spec.loadtest.model_dump() | given)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise ConfigError(f"{first['msg']} ({'.'.join(map(str, first['loc']))})", where="loadtest") from None
    target_name, target_spec, _ = context.target("loadtest")
    address = spec.systems[target_spec.system].options.get("base_url")
    if not isinstance(address, str):
        raise ConfigError(
            f"system '{target_spec.system}' has no address that could be put under load",
            where=f"systems.{target_spec.system}.options.base_url",
        )
    host = allowed(address, section.hosts)
    target = target_of(context, target_spec.system)
    entities = tuple(entity for entity in ENTITIES if entity in target.describe().entities)
    mix = {name: weight for name, weight in MIX.items() if name != "create_followup" or "followup" in entities}

    def settings(of: LoadTestSection) -> LoadSettings:
        return LoadSettings(host=host, users=of.users, ramp_s=of.ramp_s, hold_s=of.hold_s, think_s=of.think_s, mix=mix)

    return _Prepared(target_name, target, entities, section, settings(section), settings(spec.loadtest))


def _let_them_work(context: PhaseContext, prepared: _Prepared, options: LocustOptions) -> tuple[LocustEnd, Recording]:
    recording = Path(options.recording)
    total_s = round(options.settings.ramp_s + options.settings.hold_s)
    begun_s, shown_s = time.monotonic(), 0
    with shown(context.progress, "load test", total_s, "s"):

        def tick() -> None:
            nonlocal shown_s
            now_s = min(total_s, int(time.monotonic() - begun_s))
            context.progress.advance(now_s - shown_s)
            shown_s = now_s

        end = run_locust(
            options,
            password=prepared.section.password,
            options_path=recording.with_suffix(".options.json"),
            log_path=recording.with_suffix(".log"),
            tick=tick,
        )
    return end, read_recording(recording)


def _judged(context: PhaseContext, prepared: _Prepared, found: LoadFigures) -> GateResult:
    """The gate. A test that asked less of the CRM than the project does can fail it, but never pass."""
    asked, measured = list(criteria(context.project.spec, GATE)), judge.measurements(found)
    gate = judge_gate(GATE, asked, measured)
    less = "; ".join(finding.message for finding in told.reduced(prepared.settings, prepared.asked))
    if gate.verdict is not Verdict.PASS or not less:
        return gate
    return judge_gate(GATE, asked, [item.model_copy(update={"value": None, "detail": less}) for item in measured])


@contextmanager
def _removed_whatever_happens(prepared: _Prepared, options: LocustOptions, progress: Progress) -> Iterator[Removal]:
    """The block's records are removed at its end, also when it is interrupted; the answer is filled in then."""
    removal = Removal()
    try:
        yield removal
    finally:
        vars(removal).update(vars(remove(prepared.target, prepared.entities, options.key_prefix, progress)))


def _read_back(target: LoadTestTarget, recording: Recording, progress: Progress) -> list[str] | None:
    """Keys that were lost; None: the CRM could not be asked, so that nothing is known."""
    try:
        return not_found(target, recording.stored, progress)
    except RolloutError:
        return None


@dataclass(frozen=True)
class _Outcome:
    """How a test went."""

    found: LoadFigures
    end: LocustEnd
    recording: Recording
    lost: list[str] | None
    removal: Removal
    leftovers: Removal


def _findings(prepared: _Prepared, options: LocustOptions, outcome: _Outcome) -> list[Finding]:
    return [
        *told.reduced(options.settings, prepared.asked),
        *told.process(outcome.found, outcome.end, outcome.recording, Path(options.recording).with_suffix(".log")),
        *told.stored(outcome.lost),
        *told.left_behind(outcome.removal, outcome.leftovers, options.key_prefix, PREFIX),
        *([] if "followup" in prepared.entities else [told.no_followups(prepared.target_name)]),
    ]

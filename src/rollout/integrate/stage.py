"""What the scenarios of the integration test share: the systems, waiting, judging, and clearing away."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from rollout.connectors.base import ChangedRecord, Op, Remover, RowStatus, Scripted, TargetRecord, WriteRow
from rollout.errors import Fatal, OutcomeUnknown, Retryable, RolloutError, RowRejected, UnsupportedOperation
from rollout.integrate.sync import Feed, SyncFigures
from rollout.integrate.upsert import CrmTarget
from rollout.model.entity import Values
from rollout.model.integration import Cell, DrillEvent, DrillFigures, Fact
from rollout.model.masking import mask_text
from rollout.model.verdict import Verdict
from rollout.project.spec_around import SyncSpec

KEY_PREFIX = "drill:"
"""Begins the migration keys of records that scenarios create in the CRM themselves."""
TAG_PREFIX = "DRILL-"
"""Begins the ids of records that scenarios put into other systems, and the names of those in the CRM."""
_TEST_ID = re.compile(rf"{TAG_PREFIX}[0-9a-f]{{8}}-\d{{3}}")
COMPANY, LEAD = "虚构客户", "线索"
"""Follow the tag in the names of the test's customer and lead, and of what the rule makes of them."""
_TEST_NAME = re.compile(rf"{TAG_PREFIX}[0-9a-f]{{8}} (?:{COMPANY}|{LEAD})")
"""What only a test is called, to the letter: a company may well number its own orders ``DRILL-…``."""
POLL_S = 0.2


def tag_of(run_id: str) -> str:
    """What marks the test records of a run."""
    return f"{TAG_PREFIX}{run_id[:8]}"


def is_test_id(source_id: str) -> bool:
    """Whether a record of another system was put there by a scenario."""
    return _TEST_ID.match(source_id) is not None  # whatever a faulty sync may have put behind it


class Crm(CrmTarget, Remover, Protocol):
    """A CRM that test records can be taken out of again."""


class RunSync(Protocol):
    """Runs a sync of the project as it is declared; ``feed`` and ``target`` may lead through a fault proxy."""

    def __call__(self, name: str, *, feed: Feed | None = None, target: CrmTarget | None = None) -> SyncFigures:
        """Once, to its end or until it stops."""
        ...


class Connect(Protocol):
    """Makes a connector of a system with another address."""

    def __call__(self, system: str, base_url: str) -> object:
        """Whoever asks closes it."""
        ...


class ScriptedFeed(Feed, Scripted, Protocol):
    """A system whose changes can be read, and brought about by tests."""


@dataclass(frozen=True)
class Stage:
    """What scenarios play on."""

    tag: str
    """Marks this run's test records; begins with `TAG_PREFIX`."""
    crm_name: str
    crm: Crm
    salesperson: str
    settle_s: float
    syncs: Mapping[str, SyncSpec]
    systems: Mapping[str, object]
    """Connectors of the systems that syncs read, by name."""
    addresses: Mapping[str, str | None]
    """Their base addresses, and the CRM's; None where a system's options name none."""
    customer: tuple[str, str] | None
    """Row key and target id of a customer that is loaded; None: none is."""
    run_sync: RunSync
    rewind: Callable[[str, str | None], None]
    cursor: Callable[[str], str | None]
    connect: Connect
    sleep: Callable[[float], None]
    monotonic_s: Callable[[], float] = time.monotonic
    drills: list[DrillFigures] = field(default_factory=list)
    events: list[DrillEvent] = field(default_factory=list)
    put: dict[str, set[str]] = field(default_factory=dict)
    """Source ids of the test records put into other systems, by sync."""

    def create(self, entity: str, name: str, values: Values) -> TargetRecord:
        """Create a test record in the CRM. Raises `NotJudgedError` when the CRM has no place for it."""
        if entity not in self.crm.describe().entities:
            raise NotJudgedError("no_entity", entity=entity)
        return self._write(entity, WriteRow(f"{KEY_PREFIX}{self.tag}:{name}", Op.CREATE, values))

    def change(self, record: TargetRecord, values: Values) -> TargetRecord:
        """Change a test record."""
        assert record.migration_key is not None
        return self._write(record.entity, WriteRow(record.migration_key, Op.UPDATE, values, record.target_id))

    def again(self, record: TargetRecord) -> TargetRecord:
        """A test record as it is now."""
        assert record.migration_key is not None
        found = self.crm.read_by_keys(record.entity, [record.migration_key]).get(record.migration_key, ())
        if len(found) != 1:
            raise FailedError("wrong_count", entity=record.entity, found=len(found), wanted=1)
        return found[0]

    def find(self, entity: str, fits: Callable[[TargetRecord], bool]) -> list[TargetRecord]:
        """Records of the CRM that rules made: they carry no key of ours, so all are looked through."""
        return [record for record in self.crm.read_all(entity) if fits(record)]

    def wait_until(self, is_there: Callable[[], bool]) -> float | None:
        """Seconds until something is there; None if it is not by the end of `settle_s`."""
        begun_s = self.monotonic_s()
        while True:
            if is_there():
                return round(self.monotonic_s() - begun_s, 2)
            if self.monotonic_s() - begun_s >= self.settle_s:
                return None
            self.sleep(POLL_S)

    def sync_of(self, stream: str) -> tuple[str, SyncSpec, ScriptedFeed]:
        """The declared sync of a stream, and its system. Raises `NotJudgedError` where tests cannot play on it."""
        for name, spec in self.syncs.items():
            if spec.stream == stream:
                feed = self.systems[spec.system]
                if not isinstance(feed, Scripted):
                    raise NotJudgedError("by_hand", system=spec.system, stream=stream)
                return name, spec, feed  # type: ignore[return-value]  # the sync itself asks for a feed
        raise NotJudgedError("no_sync", stream=stream)

    def enter(self, name: str, feed: Scripted, numbers: Iterable[int]) -> list[ChangedRecord]:
        """Put test records into a sync's system; answers them."""
        spec = self.syncs[name]
        ids = [f"{self.tag}-{number:03}" for number in numbers]
        if spec.references and self.customer is None:
            raise NotJudgedError("no_customer")
        reference = self.customer[0] if spec.references and self.customer else None
        try:
            records = [feed.example(spec.stream, source_id, reference=reference) for source_id in ids]
            self.put.setdefault(name, set()).update(ids)
            feed.put(spec.stream, records)
        except UnsupportedOperation:
            raise NotJudgedError("by_hand", system=spec.system, stream=spec.stream) from None
        return records

    def held(self, spec: SyncSpec, source_id: str) -> list[TargetRecord]:
        """What the CRM holds of a test record of another system, doubles included."""
        return list(self.crm.read_by_key_prefix(spec.entity, f"{spec.key_prefix}{source_id}"))

    def _write(self, entity: str, row: WriteRow) -> TargetRecord:
        result = self.crm.write(entity, [row])[0]
        if result.status not in (RowStatus.CREATED, RowStatus.UPDATED, RowStatus.UNCHANGED) or not result.target_id:
            message = f"{result.status.value} {result.reason_code or ''} {result.message}"
            raise NotJudgedError("crm_refused", entity=entity, message=mask_text(message))
        return TargetRecord(entity, row.migration_key, result.target_id, row.values)


class FailedError(Exception):
    """The systems did not do what they should. Never leaves the integration test."""

    def __init__(self, outcome: str, **facts: Fact) -> None:
        super().__init__(outcome)
        self.outcome, self.facts = outcome, facts


class NotJudgedError(FailedError):
    """It could not be found out."""


Outcome = tuple[str, dict[str, Fact]]


@dataclass(frozen=True)
class Scenario:
    """What is played, and on which kinds of systems: ``crm``, or the stream whose system takes part."""

    name: str
    takes: tuple[str, ...]
    play: Callable[[Stage], Outcome]
    """Answers what was seen when all is well; raises `FailedError` or `NotJudgedError`."""


def judge(scenario: Scenario, stage: Stage) -> Cell:
    """Play a scenario. Whatever a system answers becomes a verdict; a system that is down proves nothing."""
    begun_s = time.perf_counter()
    try:
        outcome, facts = scenario.play(stage)
        verdict = Verdict.PASS
    except NotJudgedError as error:
        verdict, outcome, facts = Verdict.INCONCLUSIVE, error.outcome, error.facts
    except FailedError as error:
        verdict, outcome, facts = Verdict.FAIL, error.outcome, error.facts
    except (Retryable, Fatal, OutcomeUnknown, RowRejected, UnsupportedOperation) as error:
        verdict, outcome, facts = Verdict.INCONCLUSIVE, "unavailable", {"message": mask_text(str(error))}
    return Cell(
        scenario=scenario.name,
        systems=tuple(dict.fromkeys(_system(stage, part) for part in scenario.takes)),
        verdict=verdict,
        outcome=outcome,
        facts=facts,
        seconds=round(time.perf_counter() - begun_s, 2),
    )


def _system(stage: Stage, part: str) -> str:
    """The system that a part is played by; the part's own name where the project declares none."""
    if part == "crm":
        return stage.crm_name
    return next((spec.system for spec in stage.syncs.values() if spec.stream == part), part)


def clear(stage: Stage, forget: Callable[[str, Sequence[str]], None], known: Mapping[str, set[str]]) -> list[str]:
    """Take all test records out of every system, those of runs that were cut off too.

    Args:
        stage: The systems.
        forget: Drops what the journal knows of source ids of a sync.
        known: Source ids of test records that the journal knows, by sync.

    Returns:
        What could not be taken out, a sentence each.
    """
    problems: list[str] = []
    for name, spec in stage.syncs.items():
        ids = sorted(filter(is_test_id, known.get(name, set()) | stage.put.get(name, set())))
        feed = stage.systems[spec.system]
        with _noting(problems, f"{spec.system}: {len(ids)} test records of the stream {spec.stream}"):
            if ids and isinstance(feed, Scripted):
                feed.withdraw(spec.stream, ids)
            held = stage.held(spec, TAG_PREFIX)
            stage.crm.delete(spec.entity, [record.target_id for record in held if _is_test_record(spec, record)])
            forget(name, ids)
    with _noting(problems, f"{stage.crm_name}: test records with keys {KEY_PREFIX}…"):
        for entity, ids in _made_in_crm(stage):
            stage.crm.delete(entity, ids)
    return problems


def _is_test_record(spec: SyncSpec, record: TargetRecord) -> bool:
    return is_test_id((record.migration_key or "").removeprefix(spec.key_prefix))


def _made_in_crm(stage: Stage) -> Iterator[tuple[str, list[str]]]:
    """Ids of test records and of what rules made of them, children first."""
    entities = stage.crm.describe().entities

    def keyed(entity: str) -> list[TargetRecord]:
        return list(stage.crm.read_by_key_prefix(entity, KEY_PREFIX)) if entity in entities else []

    leads, tickets = keyed("lead"), keyed("ticket")
    ticket_ids, lead_ids = ({record.target_id for record in found} for found in (tickets, leads))

    def of_ticket(record: TargetRecord) -> bool:
        return record.values.get("ticket") in ticket_ids

    def named(record: TargetRecord) -> bool:
        # By name: a clearing that was cut off may have taken the lead and left what the rule made of it. A rule may
        # also have joined the lead to a real customer: only one that has the test's own name goes.
        return _TEST_NAME.fullmatch(record.values.get("name") or "") is not None

    def won(record: TargetRecord) -> bool:
        return record.values.get("lead") in lead_ids or named(record)

    made: tuple[tuple[str, Callable[[TargetRecord], bool] | None], ...] = (
        ("notification", of_ticket if ticket_ids else None),
        ("todo", of_ticket if ticket_ids else None),
        ("ticket", None),
        ("lead", None),
        ("opportunity", won),
        ("account", named),
    )
    for entity, fits in made:
        found = stage.find(entity, fits) if fits and entity in entities else []
        yield entity, sorted({record.target_id for record in (*found, *keyed(entity))})


@contextmanager
def _noting(problems: list[str], what: str) -> Iterator[None]:
    try:
        yield
    except RolloutError as error:
        problems.append(mask_text(f"{what} are left behind: {error}"))

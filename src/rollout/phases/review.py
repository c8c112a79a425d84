"""The review queue: pairs of records about which people are asked, listed and handed out as workbooks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field

from rollout.errors import ConfigError
from rollout.journal import audit_trail, handouts, pair_decisions, people
from rollout.journal.pair_decisions import IN_TARGET
from rollout.match.exact import REPEATED_ROW
from rollout.match.matcher import SAME
from rollout.match.review import DECISION
from rollout.match.spec import Guards, MatchSpec
from rollout.model.base import Frozen
from rollout.model.entity import FieldSpec
from rollout.model.masking import mask_field
from rollout.phases.adoption_likely import read_likely
from rollout.phases.context import PhaseContext
from rollout.project.spec import EntitySpec, Language
from rollout.report.messages import messages
from rollout.report.review_workbook import ReviewLine, told_reasons, write_review

KIND = "review"
OPEN, MERGED = "open", "merged"


class Pair(NamedTuple):
    """Two records that may be one, or that were merged."""

    left_key: str
    right_key: str
    rule: str
    weight: float | None
    probability: float | None
    why: str | None
    reasons: str
    state: str

    @property
    def ends(self) -> tuple[str, str]:
        """What it is known by: its keys, in order."""
        return (min(self.left_key, self.right_key), max(self.left_key, self.right_key))

    @property
    def across(self) -> bool:
        """Whether the two are of different owners or group companies."""
        return any(code.startswith("across.") for code in self.reasons.split(","))


class ReviewQueue:
    """An entity's pairs as the latest cleansing has them, and what was decided since.

    Raises:
        ConfigError: Nothing was cleansed yet, the entity is unknown, or the stage is gone.
    """

    def __init__(self, context: PhaseContext, entity: str) -> None:
        self._context, self.entity = context, entity
        run = context.journal.latest_run("cleanse")
        if run is None:
            raise ConfigError("nothing was cleansed yet", hint="run `rollout cleanse` first")
        if entity not in run.summary["entities"]:
            known = ", ".join(run.summary["entities"])
            raise ConfigError(f"there is no entity '{entity}'", hint=f"the entities are: {known}")
        self._files: Mapping[str, Any] = run.summary["entities"][entity]
        with context.journal.transaction() as connection:
            newest = pair_decisions.newest(connection, context.journal.project_id, entity)
        self.in_target: Mapping[str, Mapping[str, str | None]] = {}
        """What the target held of its own records that may be ours, by the keys they have in pairs."""
        self.decided = {(made.left_key, made.right_key): made.verdict for made in newest}

    @property
    def spec(self) -> EntitySpec:
        """The entity."""
        return self._context.project.spec.entities[self.entity]

    @property
    def guards(self) -> Guards:
        """What is never merged without a person."""
        return self._context.project.spec.match.get(self.entity, MatchSpec()).guards

    def pairs(self, *, merged: bool = False) -> list[Pair]:
        """The pairs to decide, the likeliest first; then what was merged by itself, the lightest first."""
        found = [Pair(**line, state=OPEN) for line in [*self._table("review_file").to_pylist(), *self._likely()]]
        if merged:
            merges = [
                Pair(line["source_key"], line["tied_to"], line["rule"], line["weight"], None, line["why"], "", MERGED)
                for line in self._table("merges_file").to_pylist()
                if line["rule"] not in (DECISION, REPEATED_ROW)
            ]
            found += sorted(merges, key=lambda pair: (pair.weight is None, pair.weight or 0.0, pair.left_key))
        return [pair._replace(state=self.decided.get(pair.ends, pair.state)) for pair in found]

    def joined(self) -> list[tuple[str, str]]:
        """Rows that are one record: as the latest cleansing merged them, and as people decided."""
        merges = pq.read_table(self._path("merges_file"), columns=["source_key", "golden_key"])
        merged = zip(*(merges[name].to_pylist() for name in merges.column_names), strict=True)
        told = (ends for ends, verdict in self.decided.items() if verdict == SAME)
        return [*merged, *(ends for ends in told if not any(key.startswith(IN_TARGET) for key in ends))]

    def _likely(self) -> list[dict[str, Any]]:
        """Pairs with records of the target, as plans found them; of rows that are still there."""
        likely, self.in_target = read_likely(self._context.project.workspace.stages / self.entity)
        known = self.rows(line["left_key"] for line in likely) if likely else {}
        return [line for line in likely if line["left_key"] in known]

    def records(self, keys: Iterable[str]) -> dict[str, Mapping[str, str | None]]:
        """Cleansed rows, and records of the target, by key."""
        return {**self.in_target, **self.rows(keys)}

    def rows(self, keys: Iterable[str]) -> dict[str, Mapping[str, str | None]]:
        """Cleansed rows by source key."""
        path = self._path("clean_file")
        wanted = pc.field("_source_key").isin(pa.array(sorted(set(keys)), pa.string()))
        columns = ["_source_key", *self.spec.fields]
        return {row["_source_key"]: row for row in pq.read_table(path, columns=columns, filters=wanted).to_pylist()}

    def _table(self, name: str) -> Any:
        return pq.read_table(self._path(name))

    def _path(self, name: str) -> Path:
        path: Path = self._context.project.workspace.stages / str(self._files.get(name, ""))
        if not path.is_file():
            raise ConfigError("a stage of the latest cleansing is gone", where=str(path), hint="run `rollout cleanse`")
        return path


class ListedPair(Frozen):
    """A pair that waits for a person."""

    entity: str
    left_key: str
    right_key: str
    title: str = Field(description="Of both, personal data masked.")
    probability: float | None
    reasons: str = Field(description="In words.")


class ReviewList(Frozen):
    """What waits for people."""

    pairs: int
    decided: int = Field(description="Decided since the latest cleansing: the next one heeds it.")
    entities: dict[str, dict[str, int]] = Field(description="By entity the pairs that wait, by their first reason.")
    listed: tuple[ListedPair, ...]


def list_review(context: PhaseContext, *, entity: str | None = None, limit: int = 20) -> ReviewList:
    """Tell which pairs wait for people; personal data masked. Raises ConfigError as :class:`ReviewQueue`."""
    t = messages(context.project.spec.project.languages[0])
    counts, listed, decided = {}, list[ListedPair](), 0
    for name in _entities(context, entity):
        queue = ReviewQueue(context, name)
        pairs = queue.pairs()
        waiting = [pair for pair in pairs if pair.state == OPEN]
        decided += len(pairs) - len(waiting)
        if waiting:
            counts[name] = dict(Counter(pair.reasons.split(",")[0] for pair in waiting))
        shown = waiting[: max(limit - len(listed), 0)]
        rows = queue.records(key for pair in shown for key in pair.ends)
        title, labels = queue.spec.title_field, _labels(queue.spec)
        listed += [
            ListedPair(
                entity=name,
                left_key=pair.left_key,
                right_key=pair.right_key,
                title=" / ".join(
                    mask_field(queue.spec.fields[title], rows.get(key, {}).get(title)) or "–" for key in pair[:2]
                ),
                probability=pair.probability,
                reasons=told_reasons(pair.reasons, labels, t).replace("\n", "; "),
            )
            for pair in shown
        ]
    total = sum(sum(by_reason.values()) for by_reason in counts.values())
    return ReviewList(pairs=total, decided=decided, entities=counts, listed=tuple(listed))


class ReviewFile(Frozen):
    """A workbook that went out."""

    handout_id: str
    entity: str
    file: str
    pairs: int


class ReviewExport(Frozen):
    """What went out."""

    due_on: date
    files: tuple[ReviewFile, ...]
    unmasked: bool


@dataclass(frozen=True)
class _Order:
    """How workbooks are to be written."""

    folder: Path
    due_on: date
    language: Language
    password: str | None


def export_review(
    context: PhaseContext,
    folder: Path,
    *,
    entity: str | None = None,
    merged: bool = False,
    unmasked: bool = False,
    language: Language | None = None,
) -> ReviewExport:
    """Write a workbook for each entity that has pairs to decide.

    Args:
        context: The phase's context.
        folder: Where they go; made if it is not there.
        entity: Only this one; None: all.
        merged: Also what was merged by itself, to be looked through.
        unmasked: Show personal data as it is, sealed by the project's `handouts.password`.
        language: Of the workbooks; None: the project's first.

    Raises:
        ConfigError: Nothing was cleansed yet, the entity is unknown, or there is no password to seal with.
    """
    spec = context.project.spec
    password = spec.handouts.password if unmasked else None
    if unmasked and not password:
        raise ConfigError(
            "workbooks with unmasked personal data are sealed, and the project has no password for them",
            where="rollout.yaml: handouts.password",
            hint='add it as "${env:NAME}", or leave out --unmasked',
        )
    today = context.clock().astimezone(ZoneInfo(spec.project.time_zone)).date()
    order = _Order(
        folder=folder,
        due_on=today + timedelta(days=spec.handouts.due_days),
        language=language or spec.project.languages[0],
        password=password,
    )
    queues = [ReviewQueue(context, name) for name in _entities(context, entity)]
    found = [(queue, pairs) for queue in queues if (pairs := _to_hand_out(queue, merged=merged))]
    make_folder(folder)
    files = tuple(_hand_out(context, queue, pairs, order) for queue, pairs in found)
    return ReviewExport(due_on=order.due_on, files=files, unmasked=unmasked)


def make_folder(folder: Path) -> None:
    """Make a folder for workbooks, for its owner's eyes only. Raises ConfigError if it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        told = f"the folder cannot be made ({error.strerror})"
        raise ConfigError(told, where=str(folder), hint="name another") from error


def _entities(context: PhaseContext, entity: str | None) -> Sequence[str]:
    return [entity] if entity is not None else context.project.spec.load_order


def _to_hand_out(queue: ReviewQueue, *, merged: bool) -> list[Pair]:
    return [pair for pair in queue.pairs(merged=merged) if pair.state in (OPEN, MERGED)]


def _hand_out(context: PhaseContext, queue: ReviewQueue, pairs: Sequence[Pair], order: _Order) -> ReviewFile:
    """Write a workbook, and record that it went out."""
    journal, now = context.journal, context.clock()
    handout_id = handouts.new_id()
    path = order.folder / f"review-{queue.entity}-{now:%Y%m%d}-{handout_id}.xlsx"
    recipient = ", ".join(queue.guards.directors) or KIND
    info = {
        "project": context.project.spec.project.id,
        "entity": queue.entity,
        "handout": handout_id,
        "due_on": order.due_on.isoformat(),
        "exported_at": now.isoformat(timespec="seconds"),
        "unmasked": "✓" if order.password else "–",
    }
    sha256 = write_review(
        path,
        _lines(queue, pairs, unmasked=order.password is not None),
        _labels(queue.spec),
        info=info,
        language=order.language,
        password=order.password,
    )
    with journal.transaction() as connection:
        handouts.record_export(
            connection,
            journal.project_id,
            handout_id,
            kind=KIND,
            entity=queue.entity,
            recipient=recipient,
            rows=len(pairs),
            due_on=order.due_on,
            file=path.name,
            sha256=sha256,
            unmasked=order.password is not None,
            exported_by=people.os_user(),
            exported_at=now,
        )
        detail = {"pairs": len(pairs), "file": path.name, "unmasked": order.password is not None, "handout": handout_id}
        audit_trail.append(connection, journal.project_id, people.os_user(), "review.exported", queue.entity, detail)
    return ReviewFile(handout_id=handout_id, entity=queue.entity, file=str(path), pairs=len(pairs))


def _lines(queue: ReviewQueue, pairs: Sequence[Pair], *, unmasked: bool) -> list[ReviewLine]:
    rows = queue.records(key for pair in pairs for key in pair.ends)
    fields = queue.spec.fields
    return [
        ReviewLine(
            left_key=pair.left_key,
            right_key=pair.right_key,
            state=pair.state,
            rule=pair.rule,
            probability=pair.probability,
            why=pair.why,
            reasons=pair.reasons,
            left=_shown(rows[pair.left_key], fields, unmasked=unmasked),
            right=_shown(rows[pair.right_key], fields, unmasked=unmasked),
            alike=frozenset(name for name in fields if rows[pair.left_key][name] == rows[pair.right_key][name]),
        )
        for pair in pairs
    ]


def _shown(row: Mapping[str, str | None], fields: Mapping[str, FieldSpec], *, unmasked: bool) -> dict[str, str | None]:
    return {name: row[name] if unmasked else mask_field(field, row[name]) for name, field in fields.items()}


def _labels(spec: EntitySpec) -> dict[str, str]:
    return {name: field.label or name for name, field in spec.fields.items()}

"""The CRM's API: JSON over HTTP."""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import APIRouter, HTTPException, Path, Query, Response
from sqlalchemy import text

from rollout.testbed import reading
from rollout.testbed.dependencies import Caller, CrmPart, Quiet, administrator
from rollout.testbed.entities import ADMINISTRATORS, ENTITIES, MAX_KEY_LENGTH, Entity, Field, Kind, format_id, parse_id
from rollout.testbed.messages import (
    MAX_PAGE_ROWS,
    Batch,
    BatchAnswer,
    Change,
    Count,
    Credentials,
    Description,
    EntityDescription,
    EntityName,
    FieldDescription,
    Health,
    History,
    Ids,
    Keys,
    Links,
    NewRecord,
    Operation,
    Page,
    Record,
    Records,
    RefusalBody,
    Status,
    Token,
)
from rollout.testbed.removing import delete_record
from rollout.testbed.rows import Outcome, Row
from rollout.testbed.validation import Problem, Reason
from rollout.testbed.writing import write_one, write_rows

router = APIRouter(prefix="/api")
RecordId = Annotated[str, Path(max_length=40, description="Such as `A-1001`.")]
_STATUS_OF = {Reason.NOT_FOUND: 404, Reason.VERSION_CHANGED: 409, Reason.KEY_EXISTS: 409, Reason.REFERENCED: 409}
_REFUSALS: dict[int | str, dict[str, object]] = {status: {"model": RefusalBody} for status in (404, 409)}


@router.get("/health", tags=["service"], summary="Is the CRM up?")
def health(crm: CrmPart) -> Health:
    """Asks the database too. Needs no token."""
    with crm.engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    return Health()


@router.post("/token", tags=["service"], summary="Log in", responses={401: {"description": "Wrong login or password."}})
def token(credentials: Credentials, crm: CrmPart) -> Token:
    """Login and password become a bearer token, valid for a while."""
    grant = crm.sessions.log_in(credentials.username, credentials.password)
    if grant is None:
        raise HTTPException(401, "wrong login or password", headers={"WWW-Authenticate": "Bearer"})
    return Token(access_token=grant.token, expires_in=grant.lifetime_s, expires_at=grant.expires_at)


@router.get("/describe", tags=["service"], summary="Entities and their fields")
def describe(caller: Caller, crm: CrmPart) -> Description:
    """Types, required fields, lengths, pick-lists and references, as the CRM enforces them on the caller."""
    sets_all = crm.sessions.role_of(caller) in ADMINISTRATORS
    return Description(
        entities={
            entity.name: EntityDescription(label=entity.label, fields=_describe(entity, sets_all=sets_all))
            for entity in ENTITIES.values()
        }
    )


@router.post(
    "/{entity}/batch",
    tags=["bulk"],
    summary="Create, change and delete records by migration key",
    response_model=BatchAnswer,
)
def batch(entity: EntityName, batch: Batch, caller: Caller, crm: CrmPart, *, quiet: Quiet = False) -> Response:
    """Store up to 200 rows; each succeeds or fails for itself.

    `release` changes a record as `update` does, and takes the migration key from it. `delete` takes no fields.

    * `created`, `updated`, `unchanged`: the record is as asked.
    * `deleted`: the record is gone, or was before. One that others refer to is `rejected` (`referenced`).
    * `rejected`: the row was refused (`reason`, `message`); nothing of it was stored.
    * `conflict`: another record holds the migration key, or the record's version is not the expected one.

    Everything is committed before the answer is sent. After 429 and 503 nothing was stored; after any other failure,
    or no answer, look the keys up before sending again.
    """
    if quiet:
        administrator(crm, caller)
    rows = [Row(row.migration_key, row.op, row.fields, row.id, row.expected_version) for row in batch.rows]
    stored = write_rows(crm.engine, ENTITIES[entity], rows, caller, return_records=batch.return_records, quiet=quiet)
    # Written at once: as the framework does it, by way of its models, it takes ten times as long.
    answer = orjson.dumps({"outcomes": [_outcome(done) for done in stored]}, option=orjson.OPT_UTC_Z)
    return Response(answer, media_type="application/json")


@router.post("/{entity}/lookup", tags=["bulk"], summary="Records by migration key or id")
def lookup(entity: EntityName, keys: Keys, caller: Caller, crm: CrmPart) -> Records:
    """Keys are compared exactly; those that no record holds are left out, and so are ids that do not exist."""
    del caller
    kept = ENTITIES[entity]
    numbers = [number for text in keys.ids if (number := parse_id(kept, text)) is not None]
    with crm.engine.connect() as connection:
        found = reading.by_keys(connection, kept, keys.migration_keys) if keys.migration_keys else []
        return Records(records=found + (reading.by_ids(connection, kept, numbers) if numbers else []))


@router.post("/{entity}/links", tags=["bulk"], summary="Who refers to records")
def links(entity: EntityName, asked: Ids, caller: Caller, crm: CrmPart) -> Links:
    """The records of every entity that refer to one of those named."""
    del caller
    kept = ENTITIES[entity]
    numbers = [number for text in asked.ids if (number := parse_id(kept, text)) is not None]
    with crm.engine.connect() as connection:
        return Links(links=reading.links(connection, kept, numbers) if numbers else [])


@router.get("/{entity}/count", tags=["bulk"], summary="How many records there are")
def count(entity: EntityName, caller: Caller, crm: CrmPart) -> Count:
    """With and without migration key."""
    del caller
    with crm.engine.connect() as connection:
        return Count(count=reading.count(connection, ENTITIES[entity]))


@router.get("/{entity}", tags=["bulk"], summary="All records, a page at a time", responses={404: _REFUSALS[404]})
def page(
    entity: EntityName,
    caller: Caller,
    crm: CrmPart,
    after: Annotated[str | None, Query(description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = 500,
    key_prefix: Annotated[str, Query(max_length=MAX_KEY_LENGTH, description="How the migration key begins.")] = "",
) -> Page:
    """In the order of ids: none is seen twice; records being created meanwhile may be missed."""
    del caller
    kept = ENTITIES[entity]
    start = _number(kept, after) if after is not None else 0
    with crm.engine.connect() as connection:
        records = reading.page(connection, kept, after=start, limit=limit, key_prefix=key_prefix)
    return Page(records=records, next=records[-1].id if len(records) == limit else None)


@router.post(
    "/{entity}", tags=["records"], summary="Create a record as a user does", status_code=201, responses=_REFUSALS
)
def create(entity: EntityName, record: NewRecord, caller: Caller, crm: CrmPart) -> Record:
    """Without migration key."""
    return _single(crm, ENTITIES[entity], Row(None, Operation.CREATE, record.fields), caller)


@router.get("/{entity}/{record_id}", tags=["records"], summary="One record", responses={404: _REFUSALS[404]})
def get(entity: EntityName, record_id: RecordId, caller: Caller, crm: CrmPart) -> Record:
    """The record as it is now."""
    del caller
    return _get(crm, ENTITIES[entity], record_id)


@router.patch("/{entity}/{record_id}", tags=["records"], summary="Change a record as a user does", responses=_REFUSALS)
def change(entity: EntityName, record_id: RecordId, change: Change, caller: Caller, crm: CrmPart) -> Record:
    """Fields not named stay as they are; null clears one."""
    row = Row(None, Operation.UPDATE, change.fields, record_id, change.expected_version)
    return _single(crm, ENTITIES[entity], row, caller)


@router.delete(
    "/{entity}/{record_id}", tags=["records"], summary="Delete a record", status_code=204, responses=_REFUSALS
)
def delete(entity: EntityName, record_id: RecordId, caller: Caller, crm: CrmPart) -> None:
    """Refused (409) while other records refer to it. Its history stays."""
    kept = ENTITIES[entity]
    problem = delete_record(crm.engine, kept, _number(kept, record_id), caller)
    if problem:
        raise _refusal(problem)


@router.get("/{entity}/{record_id}/history", tags=["records"], summary="Who changed what when")
def history(entity: EntityName, record_id: RecordId, caller: Caller, crm: CrmPart) -> History:
    """The latest change first; also of deleted records."""
    del caller
    kept = ENTITIES[entity]
    with crm.engine.connect() as connection:
        return History(entries=reading.record_history(connection, kept, _number(kept, record_id)))


def _describe(entity: Entity, *, sets_all: bool) -> list[FieldDescription]:
    key = Field("migration_key", "迁移键", max_length=MAX_KEY_LENGTH)
    fields = [_describe_field(field, unique=False, writable=sets_all or not field.reserved) for field in entity.fields]
    return [*fields, _describe_field(key, unique=True, writable=True)]


def _describe_field(field: Field, *, unique: bool, writable: bool) -> FieldDescription:
    return FieldDescription(
        name=field.name,
        label=field.label,
        type=Kind(field.kind),
        required=field.required,
        max_length=field.max_length,
        picklist=list(field.picklist),
        references=field.references,
        unique=unique,
        writable=writable,
    )


def _outcome(done: Outcome) -> dict[str, object]:
    """A `RowOutcome`."""
    return {
        "migration_key": done.row.key or "",
        "status": done.status,
        "id": done.id,
        "version": done.version,
        "reason": done.problem.reason if done.problem else None,
        "message": done.problem.message if done.problem else "",
        "record": done.record,
    }


def _single(crm: CrmPart, entity: Entity, row: Row, by: str) -> Record:
    """Store one row and answer with the record as stored."""
    done, record = write_one(crm.engine, entity, row, by)
    if done.status in (Status.REJECTED, Status.CONFLICT) or record is None:
        raise _refusal(done.problem or Problem(Reason.NOT_FOUND, "refused"))
    return record


def _get(crm: CrmPart, entity: Entity, record_id: str) -> Record:
    number = _number(entity, record_id)
    with crm.engine.connect() as connection:
        record = reading.by_id(connection, entity, number)
    if record is None:
        raise _refusal(Problem(Reason.NOT_FOUND, f"no {entity.label} '{format_id(entity, number)}'"))
    return record


def _number(entity: Entity, record_id: str) -> int:
    number = parse_id(entity, record_id)
    if number is None:
        raise _refusal(Problem(Reason.NOT_FOUND, f"no {entity.label} has an id like '{record_id}'"))
    return number


def _refusal(problem: Problem) -> HTTPException:
    detail = {"reason": problem.reason.value, "message": problem.message}
    return HTTPException(_STATUS_OF.get(problem.reason, 422), detail)

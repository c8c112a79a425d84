"""What travels over the API, as models: they are the OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from rollout.testbed.entities import MAX_KEY_LENGTH, Kind, Role
from rollout.testbed.validation import Json, Reason

MAX_BATCH_ROWS = 200
MAX_LOOKUP_KEYS = 1000
MAX_PAGE_ROWS = 1000


class EntityName(StrEnum):
    """The entities."""

    ACCOUNT = "account"
    CONTACT = "contact"
    PRODUCT = "product"
    CAMPAIGN = "campaign"
    ORDER = "order"
    ORDER_LINE = "order_line"
    CONTRACT = "contract"
    OPPORTUNITY = "opportunity"
    LEAD = "lead"
    TICKET = "ticket"
    MESSAGE = "message"
    TODO = "todo"
    NOTIFICATION = "notification"
    FOLLOWUP = "followup"


MigrationKey = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_KEY_LENGTH, pattern=r"^[^\x00\s](?:[^\x00]*[^\x00\s])?$")
]
"""The caller's own key of a record: compared exactly, unique per entity."""


class _Message(BaseModel):
    """Unknown keys are errors: a misspelt one must not pass silently."""

    model_config = ConfigDict(extra="forbid")


class Credentials(_Message):
    """Login and password of a user."""

    username: str = Field(max_length=200)
    password: str = Field(max_length=1000)


class Token(_Message):
    """Send it as `Authorization: Bearer …`."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105 - a type, not a password
    expires_in: int = Field(description="Seconds.")
    expires_at: datetime


class Operation(StrEnum):
    """What a row of a batch asks for."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    RELEASE = "release"


class BatchRow(_Message):
    """One row of a batch."""

    migration_key: MigrationKey
    op: Operation
    id: str | None = Field(default=None, description="The record that exists; without it, the one with the key.")
    expected_version: int | None = Field(
        default=None, description="Only if the record still has this version; otherwise `conflict`."
    )
    fields: dict[str, Json] = Field(description="Fields to set, by name. null clears a field; others stay.")


class Batch(_Message):
    """Rows to store. Each succeeds or fails for itself."""

    rows: list[BatchRow] = Field(min_length=1, max_length=MAX_BATCH_ROWS)
    return_records: bool = Field(default=False, description="Answer with each record as it is stored then.")

    @model_validator(mode="after")
    def _rows_make_sense(self) -> Batch:
        if len({row.migration_key for row in self.rows}) != len(self.rows):
            raise ValueError("a migration_key occurs twice in one batch")
        if any(row.op is Operation.DELETE and row.fields for row in self.rows):
            raise ValueError("a deletion takes no fields")
        return self


class Status(StrEnum):
    """What became of a row."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    REJECTED = "rejected"
    CONFLICT = "conflict"


class Record(_Message):
    """A record."""

    id: str
    migration_key: str | None
    version: int = Field(description="Grows by one with each change.")
    created_at: datetime
    modified_at: datetime
    modified_by: str
    fields: dict[str, Json] = Field(description="All fields; null where there is no value. Decimals are strings.")


class RowOutcome(_Message):
    """What became of one row. The order of outcomes is not promised: join them by `migration_key`."""

    migration_key: str
    status: Status
    id: str | None = Field(default=None, description="The record stored, or the one in the way.")
    version: int | None = None
    reason: Reason | None = None
    message: str = ""
    record: Record | None = Field(default=None, description="As it is stored, where it was asked for.")


class BatchAnswer(_Message):
    """One outcome a row."""

    outcomes: list[RowOutcome]


class Keys(_Message):
    """Keys to look up."""

    migration_keys: list[str] = Field(default_factory=list, max_length=MAX_LOOKUP_KEYS)
    ids: list[str] = Field(default_factory=list, max_length=MAX_LOOKUP_KEYS)


class Ids(_Message):
    """Records asked about."""

    ids: list[str] = Field(max_length=MAX_LOOKUP_KEYS)


class Link(_Message):
    """A record that refers to one of those asked about."""

    to: str
    entity: EntityName
    id: str
    migration_key: str | None
    modified_by: str


class Links(_Message):
    """Who refers to whom."""

    links: list[Link]


class Records(_Message):
    """Records found."""

    records: list[Record]


class Page(_Message):
    """A page of records in the order of their ids."""

    records: list[Record]
    next: str | None = Field(description="Pass it as `after` for the next page; null on the last one.")


class Count(_Message):
    """How many records there are."""

    count: int


class NewRecord(_Message):
    """A record as a user creates it: without migration key."""

    fields: dict[str, Json]


class Change(_Message):
    """A user's change of a record."""

    fields: dict[str, Json]
    expected_version: int | None = None


class HistoryEntry(_Message):
    """Who changed which field when."""

    at: datetime
    by: str
    action: str = Field(description="create, update or delete.")
    field: str
    old: Json
    new: Json


class History(_Message):
    """Changes of a record, the latest first."""

    entries: list[HistoryEntry]


class FieldDescription(_Message):
    """A field."""

    name: str
    label: str
    type: Kind
    required: bool
    max_length: int | None
    picklist: list[str]
    references: str | None
    unique: bool
    writable: bool


class EntityDescription(_Message):
    """An entity and its fields."""

    label: str
    fields: list[FieldDescription]


class Description(_Message):
    """What the CRM keeps."""

    entities: dict[str, EntityDescription]


class User(_Message):
    """A user who may own records, while active."""

    login: str
    name: str
    active: bool
    role: Role


class UserChange(_Message):
    """What an administrator may change of a user; what is left out stays."""

    role: Role | None = None
    active: bool | None = None


class Users(_Message):
    """All users."""

    users: list[User]


class RuleSwitch(_Message):
    """Whether a rule is on, and its figures; what is left out stays."""

    enabled: bool | None = None
    settings: dict[str, Annotated[int, Field(ge=1, le=1_000_000)]] = Field(default_factory=dict)


class RuleState(_Message):
    """A rule of the automation."""

    name: str
    label: str
    kind: str = Field(description="linkage, assignment, notification, recycling or sla.")
    enabled: bool
    settings: dict[str, str | int] = Field(description="What it acts on, and its figures.")


class AutomationCounts(_Message):
    """What rules have done since the CRM was set up."""

    workflow_runs: int
    todos: int
    notifications: int
    messages: int


class Automation(_Message):
    """All rules, and what they have done."""

    rules: list[RuleState]
    counts: AutomationCounts


class Sweep(_Message):
    """The hour that strikes."""

    at: AwareDatetime | None = Field(default=None, description="Left out: now.")


class Swept(_Message):
    """What the rules that go by the clock did."""

    recycled: int = Field(description="Customers that were taken from their owners.")
    reminded: int = Field(description="Todos for customers that nobody followed up in time.")


class Health(_Message):
    """The CRM and its database answer."""

    status: str = "ok"


class Refusal(_Message):
    """Why a request on a single record was refused."""

    reason: Reason
    message: str


class RefusalBody(_Message):
    """Body of the answers 404, 409 and 422 on single records."""

    detail: Refusal

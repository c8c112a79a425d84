"""`rollout.yaml`, the sections about the legacy data itself: owners, numbers, dormant records, workbooks for people."""

from __future__ import annotations

from datetime import date
from typing import Literal, Self

from pydantic import Field, model_validator

from rollout.model.base import Frozen


class OwnerMapSection(Frozen):
    """Legacy salespeople → users of the target."""

    file: str = Field(
        description="CSV with the columns legacy_name, user; who left has their successor or `pool` as user."
    )
    unmapped: Literal["refuse", "quarantine", "default"] = Field(
        default="refuse",
        description="Rows of people whom the map does not know. refuse: no plan is made until everybody is mapped, and "
        "the rows wait in quarantine; quarantine: they wait there, and the rest is planned; default: they go to the "
        "default user.",
    )
    default: str | None = Field(default=None, description="User who gets rows of unmapped owners.")
    pool: str = Field(default="公海", description="How the map writes that a record has no owner and goes to the pool.")
    pool_user: str | None = Field(
        default=None, description="User that stands for the pool in the target; None: the owner is left empty."
    )

    @model_validator(mode="after")
    def _default_named(self) -> Self:
        if self.unmapped == "default" and not self.default:
            raise ValueError("unmapped: default needs a default user")
        return self


class NumberSpec(Frozen):
    """A record's own number in the target, given once a golden record and never to another one."""

    field: str = Field(description="Field of the entity that holds it.")
    authority: Literal["rollout", "crm", "erp"] = Field(
        default="rollout",
        description="Who gives numbers. rollout: we do, prefix + day + serial. crm: the target does, and we leave the "
        "field alone. erp: the field is mapped from the ERP's number, and records without one are listed.",
    )
    prefix: str = Field(default="CUST", pattern="^[A-Za-z0-9-]{0,16}$")
    digits: int = Field(default=4, ge=4, le=9, description="Of the serial, at least; it grows when a day needs more.")


class Activity(Frozen):
    """Records of another entity that show that a record is alive."""

    entity: str
    reference: str = Field(description="Its field that points to the record.")
    date: str = Field(description="Its date or datetime field.")


class DormantSpec(Frozen):
    """Which records of an entity count as dormant, and what may become of them."""

    after_years: float = Field(default=3, gt=0, description="Years without any activity.")
    as_of: date | None = Field(
        default=None, description="The day from which the years count back. Default: that of the cleansing."
    )
    activity: tuple[Activity, ...] = Field(default=(), description="Orders, tickets, follow-ups: any of them counts.")
    dates: tuple[str, ...] = Field(
        default=(), description="Date fields of the record itself that count as activity, such as its last follow-up."
    )
    freeze: dict[str, str] = Field(
        default_factory=dict, description="Field → value that a record gets which is loaded frozen."
    )
    pool: dict[str, str | None] = Field(
        default_factory=dict, description="Field → value that a record gets which goes to the pool, such as its owner."
    )


class HandoutSection(Frozen):
    """Workbooks that go to people: rows to repair, pairs to review, samples to check."""

    owner: str = Field(default="owner", description="Field that names who is responsible for a record.")
    region: str = Field(default="region", description="Field that names its region.")
    due_days: int = Field(default=7, ge=1, le=365, description="Days until a workbook should be back.")
    password: str | None = Field(
        default=None,
        description="Seals workbooks that show personal data unmasked, as `${env:NAME}`; none leaves without.",
    )


class PeopleSample(Frozen):
    """Records that people compare with the legacy system, beside what the machine compares."""

    entities: tuple[str, ...] | None = Field(default=None, description="Of these entities; None: of all of them.")
    max_wrong_share: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="What their answers must prove of each entity, at `confidence`, if they find nothing wrong: it "
        "decides how many records are drawn (59 of a large entity for 0.05, 299 for 0.01).",
    )

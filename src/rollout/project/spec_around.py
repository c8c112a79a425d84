"""`rollout.yaml`, the sections of what runs around the CRM: syncs, load test, operations."""

from __future__ import annotations

from pydantic import Field, field_validator

from rollout.model.base import Frozen


class SyncSpec(Frozen):
    """A stream of another system that is carried into the CRM, again and again."""

    system: str = Field(description="The system whose changes are read.")
    stream: str = Field(description="What is read from it, as its connector calls it, such as `orders`.")
    entity: str = Field(description="The target's entity that the records become.")
    key_prefix: str = Field(
        pattern=r"^[a-z][a-z0-9_]*:$", description="Begins the migration key; then the record's id."
    )
    fields: dict[str, str] = Field(
        min_length=1,
        description="Field of the target → field of the stream. They belong to the other system: what people change in "
        "them in the target is put back, and counted as overwritten.",
    )
    references: dict[str, str] = Field(
        default_factory=dict,
        description="Reference field of the target → field of the stream that holds the legacy customer's row key.",
    )
    references_entity: str = Field(default="account", description="The project's entity that `references` point to.")
    overlap_s: float = Field(default=300, ge=0, description="Seconds read again before the cursor.")
    late_after_s: float = Field(default=3600, gt=0, description="Seconds after a change at which it counts as late.")
    page_rows: int = Field(default=200, ge=1, le=1000)
    forgets: bool = Field(
        default=False,
        description="The system tells only of its last days, as message logs do: records that it no longer tells of "
        "are then expected in the CRM because they were carried.",
    )


TEST_KEY_PREFIXES = ("probe:", "drill:", "loadtest:")
"""Begin the migration keys of what checks, drills and load tests create in the CRM, and remove by these very keys."""


class IntegrationSection(Frozen):
    """What runs between the CRM and the systems around it."""

    syncs: dict[str, SyncSpec] = Field(default_factory=dict)
    settle_s: float = Field(default=10, gt=0, description="Seconds that a linkage rule of the CRM may take.")
    salesperson: str | None = Field(default=None, description="Login of the user that test records belong to.")

    @field_validator("syncs")
    @classmethod
    def _keys_of_their_own(cls, value: dict[str, SyncSpec]) -> dict[str, SyncSpec]:
        taken: dict[tuple[str, str], str] = {}
        for name, sync in value.items():
            if sync.key_prefix in TEST_KEY_PREFIXES:
                raise ValueError(
                    f"the key_prefix '{sync.key_prefix}' of '{name}' belongs to test records, which are deleted by it"
                )
            other = taken.setdefault((sync.entity, sync.key_prefix), name)
            if other != name:
                raise ValueError(
                    f"'{other}' and '{name}' have the same entity and key_prefix: records of the same id would become "
                    "one"
                )
        return value


class LoadTestSection(Frozen):
    """The load test before go-live."""

    hosts: tuple[str, ...] = Field(
        min_length=1, description="Addresses (scheme, host, port) that may be put under load; any other is refused."
    )
    username: str = Field(description="Login that the simulated users work as.")
    password: str = Field(description="Its password, as `${env:NAME}`.")
    users: int = Field(default=100, ge=1, le=10_000, description="Concurrent users to reach.")
    ramp_s: float = Field(default=30, gt=0, description="Seconds from the first to the last user.")
    hold_s: float = Field(default=120, ge=1, description="Seconds that all of them stay; only these are judged.")
    think_s: tuple[float, float] = Field(default=(1.0, 3.0), description="Shortest and longest pause of a user.")

    @field_validator("think_s")
    @classmethod
    def _in_order(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= value[0] <= value[1]:
            raise ValueError("the shortest pause comes first, and none is negative")
        return value


class OperationsSection(Frozen):
    """What watches the CRM after go-live."""

    alerts: str | None = Field(default=None, description="The system that alerts are sent through.")
    disk_free_share: float = Field(default=0.1, gt=0, lt=1, description="Below this the health check complains.")
    slow_after_s: float = Field(
        default=3.0, gt=0, description="A synthetic transaction that takes longer is a failure."
    )
    remind_after_h: float = Field(default=24, gt=0, description="Hours after which an open incident is told again.")
    health_every_min: int = Field(
        default=10,
        ge=1,
        le=1440,
        description="Minutes between two health checks, as the schedule of the deployment `health` has them: the "
        "monthly report counts by it how many there should have been.",
    )

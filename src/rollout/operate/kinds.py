"""The words of the nightly check: what is said of a record, and why."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What a comparison says of a record. Only the first four are wrong."""

    MISSING = "missing"
    EXTRA = "extra"
    DIFFERENT = "different"
    LATE = "late"
    IN_FLIGHT = "in_flight"
    """Changed so lately that nobody expects it in the CRM yet."""
    EDITED = "edited"
    """Changed in the CRM by a person, who may: the CRM is the master of what was loaded."""
    OK = "ok"


WRONG = (Kind.MISSING, Kind.EXTRA, Kind.DIFFERENT, Kind.LATE)


class Because(StrEnum):
    """Why a record is not as it should be, besides the reason codes of dead letters."""

    DELETED_IN_CRM = "deleted_in_crm"
    CHANGED_IN_CRM = "changed_in_crm"
    CHANGED_BY_PERSON = "changed_by_person"
    SYNC_NOT_RUN = "sync_not_run"
    NOT_CARRIED = "not_carried"
    CUSTOMER_NOT_LOADED = "customer_not_loaded"
    NOT_IN_SOURCE = "not_in_source"
    GONE_FROM_SOURCE = "gone_from_source"
    KEY_TWICE = "key_twice"

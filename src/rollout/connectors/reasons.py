"""Why a target did not store a row as asked: the codes every connector translates its target's answers into."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Reason codes of rejected and conflicting rows."""

    REQUIRED_MISSING = "required_missing"
    """A required field has no value."""
    WRONG_TYPE = "wrong_type"
    """A value cannot be read as its field's type."""
    TOO_LONG = "too_long"
    """A value has more characters or digits than the field holds."""
    NOT_IN_PICKLIST = "not_in_picklist"
    UNKNOWN_FIELD = "unknown_field"
    """The target has no such field."""
    READ_ONLY_FIELD = "read_only_field"
    UNKNOWN_OWNER = "unknown_owner"
    """No active user of the target has this login."""
    REFERENCE_MISSING = "reference_missing"
    """The record pointed to does not exist."""
    NOT_FOUND = "not_found"
    """The record to update does not exist (any more)."""
    KEY_EXISTS = "key_exists"
    """Another record holds the migration key."""
    VERSION_CHANGED = "version_changed"
    """The record changed since it was read."""
    REFERENCED = "referenced"
    """Other records refer to the record to delete."""
    REFUSED = "refused"
    """The target refused for a reason of its own; the message tells it."""

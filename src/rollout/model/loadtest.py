"""What a load test measured, as data: made from its samples, kept in the journal, printed by the report."""

from __future__ import annotations

from pydantic import Field

from rollout.model.base import Frozen


class LoadSettings(Frozen):
    """What a load test ran with."""

    host: str = Field(description="Scheme, host and port that were put under load.")
    users: int = Field(description="Users asked for.")
    ramp_s: float = Field(description="Seconds from the first to the last user.")
    hold_s: float = Field(description="Seconds that all of them stay; only these are judged.")
    think_s: tuple[float, float] = Field(description="Shortest and longest pause of a user.")
    mix: dict[str, int] = Field(description="Activities of a user and their weights.")


class LoadPoint(Frozen):
    """A moment of the test: what ended in one interval."""

    at_s: float = Field(description="Middle of the interval, seconds since the test began.")
    users: int = Field(description="Users that were started, at the most.")
    ok_per_s: float
    failed_per_s: float
    mean_s: float | None = Field(description="Of the successful requests; None: there was none.")
    p95_s: float | None


class UsersBucket(Frozen):
    """What the CRM carried while the number of users was within a range."""

    users_from: int
    users_to: int
    seconds: int = Field(description="For how long.")
    ok_per_s: float
    mean_s: float | None


class ActivityFigures(Frozen):
    """One activity while all users worked."""

    name: str
    ok: int
    failed: int
    mean_s: float | None
    p95_s: float | None


class ErrorFigures(Frozen):
    """Requests that failed in one way while all users worked."""

    kind: str = Field(description="A code, such as `http_500` or `not_stored`.")
    activity: str
    count: int


class LoadFigures(Frozen):
    """What was measured. The figures are those of the hold window; the series is the whole test."""

    complete: bool = Field(description="The users stayed as long as was asked.")
    hold_from_s: float | None = Field(description="When the hold began, seconds since the test began; None: never.")
    users_reached: int | None = Field(description="The fewest users at work at any moment of the hold.")
    requests: int = Field(description="Successful requests.")
    failed: int
    mean_s: float | None = Field(description="Of the successful requests.")
    p95_s: float | None
    error_rate: float | None = Field(description="Failed ÷ all requests; None: there was none.")
    throughput_per_s: float | None = Field(description="Successful requests a second.")
    said_stored: int = Field(description="Records that the CRM said it stored, in the whole test.")
    found_stored: int | None = Field(description="Those that could be read back as sent; None: nobody could look.")
    stored_share: float | None = Field(description="Found ÷ said; None: nothing was said, or nobody could look.")
    activities: tuple[ActivityFigures, ...] = ()
    errors: tuple[ErrorFigures, ...] = ()
    series: tuple[LoadPoint, ...] = ()
    by_users: tuple[UsersBucket, ...] = ()

"""Laws of `ChangeFeed`: what a sync relies on so that nothing is lost and nothing is read for ever."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rollout.connectors.base import ChangedRecord, ChangeFeed
from rollout.connectors.testing.harness import expect
from rollout.errors import ConfigError

MAX_PAGES = 1000
LATE_S = 60.0


@dataclass(frozen=True, kw_only=True)
class FeedHarness:
    """A feed over a stream of its own (records left by other laws do no harm), and a way to add to it."""

    feed: ChangeFeed
    stream: str
    add: Callable[[int, datetime], list[str]]
    """Let so many records come about at one instant (aware; a log takes its own); answers their ids."""
    is_timed: bool = True
    """The cursor is a time, so that what is committed late needs the overlap; False: a position in a log."""

    def came(self, count: int, seconds_ago: float = 0.0) -> list[str]:
        """Let so many records come about at one instant, so many seconds ago; their ids."""
        return self.add(count, datetime.now(UTC) - timedelta(seconds=seconds_ago))

    def read(self, cursor: str | None, *, overlap_s: float = 0.0, limit: int = 2) -> tuple[list[ChangedRecord], str]:
        """All pages from a cursor, as a sync reads them: the overlap is asked for once."""
        records: list[ChangedRecord] = []
        for _ in range(MAX_PAGES):
            page = self.feed.changes(self.stream, cursor, overlap_s=overlap_s, limit=limit)
            expect(len(page.records) <= limit, f"a page of {len(page.records)} records, {limit} were asked for")
            records += page.records
            cursor, overlap_s = page.cursor, 0.0
            if not page.has_more:
                return records, cursor
        raise AssertionError(f"no end after {MAX_PAGES} pages")

    def end(self) -> str:
        """The cursor behind everything that is there."""
        return self.read(None, limit=200)[1]


def _ids(records: list[ChangedRecord]) -> list[str]:
    return [record.source_id for record in records]


def every_record_is_told_once_however_small_the_pages(harness: FeedHarness) -> None:
    """Records of one instant, too."""
    start = harness.end()
    added = harness.came(5)
    told = _ids(harness.read(start, limit=2)[0])
    expect(sorted(told) == sorted(added), f"{len(added)} records came about, {len(told)} were told")


def the_first_reading_tells_everything(harness: FeedHarness) -> None:
    """Without a cursor."""
    added = harness.came(3)
    told = _ids(harness.read(None, limit=200)[0])
    expect(set(added) <= set(told), "a record is not told from the beginning")
    expect(len(told) == len(set(told)), "a record is told twice")


def at_the_end_nothing_is_told_again(harness: FeedHarness) -> None:
    """Without overlap."""
    harness.came(3)
    end = harness.end()
    told, cursor = harness.read(end)
    expect(told == [], "the end tells records")
    expect(cursor == end, "reading at the end moved the cursor")


def what_is_committed_late_is_told_within_the_overlap(harness: FeedHarness) -> None:
    """Where the cursor is a time; a log has no such records."""
    if harness.is_timed:
        harness.came(2)
        end = harness.end()
        (late,) = harness.came(1, LATE_S)
        expect(late in _ids(harness.read(end, overlap_s=2 * LATE_S)[0]), "a record committed late is missed")


def since_is_inclusive_and_loses_nothing(harness: FeedHarness) -> None:
    """What changed at the very instant from which is read on, or at that of the last record told, is told."""
    if harness.is_timed:
        now = datetime.now(UTC)
        last = now.replace(microsecond=now.microsecond // 1000 * 1000)  # later than whatever else there is
        harness.add(1, last)
        end = harness.end()
        (at_the_bound,) = harness.add(1, last - timedelta(seconds=LATE_S))
        same_instant = harness.add(3, last)
        told = _ids(harness.read(end, overlap_s=LATE_S)[0])
        expect(at_the_bound in told, "a record of the instant from which is read on is missed")
        expect(set(same_instant) <= set(told), "a record of the last record's instant is missed")


def overlaps_do_not_add_up(harness: FeedHarness) -> None:
    """A reading that stops after its first page, again and again, must not creep backwards."""
    steps = [harness.came(1, 3 * step * LATE_S) for step in range(4, -1, -1)]
    long_ago = {*steps[0], *steps[1]}
    cursor = harness.end()
    for _ in range(4):
        cursor = harness.feed.changes(harness.stream, cursor, overlap_s=4 * LATE_S, limit=1).cursor
    again = long_ago & set(_ids(harness.read(cursor, overlap_s=4 * LATE_S)[0]))
    expect(not again, f"{len(again)} records from long before the overlap are told again")


def a_stream_that_does_not_exist_is_a_configuration_error(harness: FeedHarness) -> None:
    """Not an empty stream: a misspelt one would be in sync for ever."""
    try:
        harness.feed.changes("no-such-stream", None, overlap_s=0, limit=1)
    except ConfigError:
        return
    expect(condition=False, message="a stream that does not exist is read")


FEED_LAWS: tuple[Callable[[FeedHarness], None], ...] = (
    every_record_is_told_once_however_small_the_pages,
    the_first_reading_tells_everything,
    at_the_end_nothing_is_told_again,
    what_is_committed_late_is_told_within_the_overlap,
    since_is_inclusive_and_loses_nothing,
    overlaps_do_not_add_up,
    a_stream_that_does_not_exist_is_a_configuration_error,
)
"""Laws in order; each raises `LawBrokenError`."""

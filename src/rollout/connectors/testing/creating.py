"""Laws about creating records, and about keys."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from rollout.connectors.base import Op, RowStatus, WriteRow
from rollout.connectors.testing.harness import Harness, LawBrokenError, expect
from rollout.connectors.testing.law import concurrent, law, unique
from rollout.errors import UnsupportedOperation


@law()
def what_was_written_is_read_back(harness: Harness) -> None:
    """In the same canonical text, whatever the characters."""
    texts = [
        "恒泰精工 «Ünïcode» 𠮷",
        "'; DROP TABLE x; -- \\ \" % _ {} <b>&amp;",
        "一行\n第二行",
        "x" * 40,
        "0010",
        "NULL",
    ]
    rows = [harness.create(number, **{harness.text_field: text}) for number, text in enumerate(texts)]
    rows.append(harness.create(len(texts)))
    rows = rows[: harness.target.capabilities.max_batch_rows]
    harness.write(*rows)
    for row in rows:
        record = harness.read(row.migration_key)
        expect(record.entity == harness.entity, "the record is of another entity")
        expect(record.migration_key == row.migration_key, "the record bears another key")
        for name, value in row.values.items():
            expect(record.values.get(name) == value, f"field {name} was written and read back different")


@law()
def unicode_null_and_long_text_survive(harness: Harness) -> None:
    """Characters beyond the first 65,536 and combined ones, no value, and as much text as the field says it holds."""
    described = harness.target.describe().entities[harness.entity].get(harness.text_field)
    limit = (described and described.max_length) or 2000
    texts = ["𠮷野家 👩‍🔧 é क्षि", None, "长" * limit, "x" * (limit - 2) + "𠮷"]  # the last counts twice in UTF-16
    rows = [harness.create(number, **{harness.text_field: text}) for number, text in enumerate(texts)]
    for row in rows:
        harness.write(row)
        value = harness.read(row.migration_key).values.get(harness.text_field)
        length = len(row.values[harness.text_field] or "")
        expect(value == row.values[harness.text_field], f"a text of {length} characters came back different")


@law()
def an_empty_text_is_stored_as_no_value(harness: Harness) -> None:
    """Nobody can tell "" from None in a form, so nothing may keep them apart."""
    record = harness.stored(**{harness.text_field: ""})
    expect(record.values.get(harness.text_field) is None, "an empty text came back")


@law()
def each_row_answers_by_its_key(harness: Harness) -> None:
    """A mixed batch: each outcome is that of the row that bears its key."""
    rows = [harness.create(0), harness.spoilt_row(1), harness.create(2), harness.spoilt_row(3), harness.create(4)]
    rows = rows[: harness.target.capabilities.max_batch_rows]
    refused = {rows[index].migration_key for index in (1, 3) if index < len(rows)}
    results = harness.write(*rows)
    for key, result in results.items():
        found = harness.found(key)
        if key in refused:
            expect(result.status is RowStatus.REJECTED, f"a refused row was answered as {result.status.value}")
            expect(not found, "a rejected row was stored")
            expect(result.reason_code, "a rejected row has no reason")
        else:
            expect(result.status is RowStatus.CREATED, f"a stored row was answered as {result.status.value}")
            expect([record.target_id for record in found] == [result.target_id], "the answer has another record's id")


@law()
def a_rejected_row_does_not_stop_its_neighbours(harness: Harness) -> None:
    """Neither those before nor those after it."""
    rows = [harness.create(0), harness.spoilt_row(1), harness.create(2)]
    results: dict[str, RowStatus] = {}
    size = harness.target.capabilities.max_batch_rows
    for start in range(0, len(rows), size):
        answered = harness.write(*rows[start : start + size])
        results |= {key: result.status for key, result in answered.items()}
    statuses = [results[row.migration_key] for row in rows]
    expect(statuses == [RowStatus.CREATED, RowStatus.REJECTED, RowStatus.CREATED], f"statuses are {statuses}")
    expect(all(len(harness.found(rows[index].migration_key)) == 1 for index in (0, 2)), "a neighbour was not stored")


@law()
def a_full_batch_is_stored_whole(harness: Harness) -> None:
    """As many rows as the capabilities allow."""
    rows = [harness.create(number) for number in range(harness.target.capabilities.max_batch_rows)]
    results = harness.write(*rows)
    expect(all(result.status is RowStatus.CREATED for result in results.values()), "a valid row was not created")
    size = harness.target.capabilities.max_read_keys
    keys = [row.migration_key for row in rows]
    found = 0
    for start in range(0, len(keys), size):
        found += len(harness.target.read_by_keys(harness.entity, keys[start : start + size]))
    expect(found == len(rows), f"{len(rows)} rows were answered as created, {found} are there")


@law()
def a_batch_that_is_too_large_is_refused_whole(harness: Harness) -> None:
    """It is the caller's mistake; storing a part of it would hide that."""
    rows = [harness.create(number) for number in range(harness.target.capabilities.max_batch_rows + 1)]
    try:
        harness.target.write(harness.entity, rows)
    except UnsupportedOperation:
        expect(not harness.found(rows[0].migration_key), "a part of the batch was stored")
    else:
        raise LawBrokenError("more rows than max_batch_rows were taken")


@law(unique)
def a_second_create_with_the_same_key_makes_no_second_record(harness: Harness) -> None:
    """It is a conflict that names the record in the way, and changes nothing."""
    first = harness.stored(1)
    row = harness.create(2, key=first.migration_key)
    result = harness.write(row)[row.migration_key]
    expect(result.status is RowStatus.CONFLICT, f"a second create was answered as {result.status.value}")
    expect(result.target_id in (None, first.target_id), "the conflict names another record")
    expect(harness.read(row.migration_key).values == first.values, "a second create changed the record")


@law(unique)
def repeating_a_batch_changes_nothing(harness: Harness) -> None:
    """After a lost answer, and whenever a person starts a load twice."""
    held = harness.stored(1)
    update = WriteRow(held.migration_key or "", Op.UPDATE, {harness.text_field: "repeated"}, held.target_id)
    rows = [harness.create(2), update, harness.create(3)][: harness.target.capabilities.max_batch_rows]
    harness.write(*rows)
    before = [harness.read(row.migration_key) for row in rows]
    count = harness.target.count(harness.entity)
    again = harness.write(*rows)
    statuses = {again[row.migration_key].status for row in rows}
    expect(not statuses & {RowStatus.CREATED, RowStatus.UNKNOWN}, f"a repeated batch was answered as {statuses}")
    now = [harness.read(row.migration_key) for row in rows]
    expect([r.values for r in now] == [r.values for r in before], "a repeated batch changed a record")
    expect(harness.target.count(harness.entity) == count, "a repeated batch made records")


@law(concurrent)
def creating_one_key_at_the_same_time_makes_one_record(harness: Harness) -> None:
    """As two loads would that both believe to be alone."""
    calls = harness.target.capabilities.concurrency
    rows = [harness.create(1), harness.create(2)][: harness.target.capabilities.max_batch_rows]
    with ThreadPoolExecutor(calls) as pool:
        batches = [rows if number % 2 else rows[::-1] for number in range(calls)]
        answers = [
            answer for batch in pool.map(lambda batch: harness.write(*batch), batches) for answer in batch.items()
        ]
    for row in rows:
        created = [answer for key, answer in answers if key == row.migration_key and answer.status is RowStatus.CREATED]
        expect(len(created) == 1, f"{len(created)} of {calls} concurrent creates were answered as created")
        expect(harness.read(row.migration_key).target_id == created[0].target_id, "another record is there")


@law()
def keys_that_differ_in_case_are_different(harness: Harness) -> None:
    """A target that folds case merges two customers."""
    key = harness.new_key()
    lower, upper = harness.create(1, key=f"{key}-a"), harness.create(2, key=f"{key}-A")
    for row in (lower, upper):
        result = harness.write(row)[row.migration_key]
        expect(result.status is RowStatus.CREATED, f"a new key was answered as {result.status.value}")
    found = harness.target.read_by_keys(harness.entity, [lower.migration_key])
    expect(list(found) == [lower.migration_key], "reading one key answers for others")
    expect(harness.read(lower.migration_key).target_id != harness.read(upper.migration_key).target_id, "one record")

"""Laws about describing and reading."""

from __future__ import annotations

import traceback
from collections import Counter

from rollout.connectors.testing.harness import Harness, LawBrokenError, expect
from rollout.connectors.testing.law import law, needs
from rollout.errors import Fatal, OutcomeUnknown, Retryable
from rollout.model.finding import has_errors


@law()
def checking_a_healthy_target_finds_no_error(harness: Harness) -> None:
    """Credentials and address of the harness are right, so `check` must say so."""
    findings = harness.target.check()
    expect(not has_errors(findings), f"check found: {[finding.message for finding in findings]}")


@law(needs("unprepared"))
def check_finds_a_missing_field(harness: Harness) -> None:
    """Without a field for the migration key nothing could be found again."""
    assert harness.unprepared
    expect(has_errors(harness.unprepared().check()), "a target without the key field passes the check")


@law(needs("with_secret"))
def bad_credentials_are_fatal_and_leak_no_secret(harness: Harness) -> None:
    """Trying again is pointless, and what is told ends up in logs and reports."""
    assert harness.with_secret
    secret = f"geheim-{harness.new_key()}"
    stranger, row = harness.with_secret(secret), harness.create(1)
    try:
        stranger.write(harness.entity, [row])
    except Fatal as error:
        told = "".join(traceback.format_exception(error))
    except (Retryable, OutcomeUnknown) as error:
        raise LawBrokenError(f"bad credentials were called {type(error).__name__}") from error
    else:
        raise LawBrokenError("bad credentials were taken")
    findings = stranger.check()
    expect(has_errors(findings), "bad credentials pass the check")
    told += f"{findings} {stranger!r} {vars(stranger)}"
    expect(secret not in told, "the secret is told")
    expect(not harness.found(row.migration_key), "bad credentials stored a row")


@law()
def describe_names_every_field_that_is_written(harness: Harness) -> None:
    """The plan compares the project's fields with the described ones."""
    described = harness.target.describe().entities.get(harness.entity, {})
    expect(set(harness.sample(0)) <= set(described), "describe lacks a field that can be written")
    key_field = harness.target.capabilities.external_id_field
    if key_field is not None:
        expect(key_field in described, f"describe lacks the key field {key_field}")
        unique = harness.target.capabilities.enforces_unique
        expect(described[key_field].unique is unique, "describe and capabilities disagree whether the key is unique")
    name, value = harness.spoilt
    field = described[name]
    expect(field.required or value is not None, f"describe does not say that {name} is required")
    if field.picklist:
        expect(value not in field.picklist, "describe lists a value that the target refuses")


@law()
def reading_unknown_keys_answers_nothing(harness: Harness) -> None:
    """No entry, no error, and the known keys beside them are answered."""
    record = harness.stored()
    known, unknown = record.migration_key or "", harness.new_key()
    found = harness.target.read_by_keys(harness.entity, [unknown, known])
    expect(not found.get(unknown), "a key that no record holds was answered")
    expect([r.target_id for r in found.get(known, ())] == [record.target_id], "the known key was not answered")
    expect(not harness.target.read_by_keys(harness.entity, []), "no keys were answered with records")


@law()
def reading_a_key_twice_in_a_call_answers_one_record(harness: Harness) -> None:
    """Otherwise the caller sees a duplicate that does not exist."""
    record = harness.stored()
    key = record.migration_key or ""
    expect(len(harness.target.read_by_keys(harness.entity, [key, key])[key]) == 1, "one record was answered twice")


@law()
def each_row_arrives_once_over_more_than_two_pages(harness: Harness) -> None:
    """Also those on page borders, and those without migration key."""
    rows = [harness.create(number) for number in range(2 * harness.page_rows + 1)]
    size = harness.target.capabilities.max_batch_rows
    wanted = {
        result.target_id
        for start in range(0, len(rows), size)
        for result in harness.write(*rows[start : start + size]).values()
    }
    if harness.add:
        wanted.add(harness.add(harness.sample(99)))
    seen = Counter(record.target_id for record in harness.target.read_all(harness.entity))
    expect(not wanted - set(seen), f"{len(wanted - set(seen))} records were passed over")
    expect(all(times == 1 for times in seen.values()), "a record was seen twice")


@law()
def reading_by_id_answers_those_that_exist(harness: Harness) -> None:
    """As they are read by key, and nothing for the others."""
    records = {record.target_id: record for record in (harness.stored(1), harness.stored(2))}
    found = harness.target.read_by_ids(harness.entity, [*reversed(records), "no-such-id"])
    expect(dict(found) == records, "reading by id answers other records than reading by key")


@law()
def the_count_is_that_of_reading_all(harness: Harness) -> None:
    """Control totals rest on it."""
    before = harness.target.count(harness.entity)
    harness.stored()
    after = harness.target.count(harness.entity)
    expect(after == before + 1, f"one more record, the count went from {before} to {after}")
    expect(after == sum(1 for _ in harness.target.read_all(harness.entity)), "count and records differ")

"""Laws about describing and reading."""

from __future__ import annotations

from collections import Counter

from rollout.connectors.testing.harness import Harness, expect
from rollout.connectors.testing.law import law
from rollout.model.finding import has_errors


@law()
def checking_a_healthy_target_finds_no_error(harness: Harness) -> None:
    """Credentials and address of the harness are right, so `check` must say so."""
    findings = harness.target.check()
    expect(not has_errors(findings), f"check found: {[finding.message for finding in findings]}")


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
def paging_sees_each_record_once(harness: Harness) -> None:
    """Also over page borders, which the harness makes narrow, and also records without migration key."""
    size = min(harness.target.capabilities.max_batch_rows, 12)
    rows = [harness.create(number) for number in range(size)]
    results = harness.write(*rows)
    wanted = {result.target_id for result in results.values()}
    if harness.add:
        wanted.add(harness.add(harness.sample(99)))
    seen = Counter(record.target_id for record in harness.target.read_all(harness.entity))
    expect(not wanted - set(seen), f"{len(wanted - set(seen))} records were passed over")
    expect(all(times == 1 for times in seen.values()), "a record was seen twice")


@law()
def the_count_is_that_of_reading_all(harness: Harness) -> None:
    """Control totals rest on it."""
    before = harness.target.count(harness.entity)
    harness.stored()
    after = harness.target.count(harness.entity)
    expect(after == before + 1, f"one more record, the count went from {before} to {after}")
    expect(after == sum(1 for _ in harness.target.read_all(harness.entity)), "count and records differ")

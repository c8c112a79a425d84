"""People, audit trail, leases, token buckets, sealing: on a real database."""

from __future__ import annotations

import threading
from contextlib import closing

import psycopg
import pytest
from sqlalchemy import make_url, text

from rollout.errors import ApprovalError, ConfigError, LeaseHeld, Retryable
from rollout.journal import audit_trail, crosswalk, people
from rollout.journal.crypto import KeyRing, Sealer, canonical_json
from rollout.journal.leases import Lease, hold, reserve_call
from rollout.journal.ledger import Ledger
from rollout.journal.rows import Outcome, knows_records, merge_bases, remember_records
from rollout.journal.store import Journal
from rollout.model.finding import Finding, Level
from rollout.model.verdict import Comparison, Criterion, Measurement, judge_gate


@pytest.fixture
def keys():
    return KeyRing.parse(KeyRing.generate())


@pytest.fixture
def journal(pg_url, keys):
    journal = Journal.open(pg_url, project_id="p", keys=keys)
    yield journal
    journal.close()


def test_a_code_opens_only_for_its_person_and_is_not_kept(journal):
    code = people.add(journal, "Li")
    people.add(journal, "Wang")
    people.check(journal, "Li", code.upper() + " ")
    with pytest.raises(ApprovalError):
        people.check(journal, "Wang", code)
    with pytest.raises(ApprovalError):
        people.check(journal, "Nobody", code)
    with journal.transaction() as connection:
        assert code not in str(connection.execute(text("SELECT person::text FROM person")).all())


def test_a_new_code_takes_the_place_of_the_old_and_guessing_is_stopped(journal):
    old = people.add(journal, "Li")
    with pytest.raises(ConfigError, match="has a code already"):
        people.add(journal, "Li")
    new = people.add(journal, "Li", replace=True)
    with pytest.raises(ApprovalError):
        people.check(journal, "Li", old)
    for _ in range(people.MAX_FAILURES - 1):
        with pytest.raises(ApprovalError):
            people.check(journal, "Li", "guess")
    with pytest.raises(ApprovalError, match="10 times"):
        people.check(journal, "Li", new)


def test_a_revoked_person_decides_nothing(journal):
    code = people.add(journal, "Li")
    people.revoke(journal, "Li")
    assert people.names(journal) == []
    with pytest.raises(ApprovalError):
        people.check(journal, "Li", code)
    with pytest.raises(ConfigError):
        people.revoke(journal, "Nobody")


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE audit SET who = 'other' WHERE seq = 2",
        "UPDATE audit SET detail = '{}' WHERE seq = 3",
        "DELETE FROM audit WHERE seq = 2",
        "UPDATE audit SET hash = repeat('0', 64) WHERE seq = 3",
    ],
)
def test_the_audit_trail_shows_where_it_was_altered(journal, harm):
    for number in range(4):
        journal.audit("Li", "did", f"thing {number}", {"n": number})
    with journal.transaction() as connection:
        assert audit_trail.broken_at(connection, "p") is None
        connection.execute(text(harm))
    with journal.transaction() as connection:
        assert audit_trail.broken_at(connection, "p") in (2, 3)


def test_entries_of_several_threads_make_one_chain(journal):
    threads = [threading.Thread(target=journal.audit, args=("Li", "did", str(n))) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with journal.transaction() as connection:
        assert audit_trail.broken_at(connection, "p") is None
        assert connection.execute(text("SELECT count(*) FROM audit")).scalar_one() == 12


def test_a_lease_is_one_holder_s_and_free_afterwards(journal):
    with hold(journal, "x") as lease:
        with pytest.raises(LeaseHeld, match="process"), hold(journal, "x"):
            pass
        with hold(journal, "y"):
            pass
        with journal.transaction() as connection:
            lease.assert_fence(connection)
    with hold(journal, "x") as second:
        assert second.fence > lease.fence
        with journal.transaction() as connection, pytest.raises(LeaseHeld):
            lease.assert_fence(connection)


def test_the_lease_of_a_dead_process_of_this_host_is_free_at_once(journal):
    with hold(journal, "x"):
        with journal.transaction() as connection:
            connection.execute(text("UPDATE lease SET holder = jsonb_set(holder, '{started_s}', '1')"))
        with hold(journal, "x"):
            pass


def test_the_lease_of_another_host_lasts_until_it_runs_out(journal):
    with hold(journal, "x"):
        with journal.transaction() as connection:
            connection.execute(text("UPDATE lease SET holder = jsonb_set(holder, '{host}', '\"elsewhere\"')"))
        with pytest.raises(LeaseHeld, match="elsewhere"), hold(journal, "x"):
            pass
        with journal.transaction() as connection:
            connection.execute(text("UPDATE lease SET expires_at = clock_timestamp() - interval '1 second'"))
        with hold(journal, "x"):
            pass


def test_nobody_calls_beyond_their_lease(journal):
    lease = Lease(journal, "x", 1, ttl_s=10, renew_s=1, deadline_s=0)
    with pytest.raises(LeaseHeld, match="ran out"):
        lease.check(call_timeout_s=1)


def test_a_shared_bucket_makes_callers_queue(journal):
    waits = [reserve_call(journal, "crm", rate_per_s=10, burst=2) for _ in range(6)]
    assert waits[:2] == [0, 0]
    assert waits == sorted(waits)
    assert 0.2 <= waits[-1] <= 0.4
    assert reserve_call(journal, "erp", rate_per_s=10, burst=2) == 0


def test_a_sealed_value_opens_only_in_its_place_and_with_its_key(journal, pg_url):
    sealer = journal.new_data_key()
    sealed = sealer.seal({"name": "机密"}, "a")
    assert journal.sealer(sealer.key_id).open(sealed, "a") == {"name": "机密"}
    with pytest.raises(ConfigError, match="altered or moved"):
        sealer.open(sealed, "b")
    with pytest.raises(ConfigError, match="altered or moved"):
        sealer.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), "a")
    with (
        closing(Journal.open(pg_url, project_id="p", keys=KeyRing.parse(KeyRing.generate()))) as other,
        pytest.raises(ConfigError, match="ROLLOUT_KEYS does not hold"),
    ):
        other.sealer(sealer.key_id)


def test_a_rotated_ring_still_opens_what_the_old_key_wrapped(journal, pg_url, keys):
    sealer = journal.new_data_key()
    ring = KeyRing((KeyRing.parse(KeyRing.generate()).keys[0], *keys.keys))
    with closing(Journal.open(pg_url, project_id="p", keys=ring)) as rotated:
        assert rotated.sealer(sealer.key_id).open(sealer.seal(1, "a"), "a") == 1


@pytest.mark.parametrize("bad", ["", "not base64!", "c2hvcnQ="])
def test_a_bad_key_ring_is_refused_with_a_hint(bad):
    with pytest.raises(ConfigError) as refused:
        KeyRing.parse(bad)
    assert "openssl" in refused.value.hint


def test_digests_are_equal_for_equal_values_and_meaningless_without_the_key():
    one, other = Sealer("1", b"1" * 32), Sealer("2", b"2" * 32)
    assert one.digest(canonical_json({"a": 1, "b": 2})) == one.digest(canonical_json({"b": 2, "a": 1}))
    assert one.digest(b"a") != other.digest(b"a")


def test_runs_findings_and_gates_come_back_as_they_went(journal):
    with journal.running("assess") as run:
        journal.add_findings(run.run_id, [Finding(id="x.y", level=Level.INFO, message="m", count=3)])
        journal.add_findings(run.run_id, [Finding(id="x.z", level=Level.ERROR, message="n")])
        run.summary = {"rows": 3}
    with pytest.raises(ZeroDivisionError), journal.running("assess"):
        raise ZeroDivisionError
    latest = journal.latest_run("assess")
    assert latest is not None
    assert latest.summary == {"rows": 3}
    assert [finding.id for finding in journal.findings(latest.run_id)] == ["x.y", "x.z"]
    failed = journal.latest_run("assess", state="failed")
    assert failed is not None
    assert failed.summary == {"error": "ZeroDivisionError"}
    gate = judge_gate(
        "g",
        [Criterion(metric="m", comparison=Comparison.AT_LEAST, threshold=1)],
        [Measurement(metric="m", value=1, evidence=1)],
    )
    journal.record_gate(run.run_id, gate)
    assert journal.latest_gate("g") == gate
    assert journal.latest_gate("other") is None


def test_projects_of_one_database_do_not_see_each_other(journal, pg_url, keys):
    journal.replace_ledger("account", [("s:1", "golden", "s:1", None, "all")], source_rows={"all": 1})
    people.add(journal, "Li")
    with journal.running("assess"):
        pass
    with closing(Journal.open(pg_url, project_id="q", keys=keys)) as other:
        assert other.accounting() == []
        assert people.names(other) == []
        assert other.latest_run("assess") is None


def test_a_source_key_that_appears_twice_is_not_recorded(journal):
    rows = [("s:1", "golden", "s:1", None, "all"), ("s:1", "merged", "s:1", None, "rest")]
    with pytest.raises(Exception, match="duplicate key"):
        journal.replace_ledger("account", rows, source_rows={"all": 1, "rest": 1})
    assert journal.accounting() == []


def test_a_database_that_is_down_is_said_so():
    with pytest.raises(Retryable, match="cannot be used"):
        Journal.open("postgresql://u@127.0.0.1:9/x", project_id="p", keys=KeyRing.parse(KeyRing.generate()))


def test_a_database_of_a_later_version_is_left_as_it_is_with_no_connection_to_it(pg_server_url, pg_url, keys):
    with psycopg.connect(pg_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigError, match=r"later version of rollout \(9999;"):
        Journal.open(pg_url, project_id="p", keys=keys)
    with psycopg.connect(pg_server_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{make_url(pg_url).database}"')  # refused while anybody is connected to it


def _cleansed(connection, *rows):
    ledger = [(key, disposition, golden, None, "all") for key, disposition, golden in rows]
    Ledger("p").replace(connection, "account", ledger, source_rows={"all": len(rows)}, ordinal=0, run_id=None)


def test_loaded_records_that_were_joined_are_noticed_among_new_ones(journal):
    with journal.transaction() as connection:
        _cleansed(connection, ("a", "golden", "a"), ("b", "golden", "b"))
        assert crosswalk.assign(connection, "p", "account") == {}
        keys = crosswalk.keys(connection, "p", "account", ["a", "b"])
        assert not knows_records(connection, "p", "crm", "account")
        loaded = [Outcome(key, 1, "created", target_id=f"id-{name}", base={"f": name}) for name, key in keys.items()]
        remember_records(connection, "p", "crm", "account", loaded, all_new=True)
        assert merge_bases(connection, "p", "crm", "account", [keys["a"]]) == {keys["a"]: {"f": "a"}}
        # As many records get a key as there are golden ones, though one of those has keys already.
        _cleansed(
            connection,
            ("a", "golden", "a"),
            ("b", "merged", "a"),
            ("c", "golden", "c"),
            ("d", "merged", "x"),
            ("x", "quarantined", None),
        )
        assert crosswalk.assign(connection, "p", "account") == {"a": "cluster_joined"}


@pytest.mark.parametrize("is_in_trial", [False, True])
def test_a_record_is_gone_on_with_by_a_row_unless_that_is_in_a_target_itself(journal, is_in_trial):
    with journal.transaction() as connection:
        _cleansed(connection, ("a", "golden", "a"), ("m", "merged", "a"))
        crosswalk.assign(connection, "p", "account")
        [key] = set(crosswalk.keys(connection, "p", "account", ["a", "m"]).values())
        loaded = Outcome(key, 1, "created", target_id="id-a", base={})
        remember_records(connection, "p", "crm", "account", [loaded])
        _cleansed(connection, ("a", "quarantined", None), ("m", "golden", "m"), ("b", "golden", "b"))
        assert crosswalk.deserted(connection, "p", "account", "crm") == {}  # a row stands for it still
        _cleansed(connection, ("a", "quarantined", None), ("m", "skipped", None), ("b", "golden", "b"))
        crosswalk.assign(connection, "p", "account")
        assert crosswalk.deserted(connection, "p", "account", "crm") == {"id-a": key}
        assert crosswalk.deserted(connection, "p", "account", "trial") == {}
        own = crosswalk.keys(connection, "p", "account", ["b"])["b"]
        if is_in_trial:
            remember_records(connection, "p", "trial", "account", [loaded._replace(migration_key=own, target_id="t-b")])
        assert crosswalk.take_over(connection, "p", "account", "b", key) is not is_in_trial
        assert crosswalk.keys(connection, "p", "account", ["b"]) == {"b": own if is_in_trial else key}
        assert crosswalk.keys(connection, "p", "account", ["a"]) == {"a": key}

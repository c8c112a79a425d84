"""A pilot and the rest, from legacy files to judged gates: each wave by itself, together the whole source."""

from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import text

from rollout.connectors import memory
from rollout.connectors.memory import MemoryConnector, MemoryFault
from rollout.errors import ApprovalError, ConfigError, DriftError, LeaseHeld, OutcomeUnknown, Retryable
from rollout.journal import crosswalk, people
from rollout.journal.crypto import KeyRing
from rollout.journal.plans import Plans
from rollout.journal.store import Journal
from rollout.load import looking, sending
from rollout.model.target import Op, WriteRow
from rollout.model.verdict import Verdict
from rollout.phases import verify
from rollout.phases.approve import approve
from rollout.phases.cleanse import run_cleanse
from rollout.phases.context import PhaseContext
from rollout.phases.decide import decide
from rollout.phases.load import run_load
from rollout.phases.plan import run_plan
from rollout.phases.status import require, rollout_status
from rollout.phases.undo import run_undo
from rollout.phases.undo_make import plan_undo
from rollout.phases.verify import run_verify
from rollout.project.loader import load_project

PROJECT = """
version: 1
project: {{id: waves, name: 两批}}
systems:
  legacy: {{connector: files, options: {{root: legacy}}}}
  crm:
    connector: memory
    options:
      store: {store}
      entities:
        account: {{name: {{required: true}}, uscc: {{}}, region: {{}}}}
        contact: {{name: {{required: true}}, account: {{type: reference, references: account}}}}
targets: {{test: {{system: crm, max_attempts: 2, batch_rows: 5}}}}
entities:
  account:
    label: 客户
    title_field: name
    fields: {{name: {{required: true}}, uscc: {{type: uscc}}, region: {{type: picklist, picklist: [华东, 华南]}}}}
    sources: [{{name: accounts, system: legacy, path: accounts.csv, row_key: [k], mapping: account.yaml}}]
  contact:
    label: 联系人
    title_field: name
    fields: {{name: {{required: true}}, account: {{type: reference, references: account}}}}
    sources: [{{name: contacts, system: legacy, path: contacts.csv, row_key: [k], mapping: contact.yaml}}]
match: {{account: {{keys: [{{name: code, fields: [uscc]}}]}}}}
verify: {{share: 1}}
waves:
  - {{name: pilot, label: 试点, where: {{account: {{region: [华东]}}}}}}
  - {{name: rest}}
"""
ACCOUNT = """
entity: account
source: accounts
fields: [{target: name, source: name}, {target: uscc, source: uscc}, {target: region, source: region}]
"""
CONTACT = """
entity: contact
source: contacts
fields: [{target: name, source: name}, {target: account, source: account, lookup: account}]
"""
PILOT, REST = 20, 30
ACCOUNTS = [[f"{n}", f"公司{n}", "", "华东" if n < PILOT else "华南"] for n in range(PILOT + REST)]
CONTACTS = [[f"{n}", f"人{n}", f"{n % len(ACCOUNTS)}"] for n in range(2 * len(ACCOUNTS))]
BROKEN = [["b1", "", "", "华东"], ["b2", "", "", "华南"], ["b3", "", "", ""]]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(sending, "BACKOFF_S", (0.0,))
    monkeypatch.setattr(looking, "PROBE_PAUSE_S", 0.01)


@pytest.fixture(autouse=True)
def _open_waves(monkeypatch):
    """No decision keeps later waves closed: what the data themselves do is tested here."""
    for module in ("plan", "load"):
        monkeypatch.setattr(f"rollout.phases.{module}.require", lambda *_: None)


@dataclass
class Town:
    """A rollout in two waves, with the steps that people take."""

    root: Path
    context: PhaseContext
    code: str = ""

    @property
    def crm(self) -> MemoryConnector:
        connector = self.context.connector("crm")
        assert isinstance(connector, MemoryConnector)
        return connector

    def write(self, accounts: Sequence[Sequence[str]], contacts: Sequence[Sequence[str]] = CONTACTS) -> None:
        """Put legacy files in place, and cleanse them."""
        for name, header, rows in (
            ("accounts", ["k", "name", "uscc", "region"], accounts),
            ("contacts", ["k", "name", "account"], contacts),
        ):
            with (self.root / "legacy" / f"{name}.csv").open("w", encoding="utf-8", newline="") as stream:
                csv.writer(stream).writerows([header, *rows])
        run_cleanse(self.context)

    def edit_project(self, old: str, new: str) -> None:
        """Change rollout.yaml."""
        path = self.root / "rollout.yaml"
        told = path.read_text(encoding="utf-8")
        assert old in told
        path.write_text(told.replace(old, new), encoding="utf-8")
        self.context = replace(self.context, project=load_project(path, environ={}))

    def approve(self, plan_id: str | None = None) -> None:
        approve(self.context, person="tester", code=self.code, reason="as agreed in the test", plan_id=plan_id)

    def roll_out(self, wave: str | None = None):
        """Plan, approve and load a wave; answers what each said."""
        plan = run_plan(self.context, wave=wave)
        self.approve()
        return plan, run_load(self.context)

    def total(self):
        """The conservation table of all waves, by entity."""
        return {line.entity: line for line in self.context.journal.accounting("test")}

    def states(self) -> dict[str, str]:
        """States of all plans, by id."""
        with self.context.journal.transaction() as connection:
            return {row.plan_id: row.state for row in connection.execute(text("SELECT plan_id, state FROM plan"))}


@pytest.fixture
def town(tmp_path, pg_url):
    (tmp_path / "legacy").mkdir()
    (tmp_path / "rollout.yaml").write_text(PROJECT.format(store=f'"{tmp_path}"'), encoding="utf-8")
    (tmp_path / "account.yaml").write_text(ACCOUNT, encoding="utf-8")
    (tmp_path / "contact.yaml").write_text(CONTACT, encoding="utf-8")
    project = load_project(tmp_path / "rollout.yaml", environ={})
    journal = Journal.open(pg_url, project_id="waves", keys=KeyRing.parse(KeyRing.generate()))
    town = Town(tmp_path, PhaseContext(project=project, journal=journal), people.add(journal, "tester"))
    town.write([*ACCOUNTS, *BROKEN])
    yield town
    town.context.close()
    memory.forget_store(str(tmp_path))


def figures(line):
    return {name: value for name, value in line.model_dump().items() if value and name != "entity"}


def observed(summary):
    return {result.metric: result.observed for result in summary.criteria}


def test_two_waves_are_the_whole_source(town):
    plan, loaded = town.roll_out()
    verified = run_verify(town.context)
    assert (plan.wave, loaded.wave, verified.wave) == ("pilot", "pilot", "pilot")
    assert figures(loaded.entities["account"]) == {"source": PILOT + 1, "created": PILOT, "quarantined": 1}
    assert figures(loaded.entities["contact"]) == {"source": 2 * PILOT, "created": 2 * PILOT}
    assert verified.verdict is Verdict.PASS, [item for item in verified.criteria if item.verdict is not Verdict.PASS]
    assert figures(town.total()["account"]) == {
        "source": PILOT + REST + 3, "created": PILOT, "quarantined": 3, "not_loaded": REST,
    }  # fmt: skip

    plan, loaded = town.roll_out()
    verified = run_verify(town.context)
    assert (plan.wave, loaded.wave, verified.wave) == ("rest", "rest", "rest")
    assert plan.entities["contact"].create == 2 * REST
    assert figures(loaded.entities["account"]) == {"source": REST + 2, "created": REST, "quarantined": 2}
    # Two of thirty-two records are held back: that is for the gate to say, not for this test.
    assert {name for name, value in observed(verified).items() if name.startswith("reconcile") and value} == set()
    account = verified.entities["account"]
    assert (account.reconciliation.expected, account.reconciliation.other_waves) == (REST, PILOT)
    assert account.counted == account.reconciliation.observed == PILOT + REST
    assert verified.entities["contact"].reconciliation.relations == 2 * REST
    assert [Path(path).name for path in verified.reports] == ["acceptance-rest.zh.html", "acceptance-rest.en.html"]

    total = town.total()
    assert figures(total["account"]) == {"source": PILOT + REST + 3, "created": PILOT + REST, "quarantined": 3}
    assert all(line.accounted and line.closed for line in total.values())
    again = run_verify(town.context, wave="pilot")
    assert (again.wave, again.verdict) == ("pilot", Verdict.PASS)
    assert again.entities["account"].reconciliation.held == 0
    gates = town.context.journal
    assert gates.latest_gate("verify", wave="pilot").verdict is Verdict.PASS
    assert gates.latest_gate("load", wave="rest") != gates.latest_gate("load", wave="pilot")


def test_a_defect_of_one_wave_is_found_there_and_nowhere_else(town):
    town.roll_out()
    town.roll_out("rest")
    ours = {record.values["name"]: record for record in town.crm.read_all("account")}
    town.crm.remove("contact", next(r.target_id for r in town.crm.read_all("contact") if r.values["name"] == "人0"))
    town.crm.edit("account", ours["公司40"].target_id, {"name": "改了"}, user="sales")
    pilot, rest = (run_verify(town.context, wave=wave) for wave in ("pilot", "rest"))
    assert (observed(pilot)["reconcile_missing"], observed(pilot)["reconcile_different"]) == (1, 0)
    assert (observed(rest)["reconcile_missing"], observed(rest)["reconcile_different"]) == (0, 1)
    assert pilot.verdict is rest.verdict is Verdict.FAIL


def test_a_child_that_waits_for_an_earlier_wave_is_said_so_and_comes_later(town):
    # A contact whose account is in the pilot, made to come later by a filter of its own.
    town.edit_project("account: {region: [华东]}}", "account: {region: [华东]}, contact: {name: [人1]}}")
    run_cleanse(town.context)
    plan = run_plan(town.context, wave="rest")
    late = 2 * PILOT - 1
    assert plan.entities["contact"].waits == late
    town.approve()
    first = run_load(town.context)
    assert (first.state, first.entities["contact"].waiting, first.closed) == ("loading", late, False)
    assert first.reasons["contact"] == {"waiting/parent_not_loaded": late}
    assert run_verify(town.context).verdict is Verdict.FAIL

    pilot, loaded = town.roll_out("pilot")
    assert (pilot.entities["contact"].create, loaded.state) == (1, "applied")
    done = run_load(town.context, wave="rest")
    assert (done.plan_id, done.state, done.closed) == (plan.plan_id, "applied", True)
    assert town.total()["contact"].created == len(CONTACTS)
    assert sum(1 for _ in town.crm.read_all("contact")) == len(CONTACTS)


def test_plans_of_two_waves_stand_side_by_side(town):
    pilot, rest = run_plan(town.context, wave="pilot"), run_plan(town.context, wave="rest")
    town.approve(rest.plan_id)
    town.approve(pilot.plan_id)
    assert run_load(town.context).plan_id == pilot.plan_id  # approved last, made first
    again = run_plan(town.context, wave="pilot")
    assert town.states() == {pilot.plan_id: "applied", rest.plan_id: "approved", again.plan_id: "proposed"}
    newest = run_plan(town.context, wave="rest")
    assert town.states()[rest.plan_id] == "superseded"
    assert town.states()[again.plan_id] == "proposed"
    with pytest.raises(ApprovalError, match="no plan of wave 'rest' is approved"):
        run_load(town.context, wave="rest")
    with pytest.raises(ConfigError, match="is of wave 'rest', not 'pilot'"):
        run_load(town.context, plan_id=newest.plan_id, wave="pilot")


@pytest.mark.parametrize("phase", [run_plan, run_load, run_verify])
def test_an_unknown_wave_is_named_with_the_known_ones(town, phase):
    with pytest.raises(ConfigError, match=r"unknown wave: pilots.*pilot, rest"):
        phase(town.context, wave="pilots")


def test_nothing_of_a_wave_is_verified_before_it_is_loaded(town):
    town.roll_out()
    with pytest.raises(ConfigError, match="nothing of wave 'rest' was loaded"):
        run_verify(town.context, wave="rest")


def test_the_next_wave_is_the_first_that_is_not_finished(town):
    def turn():
        return run_plan(town.context).wave

    assert turn() == "pilot"
    town.approve()
    run_load(town.context)
    assert turn() == "pilot"  # not verified
    run_verify(town.context)
    assert turn() == "rest"
    town.crm.remove("account", next(iter(town.crm.read_all("account"))).target_id)
    run_verify(town.context)
    assert turn() == "pilot"  # its gate is not green any more


def test_another_filter_refuses_plans_that_rest_on_the_old_one(town):
    run_plan(town.context, wave="rest")
    town.approve()
    town.edit_project("region: [华东]", "region: [华南]")
    with pytest.raises(DriftError, match="mapping or rules of 'account'"):
        run_load(town.context)
    with pytest.raises(ConfigError, match="changed since the last cleansing"):
        run_plan(town.context)
    run_cleanse(town.context)
    assert run_plan(town.context).entities["account"].create == REST


def test_rows_repaired_after_the_pilot_come_with_its_next_plan(town):
    town.roll_out()
    before = {record.migration_key for record in town.crm.read_all("account")}
    run_plan(town.context, wave="rest")
    town.approve()
    town.write([*ACCOUNTS, ["b1", "修好", "", "华东"], *BROKEN[1:]])
    with pytest.raises(DriftError):
        run_load(town.context)
    with pytest.raises(DriftError, match="cleansed anew"):
        run_verify(town.context, wave="pilot")
    plan, loaded = town.roll_out()
    verified = run_verify(town.context)
    assert plan.wave == "pilot"
    assert (plan.entities["account"].create, plan.entities["account"].unchanged) == (1, PILOT)
    assert plan.entities["contact"].unchanged == 2 * PILOT
    assert figures(loaded.entities["account"]) == {"source": PILOT + 1, "created": 1, "unchanged": PILOT}
    assert verified.verdict is Verdict.PASS
    assert before < {record.migration_key for record in town.crm.read_all("account")}
    plan, _ = town.roll_out()
    assert (plan.wave, plan.entities["account"].create) == ("rest", REST)
    assert town.total()["account"].accounted


def test_a_record_that_moves_to_another_wave_keeps_its_key(town):
    town.roll_out()
    before = {record.values["name"]: record.migration_key for record in town.crm.read_all("account")}
    moved = [[key, name, code, "华南" if key == "0" else region] for key, name, code, region in ACCOUNTS]
    town.write([*moved, *BROKEN])
    plan, _ = town.roll_out()
    assert (plan.wave, plan.entities["account"].unchanged) == ("pilot", PILOT - 1)
    assert observed(run_verify(town.context))["reconcile_extra"] == 0
    plan, loaded = town.roll_out("rest")
    assert plan.entities["account"].fields == {"region": 1}
    assert (loaded.entities["account"].updated, loaded.entities["contact"].unchanged) == (1, 2)
    assert observed(run_verify(town.context))["reconcile_different"] == 0
    assert {
        record.values["name"]: record.migration_key for record in town.crm.read_all("account")
    }.items() >= before.items()
    assert town.total()["account"].accounted
    assert sum(1 for _ in town.crm.read_all("account")) == PILOT + REST


def test_records_of_two_waves_that_matching_joins_are_left_to_a_person(town):
    town.roll_out()
    town.roll_out("rest")
    code = "91110000600037341L"
    joined = [[key, name, code if key in {"0", "30"} else "", region] for key, name, _, region in ACCOUNTS]
    town.write([*joined, *BROKEN])
    plan = run_plan(town.context, wave="pilot")
    assert plan.entities["account"].conflicts == {"cluster_joined": 1}
    assert plan.entities["contact"].conflicts == {"parent_undecided": 4}


@pytest.mark.parametrize("fault", [MemoryFault.LOST_ANSWER, MemoryFault.LOST_CALL])
def test_a_crash_in_the_second_wave_costs_nothing_and_leaves_the_first_alone(town, fault, monkeypatch):
    town.roll_out()
    plan = run_plan(town.context, wave="rest")
    town.approve()

    def dies(self, entity, rows):
        if entity == "contact":
            monkeypatch.setattr(MemoryConnector, "write", real)
            self.fail_next(fault)
            with pytest.raises((OutcomeUnknown, Retryable)):
                self.write(entity, rows)
            raise KeyboardInterrupt
        return real(self, entity, rows)

    real = MemoryConnector.write
    monkeypatch.setattr(MemoryConnector, "write", dies)
    with pytest.raises(KeyboardInterrupt):
        run_load(town.context)
    left = town.total()["contact"]
    assert left.unknown + left.not_loaded > 0
    assert left.created >= 2 * PILOT
    again = run_verify(town.context, wave="pilot")
    assert again.verdict is Verdict.PASS  # what the open intents stored is the other wave's
    done = run_load(town.context)
    assert (done.plan_id, done.state, done.closed) == (plan.plan_id, "applied", True)
    assert sum(1 for _ in town.crm.read_all("contact")) == len(CONTACTS)
    assert town.total()["contact"].created == len(CONTACTS)


def test_a_new_plan_of_one_wave_settles_the_other_s_open_rows_and_leaves_it_to_go_on(town):
    pilot = run_plan(town.context, wave="pilot")
    town.approve()
    run_load(town.context)
    with town.context.journal.transaction() as connection:
        connection.execute(
            text("UPDATE row_state SET state = 'intent', target_id = NULL, after_image = NULL, ended_at = NULL")
        )
        connection.execute(text("UPDATE plan SET state = 'loading'"))
        connection.execute(text("DELETE FROM target_record WHERE entity = 'contact'"))
    for record in list(town.crm.read_all("contact"))[:7]:
        town.crm.remove("contact", record.target_id)
    run_plan(town.context, wave="rest")
    assert town.states()[pilot.plan_id] == "loading"
    summary = run_load(town.context, wave="pilot")
    assert (summary.plan_id, summary.state) == (pilot.plan_id, "applied")
    assert summary.entities["contact"].created == 2 * PILOT
    assert sum(1 for _ in town.crm.read_all("contact")) == 2 * PILOT


def test_an_empty_wave_is_never_green(town):
    town.edit_project("region: [华东]", "region: [华南], name: [没有这一家]")
    run_cleanse(town.context)
    plan, loaded = town.roll_out("pilot")
    verified = run_verify(town.context)
    assert {name: entity.create for name, entity in plan.entities.items()} == {"account": 0, "contact": 0}
    assert (loaded.state, loaded.accounted) == ("applied", True)
    assert verified.verdict is Verdict.INCONCLUSIVE
    assert {gate.gate: gate.verdict for gate in verified.gates} == dict.fromkeys(
        ("load", "verify"), Verdict.INCONCLUSIVE
    )
    assert run_plan(town.context).wave == "pilot"  # nobody's evidence finishes it: a person names the next one


def test_an_override_by_name_finishes_a_wave_until_it_is_judged_anew(town):
    town.roll_out()
    town.crm.remove("account", next(iter(town.crm.read_all("account"))).target_id)
    run_verify(town.context)
    given = {"go": True, "override": True, "person": "tester", "code": town.code, "reason": "one record is known"}
    decide(town.context, phase="verify", wave="pilot", **given)
    assert run_plan(town.context).wave == "rest"
    run_verify(town.context)
    assert run_plan(town.context).wave == "pilot"


def test_nothing_is_loaded_while_a_wave_is_verified(town, monkeypatch):
    """A row that came between reading and counting would be accounted for, and its gate green without a look at it."""
    run_plan(town.context)
    town.approve()
    run_load(town.context, entities=["account"])
    refused = []

    def while_it_is_judged(*given, **options):
        with pytest.raises(LeaseHeld):
            run_load(town.context)
        refused.append(1)
        return judge(*given, **options)

    judge = verify._judge
    monkeypatch.setattr(verify, "_judge", while_it_is_judged)
    assert run_verify(town.context).verdict is Verdict.FAIL
    assert refused
    assert run_load(town.context).state == "applied"


def test_a_plan_of_new_records_waits_for_their_keys_where_old_ones_are_open(town, monkeypatch):
    town.roll_out()
    with town.context.journal.transaction() as connection:
        one = "SELECT ctid FROM row_state WHERE entity = 'account' LIMIT 1"
        connection.execute(text(f"UPDATE row_state SET state = 'unknown' WHERE ctid IN ({one})"))
    town.write([*ACCOUNTS, ["n1", "新公司", "", "华东"]])

    def late(*given):
        time.sleep(0.5)
        return assign(*given)

    assign = crosswalk.assign
    monkeypatch.setattr(crosswalk, "assign", late)
    monkeypatch.setattr("rollout.phases.plan.settle_open_lines", lambda *_: 0)  # what became of it stays unknown
    plan = run_plan(town.context, wave="pilot")
    assert (plan.entities["account"].create, plan.entities["account"].conflicts) == (1, {"outcome_unknown": 1})


def test_a_project_goes_on_without_an_entity_that_it_no_longer_has(town):
    town.roll_out()
    town.edit_project(
        PROJECT[PROJECT.index("  contact:\n    label") : PROJECT.index("match:")].replace("{{", "{").replace("}}", "}"),
        "",
    )
    run_cleanse(town.context)
    assert run_plan(town.context, wave="pilot").entities["account"].unchanged == PILOT
    assert list(town.total()) == ["account"]


def test_what_one_target_was_verified_for_says_nothing_about_another(town):
    town.roll_out()
    assert run_verify(town.context).verdict is Verdict.PASS
    decide(town.context, phase="pilot", go=True, person="tester", code=town.code, reason="as agreed")

    def states():
        return {(found.phase, found.wave): found.state for found in rollout_status(town.context).phases}

    assert (states()["verify", "pilot"], states()["pilot", None]) == ("done", "done")
    town.edit_project("targets: {test:", "targets: {prod:")
    assert (states()["verify", "pilot"], states()["pilot", None]) == ("blocked", "blocked")
    with pytest.raises(ApprovalError, match="needs a go of the pilot"):
        require(town.context, "plan", "rest")


@pytest.mark.attack
def test_a_stray_record_under_a_key_that_no_wave_has_is_extra_in_each(town):
    town.roll_out()
    town.roll_out("rest")
    stray = WriteRow(op=Op.CREATE, migration_key="stray", values={"name": "谁"}, target_id=None)
    town.crm.write("account", [stray])
    for wave in ("pilot", "rest"):
        assert observed(run_verify(town.context, wave=wave))["reconcile_extra"] == 1


@pytest.mark.attack
def test_a_project_that_gets_waves_after_it_was_loaded_goes_on_with_its_records(town):
    two = "  - {name: pilot, label: 试点, where: {account: {region: [华东]}}}\n  - {name: rest}\n"
    town.edit_project(two, "  - {name: all}\n")
    run_cleanse(town.context)
    _, loaded = town.roll_out()
    assert (loaded.wave, loaded.entities["account"].created) == ("all", PILOT + REST)
    town.edit_project("  - {name: all}\n", two)
    run_cleanse(town.context)
    assert town.total()["account"].not_loaded == PILOT + REST  # nothing of these waves is loaded yet
    for wave, rows in (("pilot", PILOT), ("rest", REST)):
        plan, _ = town.roll_out(wave)
        assert plan.entities["account"].unchanged == rows
    assert observed(run_verify(town.context))["reconcile_extra"] == 0
    assert town.total()["account"].unchanged == PILOT + REST
    with town.context.journal.transaction() as connection:
        assert Plans("waves").latest_begun(connection, "test").wave == "rest"


def test_records_that_moved_to_another_wave_go_only_after_it(town):
    def take_back(wave):
        plan = plan_undo(town.context, wave=wave, through=True)
        town.approve(plan.plan_id)
        return run_undo(town.context)

    town.roll_out("pilot")
    town.write([[key, name, code, "华南" if key == "0" else region] for key, name, code, region in ACCOUNTS])
    town.roll_out("rest")
    with pytest.raises(ApprovalError, match="3 to wave 'rest'") as refused:
        plan_undo(town.context, wave="pilot", through=True)
    assert "take that wave back first" in refused.value.hint
    assert take_back("rest").restored == 1
    assert take_back("pilot").deleted == 3 * PILOT
    assert not town.crm.count("account")
    assert all(line.accounted for line in town.total().values())

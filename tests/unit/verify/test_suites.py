"""Every expectation has a poison it must fail on, and a run without evidence is never a success."""

from __future__ import annotations

import socket
import warnings
from pathlib import Path

import pandas as pd
import pytest

from rollout.errors import ConfigError
from rollout.model.entity import FieldSpec, FieldType
from rollout.verify import suites

gxe = suites.gxe
SHARED = Path(__file__).parents[3] / "expectations"

FIELDS = {
    "name": FieldSpec(required=True, max_length=12),
    "uscc": FieldSpec(type=FieldType.USCC),
    "region": FieldSpec(type=FieldType.PICKLIST, picklist=("华东", "华南"), required=True),
    "address": FieldSpec(),
    "phone": FieldSpec(type=FieldType.PHONE),
    "mobile": FieldSpec(type=FieldType.PHONE),
    "email": FieldSpec(type=FieldType.EMAIL),
    "account": FieldSpec(type=FieldType.REFERENCE, references="account", required=True),
    "is_primary": FieldSpec(type=FieldType.BOOLEAN),
    "birthday": FieldSpec(type=FieldType.DATE),
    "established_on": FieldSpec(type=FieldType.DATE),
    "seen_at": FieldSpec(type=FieldType.DATETIME),
    "employees": FieldSpec(type=FieldType.INTEGER),
    "annual_revenue": FieldSpec(type=FieldType.DECIMAL),
    "legacy_no": FieldSpec(),
    "customer_no": FieldSpec(),
    "erp_code": FieldSpec(),
}
CLEAN = {
    "_migration_key": ["K1", "K2", "K3"],
    "name": ["示例公司甲", "示例公司乙", "示例公司丙"],
    "uscc": ["91310000607378000A", None, "91310000607378001B"],
    "region": ["华东", "华南", "华东"],
    "address": ["示例路1号", None, None],
    "phone": ["+862112345678;ext=12", None, "+8613912345678"],
    "mobile": ["+8613912345678", "+12025550123", None],
    "email": ["a.b@example.com", None, None],
    "account": ["T1", "T1", "T2"],
    "is_primary": ["true", "false", None],
    "birthday": ["1987-05-04", None, None],
    "established_on": ["2001-02-28", None, None],
    "seen_at": ["2024-01-31T08:00:00Z", None, None],
    "employees": ["120", "0", None],
    "annual_revenue": ["12.5", "-3", "1000"],
    "legacy_no": ["A1", "A2", "A3"],
    "customer_no": ["CUST202601050001", "CUST202601050002", None],
    "erp_code": ["E1", "E2", None],
}
CLEAN_ACCOUNT = {**CLEAN, "annual_revenue": ["12.5", "0", "1000"]}
RECON = {
    "migration_key": ["K1", "K2", "K3"],
    "status": ["ok", "ok", "ok"],
    "wrong_fields": [0, 0, 0],
    "broken_relations": [0, 0, 0],
}


def text(columns):
    return pd.DataFrame({name: pd.array(values, dtype="string[pyarrow]") for name, values in columns.items()})


def entity_frame(columns):
    return suites.typed(text(columns), FIELDS)


def recon_frame(columns):
    return pd.DataFrame(columns)


def cell(column, value, row=0):
    """Poison that sets one cell."""

    def apply(columns):
        values = list(columns[column])
        values[row] = value
        return {**columns, column: values}

    return apply


def row(**values):
    """Poison that sets several cells of the last row."""

    def apply(columns):
        for name, value in values.items():
            columns = cell(name, value, -1)(columns)
        return columns

    return apply


def first_row_only(columns):
    return {name: values[:1] for name, values in columns.items()}


BASE = {
    "values_to_not_be_null:_migration_key": cell("_migration_key", None),
    "values_to_be_unique:_migration_key": cell("_migration_key", "K2"),
    "values_to_not_be_null:name": cell("name", None),
    "values_to_match_regex:name": cell("name", " \t"),
    "value_lengths_to_be_between:name": cell("name", "长" * 13),
    "values_to_match_regex:uscc": cell("uscc", "91310000607378000I"),
    "values_to_not_be_null:region": cell("region", None),
    "values_to_be_in_set:region": cell("region", "华中"),
    "values_to_match_regex:phone": cell("phone", "021-12345678"),
    "values_to_match_regex:mobile": cell("mobile", "13912345678"),
    "values_to_match_regex:email": cell("email", "a.b at example.com"),
    "values_to_not_be_null:account": cell("account", None),
    "values_to_be_in_set:is_primary": cell("is_primary", "是"),
    "values_to_match_regex:birthday": cell("birthday", "1987-13-04"),
    "values_to_match_regex:established_on": cell("established_on", "2001/02/28"),
    "values_to_match_regex:seen_at": cell("seen_at", "2024-01-31 08:00:00"),
    "values_to_match_regex:employees": cell("employees", "120.0"),
    "values_to_match_regex:annual_revenue": cell("annual_revenue", "12.50"),
}
RECONCILIATION = {
    "table_row_count_to_be_between:table": first_row_only,
    "values_to_not_be_null:migration_key": cell("migration_key", None),
    "values_to_be_unique:migration_key": cell("migration_key", "K2"),
    "values_to_be_in_set:status": cell("status", "fine"),
    "values_to_not_be_in_set:status:missing": cell("status", "missing"),
    "values_to_not_be_in_set:status:duplicate": cell("status", "duplicate"),
    "values_to_not_be_in_set:status:different": cell("status", "different"),
    "values_to_not_be_in_set:status:extra": cell("status", "extra"),
    "values_to_be_between:wrong_fields": cell("wrong_fields", 1),
    "values_to_be_between:broken_relations": cell("broken_relations", 1),
}
ACCOUNT = {
    "values_to_not_match_regex:name": cell("name", "锟斤拷示例"),
    "values_to_not_match_regex:address": cell("address", "ä¸Ã­å½"),
    "value_lengths_to_be_between:name": cell("name", "甲"),
    "values_to_not_match_regex:name#2": cell("name", "测试公司"),
    "values_to_be_unique:uscc": cell("uscc", "91310000607378001B"),
    "values_to_be_unique:legacy_no": cell("legacy_no", "A2"),
    "values_to_be_unique:customer_no": cell("customer_no", "CUST202601050002"),
    "values_to_be_unique:erp_code": cell("erp_code", "E2"),
    "values_to_be_between:established_on.date": cell("established_on", "2999-01-01"),
    "values_to_be_between:employees.number": cell("employees", "-1"),
    "values_to_be_between:annual_revenue.number": cell("annual_revenue", "-3"),
}
CONTACT = {
    "values_to_not_match_regex:name": cell("name", "张\ufffd"),
    "values_to_not_match_regex:name#2": cell("name", "张三2"),
    "values_to_match_regex:mobile": cell("mobile", "+862112345678"),
    "values_to_be_between:birthday.date": cell("birthday", "1899-12-31"),
    "compound_columns_to_be_unique:account,is_primary": row(account="T1", is_primary="true"),
    "compound_columns_to_be_unique:account,name,mobile": row(account="T1", name="示例公司甲", mobile="+8613912345678"),
}
SUITES = {
    "base": (lambda: suites.base_expectations(FIELDS), BASE, CLEAN, entity_frame, "_migration_key"),
    "recon": (lambda: suites.reconciliation_expectations(3), RECONCILIATION, RECON, recon_frame, "migration_key"),
    "account": (
        lambda: suites.entity_expectations(SHARED / "account.py"),
        ACCOUNT,
        CLEAN_ACCOUNT,
        entity_frame,
        "_migration_key",
    ),
    "contact": (
        lambda: suites.entity_expectations(SHARED / "contact.py"),
        CONTACT,
        CLEAN,
        entity_frame,
        "_migration_key",
    ),
}


@pytest.mark.parametrize("suite", SUITES)
def test_each_expectation_passes_clean_rows_and_fails_its_poison(suite):
    declare, poisons, clean, frame, key = SUITES[suite]
    result = suites.run_suite(suite, frame(clean), declare(), key=key)
    assert result.passed
    assert [outcome.check for outcome in result.outcomes if outcome.success is not True] == []
    assert {outcome.check for outcome in result.outcomes} == set(poisons), "an expectation without poison, or reverse"
    assert all(outcome.evidence > 0 for outcome in result.outcomes)
    survivors = []
    for check, poison in poisons.items():
        poisoned = suites.run_suite(suite, frame(poison(clean)), declare(), key=key)
        outcome = {outcome.check: outcome for outcome in poisoned.outcomes}[check]
        if outcome.success is not False:
            survivors.append(check)
        assert poisoned.passed == (outcome.severity != "critical")
    assert survivors == []


NUMBER, DAY = FieldSpec(type=FieldType.DECIMAL), FieldSpec(type=FieldType.DATE)
BUSINESS = {
    "product": {"product_no": ("P1", "P2", "P1"), "name": ("主轴", "刀柄", "??????"), "price": ("9.5", "0", "-1")},
    "campaign": {
        "campaign_no": ("M1", "M2", "M1"),
        "name": ("展会", "拜访日", "锟斤拷"),
        "cost": ("100", "0", "-5"),
        "starts_on": ("2024-03-01", "2024-04-01", "2024-05-02"),
        "ends_on": ("2024-03-01", "2024-04-03", "2024-05-01"),
    },
    "opportunity": {
        "opportunity_no": ("O1", "O2", "O1"),
        "name": ("项目一", "项目二", "烫烫烫"),
        "amount": ("1", "0", "-1"),
    },
    "order": {
        "company": ("恒泰精工", "恒泰电气", "恒泰精工"),
        "order_no": ("1", "1", "1"),
        "ordered_on": ("2020-01-31", "2024-02-29", "2999-01-01"),
        "amount": ("10", "0", "-10"),
        "quantity": ("1", "0", "-1"),
    },
    "order_line": {
        "line_no": ("1-1", "1-2", "1-1"),
        "quantity": ("1", "0", "-1"),
        "price": ("1", "0", "-1"),
        "amount": ("1", "0", "-1"),
    },
    "contract": {
        "contract_no": ("K1", "K2", "K1"),
        "name": ("合同一", "合同二", "合同\ufffd"),
        "amount": ("1", "0", "-1"),
        "signed_on": ("2020-01-01", "2021-01-01", "1900-01-01"),
        "starts_on": ("2020-02-01", "2021-01-01", "2022-02-02"),
        "ends_on": ("2021-02-01", "2021-01-01", "2022-02-01"),
    },
    "ticket": {
        "ticket_no": ("T1", "T2", "T1"),
        "subject": ("报修", "咨询", "锟斤拷"),
        "description": ("说明", "说明", "????"),
        "opened_on": ("2024-01-01", "2024-01-02", "2999-01-01"),
        "closed_on": ("2024-01-01", "2024-01-05", "2998-12-31"),
    },
    "follow_up": {
        "followup_no": ("F1", "F2", "F1"),
        "content": ("电话沟通", "拜访", "Ã¤Â¸"),
        "happened_on": ("2024-01-01", "2024-01-02", "2999-01-01"),
    },
}
"""By entity and column two clean values, and one that poisons what is expected of the column."""


@pytest.mark.parametrize("entity", BUSINESS)
def test_each_expectation_of_a_business_entity_passes_clean_rows_and_fails_the_poisoned_one(entity):
    columns = {"_migration_key": ["K1", "K2", "K3"], **{name: list(cells) for name, cells in BUSINESS[entity].items()}}
    fields = {
        name: NUMBER
        if name in {"price", "cost", "amount", "quantity"}
        else DAY
        if name.endswith("_on")
        else FieldSpec()
        for name in BUSINESS[entity]
    }
    frame = suites.typed(text(columns), fields)
    declared = suites.entity_expectations(SHARED / f"{entity}.py")
    assert suites.applicable(declared, frame) == (declared, ())
    clean = suites.run_suite(entity, frame.iloc[:2], suites.entity_expectations(SHARED / f"{entity}.py"))
    assert [outcome.check for outcome in clean.outcomes if outcome.success is not True or not outcome.evidence] == []
    poisoned = suites.run_suite(entity, frame, declared)
    assert [outcome.check for outcome in poisoned.outcomes if outcome.success is not False] == []
    assert all(set(outcome.keys) <= {"K1", "K3"} for outcome in poisoned.outcomes)


def test_every_shared_file_is_tested():
    assert {path.stem for path in SHARED.glob("*.py")} <= {*SUITES, *BUSINESS}


def test_failing_rows_are_named_by_key_and_never_by_value():
    frame = entity_frame(cell("email", "geheim at example.com", 0)(CLEAN))
    result = suites.run_suite("base", frame, suites.base_expectations(FIELDS))
    (failed,) = result.failed
    assert (failed.check, failed.unexpected, failed.keys) == ("values_to_match_regex:email", 1, ("K1",))
    assert "geheim" not in result.model_dump_json()


def test_no_rows_is_inconclusive():
    result = suites.run_suite("base", entity_frame(CLEAN).iloc[:0], suites.base_expectations(FIELDS))
    assert (result.conclusive, result.passed, result.outcomes) == (False, False, ())


def test_no_expectations_is_inconclusive():
    result = suites.run_suite("base", entity_frame(CLEAN), [])
    assert (result.conclusive, result.passed) == (False, False)


def test_only_absent_values_are_no_evidence():
    frame = entity_frame({**CLEAN, "email": [None, None, None]})
    result = suites.run_suite("base", frame, [gxe.ExpectColumnValuesToMatchRegex(column="email", regex="@")])
    assert (result.outcomes[0].success, result.outcomes[0].evidence, result.passed) == (True, 0, False)


def test_an_expectation_declared_twice_is_refused():
    twice = [gxe.ExpectColumnValuesToNotBeNull(column="name") for _ in range(2)]
    with pytest.raises(ConfigError, match="2 expectations are declared"):
        suites.run_suite("base", entity_frame(CLEAN), twice)


def test_an_expectation_that_raises_is_no_success():
    result = suites.run_suite(
        "base",
        entity_frame(CLEAN),
        [gxe.ExpectColumnValuesToNotBeNull(column="nope"), gxe.ExpectColumnValuesToNotBeNull(column="name")],
    )
    assert [outcome.success for outcome in result.outcomes] == [None, True]
    assert "nope" in result.outcomes[0].message
    assert (result.conclusive, result.passed) == (False, False)


def test_expectations_on_columns_the_entity_lacks_are_listed():
    frame = entity_frame(CLEAN).drop(columns=["mobile"])
    usable, left_out = suites.applicable(suites.entity_expectations(SHARED / "contact.py"), frame)
    assert len(usable) == 4
    assert left_out == ("values_to_match_regex:mobile", "compound_columns_to_be_unique:account,name,mobile")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def expectations(): return []", "an empty list"),
        ("def expectations(): return ['x']", "answers str"),
        ("x = 1", "AttributeError"),
        ("def expectations(:", "SyntaxError"),
    ],
)
def test_a_file_that_declares_nothing_usable_is_an_error(tmp_path, source, message):
    path = tmp_path / "account.py"
    path.write_text(source, encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as caught:
        suites.entity_expectations(path)
    assert str(path) in str(caught.value)


def test_a_run_opens_no_socket_and_prints_nothing(monkeypatch, capfd):
    def refuse(*args, **kwargs):
        raise AssertionError("a suite wanted the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert suites.run_suite("base", entity_frame(CLEAN), suites.base_expectations(FIELDS)).passed
    assert capfd.readouterr() == ("", "")

"""Sources as they are: files whose columns differ, and a sheet whose rows hold records of several entities."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from rollout.errors import ConfigError

COMBINED = """
      - {name: fair_%s, system: legacy, path: fair.csv, row_key: [%s], mapping: mappings/fair_%s.yaml, repeats: same}
"""
FAIR_ACCOUNT = """
entity: account
source: fair_account
fields:
  - {target: name, source: 名称, transform: company_name, required: true}
  - {target: uscc, source: 代码}
"""
FAIR_CONTACT = """
entity: contact
source: fair_contact
fields:
  - {target: name, source: 姓名, required: true}
  - {target: account, source: 客户, lookup: account}
  - {target: mobile, source: [手机, 电话], optional: true}
"""


@pytest.fixture
def fair(small):
    """Every row of fair.csv holds a customer, a contact, or both."""
    for entity, key, text in (("account", "客户", FAIR_ACCOUNT), ("contact", "人", FAIR_CONTACT)):
        (small.root / "mappings" / f"fair_{entity}.yaml").write_text(text, encoding="utf-8")
        last = "priority: 2}\n" if entity == "account" else "mapping: mappings/contact.yaml}\n"
        source = COMBINED.strip("\n") % (entity, key, entity)
        small.replace("rollout.yaml", last, f"{last}{source}\n")

    def write(*rows: str) -> None:
        small.write("fair.csv", "客户|名称|代码|人|姓名|手机", *rows)

    small.fair = write
    return small


def column(small, file, name):
    return pq.read_table(small.store.root / file)[name].to_pylist()


def test_every_row_is_accounted_for_in_each_entity_that_it_feeds(fair):
    fair.fair("K1|丙公司||P9|李四|", "K1|丙公司||P8|王五|", "K1|丙公司||||", "K2|丁公司||P7|赵六|")
    done = fair.cleanse()
    assert all(entity.accounted for entity in done.values())
    account, contact = done["account"], done["contact"]
    assert (account.source, account.golden, account.merged) == (6, 4, 2)
    # The row without a contact is none of theirs: skipped, as a row of nothing is.
    assert (contact.source, contact.golden, contact.skipped, contact.quarantined) == (5, 4, 1, 0)
    assert set(column(fair, contact.golden_file, "account")) == {"east:E1", "fair_account:K1", "fair_account:K2"}
    assert not [finding for finding in account.findings if finding.id == "source.key_repeated"]
    [blank] = [finding for finding in contact.findings if finding.id == "source.key_blank"]
    assert (blank.level, blank.count) == ("info", 1)


def test_a_row_with_something_of_its_own_is_no_blank(fair):
    fair.fair("K1|丙公司|||李四|")
    contact = fair.cleanse()["contact"]
    assert (contact.golden, contact.skipped) == (2, 0)
    assert any(key.startswith("fair_contact:@") for key in column(fair, contact.golden_file, "_golden_key"))


@pytest.mark.parametrize("bad", [0, 1])
def test_a_reference_finds_the_record_whichever_of_its_rows_is_held_back(fair, bad):
    rows = ["K1|丙公司|91350100M000100Y43|P9|李四|", "K1|丙公司|91350100M000100Y43|P8|王五|"]
    rows[bad] = rows[bad].replace("Y43", "Y44")
    fair.fair(*rows)
    done = fair.cleanse()
    assert done["account"].quarantined == 1
    assert done["contact"].quarantined == 0
    assert done["contact"].golden == 3


def test_rows_that_are_apart_and_share_a_key_stay_ambiguous(fair):
    fair.replace(
        "rollout.yaml", "mapping: mappings/fair_account.yaml, repeats: same", "mapping: mappings/fair_account.yaml"
    )
    fair.fair("K1|丙公司||P9|李四|", "K1|戊公司||P8|王五|")
    fair.accounts("E1|甲公司||东", "K1|己公司||东")
    contact = fair.cleanse()["contact"]
    assert contact.problems == {"parent_ambiguous": 2}


def test_a_record_of_more_rows_than_a_cluster_may_have_is_still_one(fair):
    fair.fair(*(f"K1|丙公司||P{at}|李{at}|" for at in range(60)))
    account = fair.cleanse()["account"]
    assert (account.golden, account.merged) == (3, 59)


def test_a_file_needs_one_of_the_columns_that_a_rule_may_read(small):
    small.replace("mappings/account.yaml", "source: 名称", "source: [名称, 全称]")
    small.write("east_b.csv", "编号|全称|代码|区域", "Z|庚公司||东")
    small.write("east_c.csv", "编号|简称|代码|区域", "Y|辛公司||东")
    with pytest.raises(ConfigError, match=r"east_c\.csv lacks 名称 or 全称"):
        small.cleanse()
    (small.root / "legacy" / "east_c.csv").unlink()
    assert "庚公司" in column(small, small.cleanse()["account"].golden_file, "name")


def test_an_optional_column_may_be_missing_in_some_files_or_in_all(small):
    small.write("east_b.csv", "编号|名称|区域", "Z|庚公司|东")
    with pytest.raises(ConfigError, match=r"east_b\.csv lacks 代码"):
        small.cleanse()
    for file in ("account", "south"):
        small.replace(f"mappings/{file}.yaml", "source: 代码", "source: 代码, optional: true")
    assert small.cleanse()["account"].golden == 3
    (small.root / "legacy" / "east.csv").unlink()
    assert small.cleanse()["account"].golden == 2


def test_an_optional_column_may_be_missing_beside_rows_without_a_key(small):
    small.replace("mappings/account.yaml", "source: 代码", "source: 代码, optional: true")
    small.write("east.csv", "编号|名称|区域", "|庚公司|东")
    done = small.cleanse()["account"]
    assert (done.golden, done.skipped) == (2, 0)

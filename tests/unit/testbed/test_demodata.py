"""The made-up data: the same bytes for the same seed, and the truth beside it is true."""

from __future__ import annotations

import csv
import sqlite3
import subprocess
import sys
import zipfile
from collections import Counter
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pandas as pd
import phonenumbers
import pytest
from stdnum.cn import uscc

from rollout.connectors.files import FilesConnector
from rollout.errors import ConfigError
from rollout.mapping.spec import SourceSpec
from rollout.testbed.demodata import generate, layout, read_names
from rollout.testbed.demodata.codes import credit_code
from rollout.testbed.demodata.dataset import MARKER
from rollout.testbed.demodata.defects import ACCOUNT_DEFECTS, CONTACT_DEFECTS
from rollout.testbed.demodata.rows import ACROSS_OWNERS, BLOCK_ROWS, DUPLICATES, SPELLINGS, make_block
from rollout.testbed.demodata.vocabulary import PLACES

CUSTOMERS = SourceSpec(
    name="customers", system="legacy", path="customers/客户_*.csv", row_key=("客户编号",), mapping="m"
)
CONTACTS = SourceSpec(
    name="contacts",
    system="legacy",
    path="联系人*.xlsx",
    row_key=("联系人编号",),
    mapping="m",
    skip_rows=1,
    header_rows=2,
)
SAMPLE = Path(__file__).parents[3] / "demo" / "legacy"


RENAMED = {"信用代码": "统一社会信用代码", "客户经理": "业务员", "联系电话": "电话", "单位名称": "客户名称"}
FAIR = SourceSpec(name="fair", system="legacy", path="展会*.xlsx", row_key=("客户编号",), mapping="m", repeats="same")


def rows(folder: Path, source: SourceSpec) -> pd.DataFrame:
    """All rows of a source; what regions name their own way has the usual name as well."""
    chunks = list(FilesConnector("legacy", {}, folder).read(source, chunk_rows=10_000))
    assert all(chunk.unreadable is None for chunk in chunks)
    frame = pd.concat([chunk.frame for chunk in chunks], ignore_index=True)
    for own, usual in RENAMED.items() if source is CUSTOMERS else ():
        frame[usual] = frame[usual].fillna(frame[own])
    return frame


def listed(folder: Path, name: str) -> pd.DataFrame:
    """A list in a text file of its own."""
    table = layout.TABLES[name]
    return pd.read_csv(folder / table.file, sep=table.delimiter, encoding=table.encoding, dtype="str")


def told(folder: Path, defect: str) -> set[str]:
    """Source keys of the rows with a planted defect."""
    return {row["source_key"] for row in truth(folder, "defects.csv") if row["defect"] == defect}


def truth(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / "truth" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file; of workbooks the parts, because zlib's versions pack them differently."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".xlsx":
            with zipfile.ZipFile(path) as archive:
                found |= {f"{name}/{part.filename}@{part.date_time}": archive.read(part) for part in archive.infolist()}
        elif path.suffix == ".sqlite":  # its head holds the version of the library
            with closing(sqlite3.connect(path)) as connection:
                found[name] = "\n".join(connection.iterdump()).encode()
        else:
            found[name] = path.read_bytes()
    return found


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "legacy"
    generate(folder, accounts=1_000, seed=4)
    return folder


def test_the_committed_sample_is_what_the_command_writes(tmp_path) -> None:
    command = "from rollout.cli import main; main()"
    arguments = ["demo-data", "--accounts", "200", "--seed", "1", "--out", str(tmp_path / "legacy")]
    subprocess.run([sys.executable, "-c", command, *arguments], check=True, capture_output=True)
    assert contents(tmp_path / "legacy") == contents(SAMPLE)


def test_another_seed_gives_other_bytes_and_the_old_data_is_replaced(tmp_path) -> None:
    out = tmp_path / "legacy"
    generate(out, accounts=200, seed=1)
    whole = [path.read_bytes() for path in sorted(out.rglob("*.*"))]
    generate(out, accounts=200, seed=1)
    assert [path.read_bytes() for path in sorted(out.rglob("*.*"))] == whole
    first = contents(out)
    generate(out, accounts=200, seed=2)
    assert contents(out).keys() == first.keys()
    assert contents(out) != first
    assert [path.name for path in tmp_path.iterdir()] == ["legacy"]


def test_files_of_others_are_never_replaced(tmp_path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="did not write"):
        generate(tmp_path, accounts=200, seed=1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(ConfigError, match="out of bounds"):
        generate(tmp_path / "x", accounts=199, seed=1)


def test_it_says_that_it_is_made_up(small) -> None:
    note = (small / MARKER).read_text(encoding="utf-8")
    assert "虚构数据" in note
    assert "made up" in note


def test_counts_and_clusters_cover_every_row(small) -> None:
    customers, contacts = rows(small, CUSTOMERS), rows(small, CONTACTS)
    assert len(customers) == 1_000
    assert 1_300 < len(contacts) < 1_700
    keys = [row["source_key"] for row in truth(small, "clusters.csv")]
    assert len(keys) == len(set(keys))
    visitors = rows(small, FAIR)
    keys = [key for key in keys if key.startswith(("customers:", "contacts:"))]
    assert len(keys) == len(customers) + len(contacts)
    others = Counter(row["source_key"].split(":")[0] for row in truth(small, "clusters.csv"))
    assert others["erp_customers"] == len(listed(small, "erp_customers"))
    assert others["fair_customers"] == len(visitors)
    assert others["fair_contacts"] == visitors["联系人编号"].notna().sum() < len(visitors)
    again = customers.groupby("客户编号").cumcount() + 1
    made = customers["客户编号"].where(again == 1, customers["客户编号"] + "~" + again.astype("str"))
    read = {f"customers:{key}" for key in made} | {f"contacts:{key}" for key in contacts["联系人编号"]}
    assert read == set(keys)


def test_credit_codes_are_right_except_where_planted(small) -> None:
    broken = {
        row["source_key"].split(":")[1]
        for row in truth(small, "defects.csv")
        if row["defect"] in {"uscc_check_digit", "uscc_scientific"}
    }
    customers = rows(small, CUSTOMERS).dropna(subset="统一社会信用代码")
    codes = customers["统一社会信用代码"].str.normalize("NFKC")
    assert {key for key, code in zip(customers["客户编号"], codes, strict=True) if not uscc.is_valid(code)} == broken
    assert broken
    assert codes[codes.str.len() == 18].str[8:10].eq("XN").all()


def test_credit_codes_never_repeat() -> None:
    assert len({credit_code(number, "310115") for number in range(50_000)}) == 50_000


def test_exact_keys_find_the_duplicates_they_should_and_no_others(small) -> None:
    customers = rows(small, CUSTOMERS)
    codes = customers["统一社会信用代码"].str.normalize("NFKC")
    again = customers.groupby("客户编号").cumcount()
    key = "customers:" + customers["客户编号"].where(again == 0, customers["客户编号"] + "~2")
    cluster = key.map({row["source_key"]: row["cluster"] for row in truth(small, "clusters.csv")})
    by_code = cluster[codes.notna()].groupby(codes).nunique()
    assert by_code.eq(1).all()
    # A spelling-only second row shares no code with its first.
    spelled = {r["source_key"] for r in truth(small, "defects.csv") if r["defect"] in SPELLINGS}
    assert codes[key.isin(spelled)].isna().all()
    assert len(spelled) == 20
    assert {r["defect"] for r in truth(small, "defects.csv")} >= {*SPELLINGS, ACROSS_OWNERS}
    sizes = Counter(cluster)
    assert max(sizes.values()) == 2
    assert sum(size == 2 for size in sizes.values()) == sum(round(1_000 * share) for _, share in DUPLICATES)


def test_what_is_lost_leaves_coverage_above_its_gate(tmp_path) -> None:
    lost = {defect.code for defect in (*ACCOUNT_DEFECTS, *CONTACT_DEFECTS) if defect.lost}
    for accounts in (200, 333, 1_000):
        generate(tmp_path / "d", accounts=accounts, seed=accounts)
        planted = [row["source_key"] for row in truth(tmp_path / "d", "defects.csv") if row["defect"] in lost]
        gone = {key.split(":")[1] for key in planted if key.startswith("customers")}
        contacts = rows(tmp_path / "d", CONTACTS)
        orphans = contacts["所属客户编号"].isin(gone).sum() + sum(key.startswith("contacts") for key in planted)
        assert len(gone) <= 0.025 * accounts
        assert orphans <= 0.04 * len(contacts)


def test_every_planted_defect_is_in_its_cell(small) -> None:
    customers = rows(small, CUSTOMERS).drop_duplicates("客户编号").set_index("客户编号")
    seen = Counter()
    checks = {
        "line_break": lambda value: "\n" in value,
        "full_width_digits": lambda value: any("０" <= character <= "９" for character in value),
        "country_code": lambda value: "86" in value[:5],
        "control_character": lambda value: "\x07" in value or "\x1f" in value,
        "formula_like": lambda value: value[0] in "=+-@",
        "required_missing": pd.isna,
        "uscc_scientific": lambda value: "E+" in value,
        "thousands_separator": lambda value: "." in value,
        "date_chinese": lambda value: "年" in value,
        "date_compact": str.isdigit,
        "padding": lambda value: value != value.strip(),
    }
    for row in truth(small, "defects.csv"):
        source, key = row["source_key"].split(":")
        if source == "customers" and row["defect"] in checks:
            assert checks[row["defect"]](customers.loc[key, row["field"]]), row
            seen[row["defect"]] += 1
    assert set(seen) == set(checks)


def test_landlines_exist_in_every_city() -> None:
    block = make_block(0, 2_000, seed=9, names=())
    spoilt = {key for key, column, _ in block.defects if column.endswith("电话")}
    numbers = [
        phonenumbers.parse(row["电话"], "CN")
        for key, row in zip(block.account_keys, block.accounts, strict=True)
        if f"customers:{key}" not in spoilt
    ]
    assert all(phonenumbers.is_valid_number(number) for number in numbers)
    assert len({place.area for place in PLACES}) == len(PLACES)


def test_blocks_of_any_size_can_be_made() -> None:
    for size in (1, 2, 3, 50, 199):
        block = make_block(BLOCK_ROWS, size, seed=1, names=())
        assert len(block.accounts) == size
    large = make_block(0, BLOCK_ROWS, seed=1, names=())
    assert len(set(large.account_keys)) == BLOCK_ROWS


def test_many_contacts_make_several_workbooks(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("rollout.testbed.demodata.dataset.MAX_WORKBOOK_ROWS", 100)
    data = generate(tmp_path / "d", accounts=200, seed=1)
    assert len(list((tmp_path / "d").glob("联系人*.xlsx"))) == -(-data.contacts // 100)
    assert len(rows(tmp_path / "d", CONTACTS)) == data.contacts


def test_customers_are_built_from_names_that_are_given(tmp_path) -> None:
    (tmp_path / "names.txt").write_text("\ufeff蓝鲸\n\n  青松 \n", encoding="utf-8")
    names = read_names(tmp_path / "names.txt")
    assert names == ["蓝鲸", "青松"]
    generate(tmp_path / "d", accounts=200, seed=1, names=names)
    read = rows(tmp_path / "d", CUSTOMERS)["客户名称"].dropna().str.replace(r"[\x07\x1f]", "", regex=True)
    assert read.str.contains("蓝鲸|青松").all()
    (tmp_path / "names.txt").write_text("\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="no names"):
        read_names(tmp_path / "names.txt")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_names(tmp_path / "gone.txt")


def test_every_reference_leads_somewhere_but_those_planted(small) -> None:
    numbers = set(rows(small, CUSTOMERS)["客户编号"])
    codes = listed(small, "customer_codes")
    assert codes["code"].is_unique
    assert codes["customer"].duplicated().any()  # several codes, one customer
    assert set(codes["customer"]) <= numbers
    orders = listed(small, "orders_jg")
    orphans = {f"orders_jg:{order}" for order in orders["订单号"][~orders["客户编号"].isin(numbers)]}
    assert orphans == {key for key in told(small, "account_missing") if key.startswith("orders_jg")} != set()
    second = listed(small, "orders_dq")
    assert set(second["客户代码"]) <= set(codes["code"])
    lines, products = listed(small, "order_lines"), listed(small, "products")
    assert set(lines["订单号"]) == set(orders["订单号"]) | set(second["单据号"])
    assert set(lines["产品编号"]) <= set(products["产品编号"])
    for name in ("opportunities", "contracts"):
        assert set(listed(small, name)["客户编号"]) <= numbers
    with closing(sqlite3.connect(small / layout.DATABASE)) as connection:
        tickets = connection.execute("SELECT ticket_no, cust_no FROM tickets").fetchall()
        talks = connection.execute("SELECT cust_no FROM follow_ups").fetchall()
    lost = {f"tickets:{number}" for number, customer in tickets if customer not in numbers}
    assert lost == {key for key in told(small, "account_missing") if key.startswith("tickets")} != set()
    assert {customer for (customer,) in talks} <= numbers


def test_an_orders_amount_is_the_sum_of_its_lines(small) -> None:
    lines = listed(small, "order_lines")
    sums = lines.assign(amount=lines["金额"].map(Decimal)).groupby("订单号")["amount"].sum()
    for name, number, amount in (("orders_jg", "订单号", "订单金额"), ("orders_dq", "单据号", "价税合计")):
        orders = listed(small, name)
        written = orders[amount].str.replace(",", "").map(Decimal)
        assert dict(zip(orders[number], written, strict=True)) == {key: sums[key] for key in orders[number]}


def test_nothing_happened_with_dormant_customers_for_years_and_something_with_all_others(small) -> None:
    dormant = {key.split(":")[1] for key in told(small, "dormant")}
    assert len(dormant) > 20
    with closing(sqlite3.connect(small / layout.DATABASE)) as connection:
        seen = dict(connection.execute("SELECT cust_no, max(happened_at) FROM follow_ups GROUP BY 1").fetchall())
    assert all(seen[number] < "2023" for number in dormant)
    assert all(day > "2026" for number, day in seen.items() if number not in dormant)
    assert not dormant & set(listed(small, "orders_jg")["客户编号"])


def test_branches_and_neighbours_share_a_phone_and_are_no_duplicates(small) -> None:
    customers = rows(small, CUSTOMERS).drop_duplicates("客户编号").set_index("客户编号")
    clusters = {row["source_key"]: row["cluster"] for row in truth(small, "clusters.csv")}
    for kind in ("branch_of_parent", "shared_phone"):
        keys = told(small, kind)
        assert len(keys) >= 10
        assert len({clusters[key] for key in keys}) == len(keys)
    for key in told(small, "branch_of_parent"):
        name = customers.loc[key.split(":")[1], "客户名称"]
        assert pd.isna(name) or "分公司" in name


def test_regions_keep_columns_of_their_own(small) -> None:
    heads = {
        path.stem: path.read_text(encoding="gb18030").split("\n")[0].strip().split(",")
        for path in (small / "customers").iterdir()
    }
    assert len({tuple(head) for head in heads.values()}) == len(heads)
    planted = {(row["source_key"], row["field"]) for row in truth(small, "defects.csv") if row["field"]}
    frame = rows(small, CUSTOMERS).drop_duplicates("客户编号").set_index("客户编号")
    for key, column in planted:
        source, number = key.split(":")
        if source == "customers":
            region = frame.loc[number, "区域"][:2]
            assert column in heads[f"客户_{region}"]

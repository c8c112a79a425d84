"""The made-up data: the same bytes for the same seed, and the truth beside it is true."""

from __future__ import annotations

import csv
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pandas as pd
import phonenumbers
import pytest
from stdnum.cn import uscc

from rollout.connectors.files import FilesConnector
from rollout.errors import ConfigError
from rollout.mapping.spec import SourceSpec
from rollout.testbed.demodata import generate, read_names
from rollout.testbed.demodata.codes import credit_code
from rollout.testbed.demodata.dataset import MARKER
from rollout.testbed.demodata.defects import ACCOUNT_DEFECTS, CONTACT_DEFECTS
from rollout.testbed.demodata.rows import BLOCK_ROWS, DUPLICATES, make_block
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


def rows(folder: Path, source: SourceSpec) -> pd.DataFrame:
    chunks = list(FilesConnector("legacy", {}, folder).read(source, chunk_rows=10_000))
    assert all(chunk.unreadable is None for chunk in chunks)
    return pd.concat([chunk.frame for chunk in chunks], ignore_index=True)


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
    assert len(keys) == len(set(keys)) == len(customers) + len(contacts)
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
    spelled = {r["source_key"] for r in truth(small, "defects.csv") if r["defect"] == "duplicate_spelling_only"}
    assert codes[key.isin(spelled)].isna().all()
    assert len(spelled) == 20
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
    spoilt = {key for key, column, _ in block.defects if column == "电话"}
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

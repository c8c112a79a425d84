"""Writes a data set of any size, block by block, and puts it in its place only when it is whole."""

from __future__ import annotations

import csv
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from rollout.errors import ConfigError
from rollout.model.base import Frozen
from rollout.testbed.demodata import layout, sheet
from rollout.testbed.demodata.business import PRODUCTS, Cells, campaigns, make_business
from rollout.testbed.demodata.others import Others, into, make_others
from rollout.testbed.demodata.rows import BLOCK_ROWS, Block, Row, make_block
from rollout.testbed.demodata.vocabulary import REGIONS

MIN_ACCOUNTS, MAX_ACCOUNTS = 200, 1_000_000
MAX_WORKBOOK_ROWS = 100_000
"""Contacts a workbook; more of them make more workbooks."""
MARKER = "虚构数据说明.txt"
"""Marks a folder as ours: only such a folder is ever replaced."""
_NOTE = """本文件夹中的全部数据都是程序生成的虚构数据,与任何真实的企业或个人无关。
All data in this folder is generated and made up. Any resemblance to real companies or people is chance.

{accounts} 行客户 rows of customers · {contacts} 行联系人 rows of contacts · seed {seed}
customers/   各大区客户台账,列名不一 customer lists by sales region, whose columns differ, CSV, GB18030
联系人*      联系人台账 contact list, XLSX, at most {workbook_rows} rows a file
客户主数据*  ERP 客户主数据 the ERP's list of customers, CSV, UTF-8
展会*        展会成交登记:一行含客户、联系人、订单和明细 a row holds a customer, a contact, an order and a line, XLSX
订单*        两家公司的订单和明细 orders of two companies, and their lines, CSV
客户编码对照 第二家公司的客户代码 → 客户编号 the second company's customer codes, CSV
产品 商机 合同 市场活动  products, opportunities, contracts, campaigns, CSV
legacy.sqlite  工单和跟进记录 tickets and follow-ups, SQLite
truth/       真实答案 what was planted: clusters.csv (source_key, cluster), defects.csv (source_key, field, defect)
"""


class DemoData(Frozen):
    """What was written."""

    folder: str
    seed: int
    accounts: int = Field(description="Rows of customers, repeated ones included.")
    contacts: int
    customers: int = Field(description="Distinct customers in the customer lists.")
    others: dict[str, int] = Field(description="Rows of every other list.")
    planted: dict[str, int] = Field(description="Planted defects by code.")
    made_up: bool = True


def generate(
    out: Path,
    *,
    accounts: int,
    seed: int,
    names: Sequence[str] = (),
    advance: Callable[[int], None] = lambda _: None,
) -> DemoData:
    """Write legacy data of the made-up company.

    Args:
        out: Folder to write; must be missing, empty, or made by this function before.
        accounts: Rows of customers, `MIN_ACCOUNTS` to `MAX_ACCOUNTS`.
        seed: The same seed, size and names give the same bytes.
        names: Short company names to build customers from; empty: made up.
        advance: Told the number of customer rows after each block.

    Raises:
        ConfigError: The size is out of bounds, or the folder holds something else.
    """
    if not MIN_ACCOUNTS <= accounts <= MAX_ACCOUNTS:
        raise ConfigError(
            f"{accounts} accounts are out of bounds",
            where="--accounts",
            hint=f"choose {MIN_ACCOUNTS} to {MAX_ACCOUNTS}",
        )
    if out.is_dir() and any(out.iterdir()) and not (out / MARKER).is_file():
        raise ConfigError(
            "the folder holds files that this command did not write; nothing was changed",
            where=str(out),
            hint="choose another folder with --out",
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_name(f".{out.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        summary = _write(draft, out, accounts, seed, names, advance)
        shutil.rmtree(out, ignore_errors=True)
        draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return summary


def _write(
    draft: Path, out: Path, accounts: int, seed: int, names: Sequence[str], advance: Callable[[int], None]
) -> DemoData:
    planted: Counter[str] = Counter()
    customers = contacts = 0
    with _Files(draft) as files:
        files.add_lists({"products": PRODUCTS, "campaigns": campaigns(accounts, seed)})
        for first in range(0, accounts, BLOCK_ROWS):
            block = make_block(first, min(BLOCK_ROWS, accounts - first), seed=seed, names=names)
            business = make_business(block.customers, first, seed=seed)
            others = make_others(block.customers, first, seed=seed, dormant=business.dormant)
            into(business, others)
            files.add(block, others)
            files.add_lists(business.rows)
            defects = (*block.defects, *business.defects, *others.defects)
            files.add_defects(defects)
            customers += len(set(block.account_clusters))
            contacts += len(block.contacts)
            planted.update(code for _, _, code in defects)
            advance(len(block.accounts))
    note = _NOTE.format(accounts=accounts, contacts=contacts, seed=seed, workbook_rows=MAX_WORKBOOK_ROWS)
    (draft / MARKER).write_text(note, encoding="utf-8", newline="\n")
    return DemoData(
        folder=str(out),
        seed=seed,
        accounts=accounts,
        contacts=contacts,
        customers=customers,
        others=dict(sorted(files.written.items())),
        planted=dict(sorted(planted.items())),
    )


class _Files:
    """The open files of a data set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = ExitStack()
        self._regions: dict[str, Any] = {}
        self.written: Counter[str] = Counter()
        self._tables: dict[str, Any] = {}
        self._held: list[Row] = []
        self._visitors: list[Cells] = []
        self._workbooks: Counter[str] = Counter()

    def __enter__(self) -> Self:
        (self.folder / "customers").mkdir(parents=True)
        (self.folder / "truth").mkdir()
        for region in REGIONS:
            path = self.folder / "customers" / f"客户_{region}.csv"
            self._regions[region] = self._open(path, "gb18030", tuple(layout.headings(region).values()))
        for name, table in layout.TABLES.items():
            self._tables[name] = self._open(
                self.folder / table.file, table.encoding, table.columns, delimiter=table.delimiter
            )
        self._database = self._stack.enter_context(_database(self.folder / layout.DATABASE))
        self._clusters = self._open(self.folder / "truth/clusters.csv", "utf-8", ("source_key", "cluster"))
        self._defects = self._open(self.folder / "truth/defects.csv", "utf-8", ("source_key", "field", "defect"))
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self._flush(final=True)
        self._stack.close()

    def add(self, block: Block, others: Others) -> None:
        """Append a block's customers and contacts, and the visitors of the fair."""
        for row, file in zip(block.accounts, block.account_files, strict=True):
            self._regions[file].writerow([row[column] for column in layout.headings(file)])
        self._clusters.writerows(
            (f"customers:{key}", cluster)
            for key, cluster in zip(block.account_keys, block.account_clusters, strict=True)
        )
        self._clusters.writerows(
            (f"contacts:{row['联系人编号']}", cluster)
            for row, cluster in zip(block.contacts, block.contact_clusters, strict=True)
        )
        self._clusters.writerows(others.clusters)
        self._held += block.contacts
        self._visitors += others.fair
        self.written["fair"] += len(others.fair)
        self._flush(final=False)

    def add_lists(self, lists: Mapping[str, Sequence[Cells]]) -> None:
        """Append rows to the other lists, by their names in `layout`."""
        for name, rows in lists.items():
            self.written[name] += len(rows)
            if name in self._tables:
                self._tables[name].writerows(rows)
            else:
                places = ", ".join("?" * len(layout.DATABASE_TABLES[name]))
                self._database.executemany(f"INSERT INTO {name} VALUES ({places})", rows)  # noqa: S608 - names of ours

    def add_defects(self, defects: Sequence[tuple[str, str, str]]) -> None:
        """Append to the truth."""
        self._defects.writerows(defects)

    def _flush(self, *, final: bool) -> None:
        """Contacts and visitors to workbooks, each as full as it may be."""
        while self._held and (final or len(self._held) >= MAX_WORKBOOK_ROWS):
            rows, self._held = self._held[:MAX_WORKBOOK_ROWS], self._held[MAX_WORKBOOK_ROWS:]
            sheet.write_workbook(self._workbook("联系人"), rows)
        while self._visitors and (final or len(self._visitors) >= MAX_WORKBOOK_ROWS):
            visitors, self._visitors = self._visitors[:MAX_WORKBOOK_ROWS], self._visitors[MAX_WORKBOOK_ROWS:]
            sheet.write_register(self._workbook(layout.FAIR_FILE), layout.FAIR_COLUMNS, visitors)

    def _workbook(self, name: str) -> Path:
        self._workbooks[name] += 1
        suffix = f"_{self._workbooks[name]:02d}" if self._workbooks[name] > 1 else ""
        return self.folder / f"{name}{suffix}.xlsx"

    def _open(self, path: Path, encoding: str, columns: Sequence[str], *, delimiter: str = ",") -> Any:
        file = self._stack.enter_context(path.open("w", encoding=encoding, newline=""))
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(columns)
        return writer


@contextmanager
def _database(path: Path) -> Iterator[sqlite3.Connection]:
    """A database of the service desk's tables; nobody else reads it while it is written."""
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        for name, columns in layout.DATABASE_TABLES.items():
            connection.execute(f"CREATE TABLE {name} ({', '.join(columns)})")
        yield connection
        connection.commit()
    finally:
        connection.close()


def read_names(path: Path) -> list[str]:
    """Short names, one a line; blank lines are left out.

    Raises:
        ConfigError: The file cannot be read or has no names.
    """
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the names cannot be read: {error}", where=str(path), hint="give a UTF-8 file with one name a line"
        ) from error
    if not names:
        raise ConfigError("the file has no names", where=str(path), hint="give a UTF-8 file with one name a line")
    return names

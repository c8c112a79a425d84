"""Writes a data set of any size, block by block, and puts it in its place only when it is whole."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from rollout.errors import ConfigError
from rollout.model.base import Frozen
from rollout.testbed.demodata import sheet
from rollout.testbed.demodata.rows import BLOCK_ROWS, Block, Row, make_block
from rollout.testbed.demodata.vocabulary import REGIONS

MIN_ACCOUNTS, MAX_ACCOUNTS = 200, 1_000_000
MAX_WORKBOOK_ROWS = 100_000
"""Contacts a workbook; more of them make more workbooks."""
MARKER = "虚构数据说明.txt"
"""Marks a folder as ours: only such a folder is ever replaced."""
ACCOUNT_COLUMNS = (
    "客户编号",
    "客户名称",
    "统一社会信用代码",
    "行业",
    "区域",
    "地址",
    "电话",
    "网址",
    "等级",
    "业务员",
    "成立日期",
    "员工人数",
    "年营业额",
    "备注",
)
_NOTE = """本文件夹中的全部数据都是程序生成的虚构数据,与任何真实的企业或个人无关。
All data in this folder is generated and made up. Any resemblance to real companies or people is chance.

{accounts} 行客户 rows of customers · {contacts} 行联系人 rows of contacts · seed {seed}
customers/   各大区客户台账 customer lists by sales region, CSV, GB18030
联系人*      联系人台账 contact list, XLSX, at most {workbook_rows} rows a file
truth/       真实答案 what was planted: clusters.csv (source_key, cluster), defects.csv (source_key, field, defect)
"""


class DemoData(Frozen):
    """What was written."""

    folder: str
    seed: int
    accounts: int = Field(description="Rows of customers, repeated ones included.")
    contacts: int
    customers: int = Field(description="Distinct customers.")
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
    planted: dict[str, int] = {}
    customers = contacts = 0
    with _Files(draft) as files:
        for first in range(0, accounts, BLOCK_ROWS):
            block = make_block(first, min(BLOCK_ROWS, accounts - first), seed=seed, names=names)
            files.add(block)
            customers += len(set(block.account_clusters))
            contacts += len(block.contacts)
            for _, _, code in block.defects:
                planted[code] = planted.get(code, 0) + 1
            advance(len(block.accounts))
    note = _NOTE.format(accounts=accounts, contacts=contacts, seed=seed, workbook_rows=MAX_WORKBOOK_ROWS)
    (draft / MARKER).write_text(note, encoding="utf-8", newline="\n")
    return DemoData(
        folder=str(out),
        seed=seed,
        accounts=accounts,
        contacts=contacts,
        customers=customers,
        planted=dict(sorted(planted.items())),
    )


class _Files:
    """The open files of a data set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = ExitStack()
        self._regions: dict[str, Any] = {}
        self._held: list[Row] = []
        self._workbooks = 0

    def __enter__(self) -> Self:
        (self.folder / "customers").mkdir(parents=True)
        (self.folder / "truth").mkdir()
        for region in REGIONS:
            path = self.folder / "customers" / f"客户_{region}.csv"
            self._regions[region] = self._open(path, "gb18030", ACCOUNT_COLUMNS)
        self._clusters = self._open(self.folder / "truth/clusters.csv", "utf-8", ("source_key", "cluster"))
        self._defects = self._open(self.folder / "truth/defects.csv", "utf-8", ("source_key", "field", "defect"))
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self._flush(final=True)
        self._stack.close()

    def add(self, block: Block) -> None:
        """Append a block to all files."""
        for row, file in zip(block.accounts, block.account_files, strict=True):
            self._regions[file].writerow([row[column] for column in ACCOUNT_COLUMNS])
        self._clusters.writerows(
            (f"customers:{key}", cluster)
            for key, cluster in zip(block.account_keys, block.account_clusters, strict=True)
        )
        self._clusters.writerows(
            (f"contacts:{row['联系人编号']}", cluster)
            for row, cluster in zip(block.contacts, block.contact_clusters, strict=True)
        )
        self._defects.writerows(block.defects)
        self._held += block.contacts
        self._flush(final=False)

    def _flush(self, *, final: bool) -> None:
        """Contacts to workbooks, each as full as it may be."""
        while self._held and (final or len(self._held) >= MAX_WORKBOOK_ROWS):
            rows, self._held = self._held[:MAX_WORKBOOK_ROWS], self._held[MAX_WORKBOOK_ROWS:]
            self._workbooks += 1
            suffix = f"_{self._workbooks:02d}" if self._workbooks > 1 else ""
            sheet.write_workbook(self.folder / f"联系人{suffix}.xlsx", rows)

    def _open(self, path: Path, encoding: str, columns: Sequence[str]) -> Any:
        file = self._stack.enter_context(path.open("w", encoding=encoding, newline=""))
        writer = csv.writer(file)
        writer.writerow(columns)
        return writer


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

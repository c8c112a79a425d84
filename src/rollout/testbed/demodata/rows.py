"""One block of customers and their contacts as the old lists hold them, with the truth about each row.

Blocks are independent and of fixed size, each with a random stream of its own: memory stays bounded, and the same seed
gives the same rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import cycle, islice

from rollout.testbed.demodata import layout
from rollout.testbed.demodata import vocabulary as words
from rollout.testbed.demodata.codes import credit_code
from rollout.testbed.demodata.defects import ACCOUNT_DEFECTS, CONTACT_DEFECTS, Defect, Rng, planned

BLOCK_ROWS = 20_000
Row = dict[str, str | None]

SAME_CODE, SAME_PHONE, REPEATED = (
    "duplicate_same_uscc",
    "duplicate_same_name_phone",
    "duplicate_repeated_row",
)
LEGAL_FORM, BRACKETS, ABBREVIATION, TRADITIONAL = SPELLINGS = (
    "duplicate_legal_form",
    "duplicate_brackets",
    "duplicate_abbreviation",
    "duplicate_traditional",
)
DUPLICATES = ((SAME_CODE, 0.025), (SAME_PHONE, 0.005), (REPEATED, 0.005), *((kind, 0.005) for kind in SPELLINGS))
"""Second rows of a customer, and their share of all rows. Exact keys find all but the `SPELLINGS`."""
ACROSS_OWNERS = "duplicate_across_owners"
_ACROSS_OWNERS = 4
"""Every so many-th second row with the same code is another salesperson's."""
_BRANCH_SHARE = _SHARED_PHONE_SHARE = 0.01
_CONTACTS = ((0, 0.10), (1, 0.45), (2, 0.30), (3, 0.15))
"""Contacts a customer row, and how often: 1.5 on average."""
_NO_CODE_SHARE = 0.08
_LANDLINE_SHARE = 0.7
_LONG_BRAND_SHARE = 0.4
_COPIED_CONTACT_SHARE = 0.5
_FIRST_DAY, _DAYS = date(1996, 1, 1), 9_800
_FIRST_BIRTHDAY, _BIRTHDAYS = date(1965, 1, 1), 13_000
_FIRST_UPDATE, _UPDATES = date(2022, 1, 1), 1_700


@dataclass(frozen=True, slots=True)
class Known:
    """A row of the customer list, as other lists refer to it."""

    number: str
    key: str
    cluster: str
    name: str
    """The customer's true name."""
    code: str
    phone: str
    region: str
    owner: str
    company: str
    address: str
    lost: bool
    is_first: bool
    """Whether it is the customer's first row."""


@dataclass(slots=True)
class Block:
    """Rows of a block in file order; `cluster` and `defects` are the truth."""

    accounts: list[Row] = field(default_factory=list)
    contacts: list[Row] = field(default_factory=list)
    account_keys: list[str] = field(default_factory=list)
    """Row keys as reading makes them: a repeated number gets ~2."""
    account_files: list[str] = field(default_factory=list)
    """The sales region whose list the row stands in."""
    account_clusters: list[str] = field(default_factory=list)
    contact_clusters: list[str] = field(default_factory=list)
    defects: list[tuple[str, str, str]] = field(default_factory=list)
    """Source key, column, code."""
    customers: list[Known] = field(default_factory=list)
    """A row each, in file order."""


def make_block(first: int, rows: int, *, seed: int, names: Sequence[str]) -> Block:
    """Rows ``first`` to ``first + rows`` (from 0) of the customer list, and their contacts.

    Args:
        first: Number of the block's first row; a multiple of `BLOCK_ROWS`.
        rows: How many rows.
        seed: Of the whole data set.
        names: Short names to build customers from; empty: made up.
    """
    rng = Rng(f"{seed}/{first}")
    block = Block()
    kinds = [kind for kind, share in DUPLICATES for _ in range(planned(share, rows))]
    singles = rows - len(kinds)
    people = [_Customer(rng, first + number, names) for number in range(singles)]
    related = _relate(people, rows, rng)
    drafts = [_Draft(customer.row(rng), number, "") for number, customer in enumerate(people)]
    # A customer is doubled at most once, so that every cluster has one reason; and never one that looks like another.
    alone = [number for number in range(singles) if number not in related]
    for at, (original, kind) in enumerate(zip(rng.sample(alone, len(kinds)), kinds, strict=True)):
        drafts[original].doubled = True
        row = _double(people[original], drafts[original].row, kind, rng)
        if kind == SAME_CODE and at % _ACROSS_OWNERS == 0:
            row["业务员"] = rng.choice([name for name in words.OWNERS[:-1] if name != people[original].owner])
        drafts.append(_Draft(row, original, kind))
    _number(drafts, first, rng)
    by_customer = {draft.customer: draft for draft in drafts if not draft.kind}
    for draft in drafts:
        layout.leave_out(draft.row)
        block.accounts.append(draft.row)
        block.account_keys.append(draft.key)
        block.account_files.append(str(draft.row["区域"])[:2])
        block.account_clusters.append(f"A{first + draft.customer:08d}")
        if draft.kind:
            block.defects.append((f"customers:{draft.key}", "", draft.kind))
        if draft.kind and draft.row["业务员"] != by_customer[draft.customer].row["业务员"]:
            column = layout.headings(block.account_files[-1])["业务员"]
            block.defects.append((f"customers:{draft.key}", column, ACROSS_OWNERS))
        if not draft.kind and draft.customer in related:
            block.defects.append((f"customers:{draft.key}", "", related[draft.customer]))
    free = [number for number, draft in enumerate(drafts) if not draft.kind and not draft.doubled]
    record = _recorder(block, "customers", block.account_keys)
    heading = [layout.headings(file) for file in block.account_files]
    lost = _plant(
        ACCOUNT_DEFECTS,
        block.accounts,
        free,
        rng,
        lambda number, column, code: record(number, heading[number].get(column, column), code),
    )
    _add_contacts(block, drafts, first, lost, rng)
    block.customers = [
        people[draft.customer].known(draft, cluster, lost=position in lost)
        for position, (draft, cluster) in enumerate(zip(drafts, block.account_clusters, strict=True))
    ]
    return block


def _relate(people: list[_Customer], rows: int, rng: Rng) -> dict[int, str]:
    """Make some customers look like another that they are not: branches of a company, and neighbours on one phone.

    Answers both sides by number, with what is odd about them.
    """
    branches, neighbours = planned(_BRANCH_SHARE, rows), planned(_SHARED_PHONE_SHARE, rows)
    chosen = rng.sample(range(len(people)), 2 * (branches + neighbours))
    related: dict[int, str] = {}
    for at, (one, other) in enumerate(zip(chosen[::2], chosen[1::2], strict=True)):
        people[other].phone = people[one].phone
        if at < branches:
            people[other].parent = people[one].name
        kinds = ("has_branch", "branch_of_parent") if at < branches else ("shared_phone", "shared_phone")
        related |= dict(zip((one, other), kinds, strict=True))
    return related


class _Customer:
    """What is true of a customer, before anybody typed it into a list."""

    def __init__(self, rng: Rng, number: int, names: Sequence[str]) -> None:
        self.place = rng.choice(words.PLACES)
        self.trade, self.industry = rng.choice(words.TRADES)
        self.legal_form = rng.choice(words.LEGAL_FORMS)
        self.brand = names[number * 7_919 % len(names)] if names else _brand(rng)
        self.code = credit_code(number, self.place.division)
        self.has_code = rng.random() >= _NO_CODE_SHARE
        self.phone = self._phone(rng)
        self.site = f"www.c{number:07d}.example"
        self.company = rng.choice(words.COMPANIES)
        self.owner = rng.choice(words.OWNERS)
        self.parent = ""
        """Name of the company that this is a branch of."""

    @property
    def name(self) -> str:
        if self.parent:
            return f"{self.parent}{self.place.name}分公司"
        return f"{self.place.name}{self.brand}{self.trade}{self.legal_form}"

    def spelled(self, kind: str) -> str:
        """The name as somebody else writes it; no normaliser makes the two equal."""
        if kind == ABBREVIATION:
            return f"{self.place.name}{self.brand}{self.trade}"
        if kind == TRADITIONAL and self.name != self.name.translate(words.TRADITIONAL):
            return self.name.translate(words.TRADITIONAL)
        if kind == BRACKETS:
            left, right = "()" if self.has_code else "\uff08\uff09"
            return f"{self.brand}{self.trade}{left}{self.place.name}{right}{self.legal_form}"
        other = "有限责任公司" if self.legal_form == "有限公司" else "有限公司"
        return f"{self.place.name}{self.brand}{self.trade}{other}"

    def known(self, draft: _Draft, cluster: str, *, lost: bool) -> Known:
        """The customer's row as other lists refer to it."""
        return Known(
            number=str(draft.row["客户编号"]),
            key=draft.key,
            cluster=cluster,
            name=self.name,
            code=self.code,
            phone=self.phone,
            region=self.place.region,
            owner=self.owner,
            company=self.company,
            address=str(draft.row["地址"]),
            lost=lost,
            is_first=not draft.kind,
        )

    def row(self, rng: Rng) -> Row:
        """The customer as a row of a regional list."""
        spellings = words.INDUSTRY_SPELLINGS[self.industry]
        suffix = rng.choice(("", "", "", "区", "大区"))
        return {
            "客户编号": None,
            "客户名称": self.name,
            "统一社会信用代码": self.code if self.has_code else None,
            "行业": rng.choice(spellings),
            "区域": self.place.region + suffix,
            "地址": self._address(rng),
            "电话": self.phone,
            "网址": self.site,
            "等级": rng.choice("ABBCCc"),
            "业务员": self.owner,
            "所属公司": self.company,
            "成立日期": (_FIRST_DAY + timedelta(days=rng.randrange(_DAYS))).isoformat(),
            "员工人数": str(int(rng.lognormvariate(4, 1)) + 1),
            "年营业额": f"{rng.lognormvariate(7, 1.2):.2f}",
            "备注": rng.choice(words.REMARKS),
            "更新日期": (_FIRST_UPDATE + timedelta(days=rng.randrange(_UPDATES))).isoformat(),
        }

    def _address(self, rng: Rng) -> str:
        return f"{self.place.full}{rng.choice(words.STREETS)}{rng.randrange(1, 2000)}号"

    def _phone(self, rng: Rng) -> str:
        if rng.random() < _LANDLINE_SHARE:
            width = self.place.local_digits - 1
            return f"{self.place.area}-{rng.randrange(5, 8)}{rng.randrange(10**width):0{width}d}"
        return _mobile(rng)


@dataclass(slots=True)
class _Draft:
    row: Row
    customer: int
    kind: str
    """Why it is a second row; "" if it is the first."""
    doubled: bool = False
    key: str = ""


def _double(customer: _Customer, original: Row, kind: str, rng: Rng) -> Row:
    """A second row of a customer."""
    if kind == REPEATED:
        return dict(original)
    row = customer.row(rng)
    if kind == SAME_PHONE:
        # Neither has a code; name and phone differ only in what cleansing evens out.
        original["统一社会信用代码"] = None
        return {**row, "客户名称": f" {customer.name} ", "统一社会信用代码": None, "电话": f" {customer.phone}"}
    others = [region for region in words.REGIONS if region != customer.place.region]
    row["区域"] = rng.choice(others)
    if kind == SAME_CODE:
        row["客户名称"] = customer.spelled(rng.choice(SPELLINGS))
        original["统一社会信用代码"] = row["统一社会信用代码"] = customer.code
    else:
        row["客户名称"] = customer.spelled(kind)
        row["统一社会信用代码"] = None
    return row


def _number(drafts: list[_Draft], first: int, rng: Rng) -> None:
    """Shuffle into file order and give every row its number; a repeated row has that of the row it repeats."""
    firsts = {draft.customer: draft for draft in drafts if not draft.kind}
    rng.shuffle(drafts)
    for position, draft in enumerate(drafts):
        if draft.kind != REPEATED:
            draft.key = draft.row["客户编号"] = f"HD{first + position + 1:08d}"
    for draft in drafts:
        if draft.kind == REPEATED:
            draft.row["客户编号"] = firsts[draft.customer].key
            draft.key = f"{firsts[draft.customer].key}~2"


def _add_contacts(block: Block, drafts: list[_Draft], first: int, lost: set[int], rng: Rng) -> None:
    counts = rng.choices([count for count, _ in _CONTACTS], [share for _, share in _CONTACTS], k=len(drafts))
    first_of: dict[int, tuple[Row, str]] = {}
    keys: list[str] = []
    for position, draft in enumerate(drafts):
        # Customers that stay behind take few contacts with them, whatever the size of the data.
        for index in range(min(counts[position], 1 if position in lost else 3)):
            number = f"LX{first * 3 + len(block.contacts) + 1:08d}"
            cluster = f"C{number[2:]}"
            row = _contact(number, str(draft.row["客户编号"]), index, rng)
            known = first_of.get(draft.customer)
            if index == 0 and known and rng.random() < _COPIED_CONTACT_SHARE:
                row = {**known[0], "联系人编号": number, "所属客户编号": row["所属客户编号"]}
                cluster = known[1]
                if draft.kind not in SPELLINGS:
                    block.defects.append((f"contacts:{number}", "", "duplicate_same_person"))
            first_of.setdefault(draft.customer, (row, cluster))
            block.contacts.append(row)
            block.contact_clusters.append(cluster)
            keys.append(number)
    sizes = Counter(block.contact_clusters)
    alone = [number for number, cluster in enumerate(block.contact_clusters) if sizes[cluster] == 1]
    _plant(CONTACT_DEFECTS, block.contacts, alone, rng, _recorder(block, "contacts", keys))


def _contact(number: str, account: str, index: int, rng: Rng) -> Row:
    given = "".join(rng.choices(words.GIVEN, k=rng.randint(1, 2)))
    birthday = _FIRST_BIRTHDAY + timedelta(days=rng.randrange(_BIRTHDAYS))
    yes, no = rng.choice((("是", "否"), ("是", "否"), ("Y", "N"), ("√", None)))
    return {
        "联系人编号": number,
        "姓名": rng.choice(words.SURNAMES) + given,
        "所属客户编号": account,
        "职务": rng.choice(words.POSITIONS),
        "手机": _mobile(rng),
        "邮箱": f"{number.lower()}@mail.example",
        "生日": birthday.isoformat(),
        "主要联系人": yes if index == 0 else no,
    }


def _plant(
    defects: Sequence[Defect],
    rows: list[Row],
    free: list[int],
    rng: Rng,
    record: Callable[[int, str, str], None],
) -> set[int]:
    """Spoil cells of rows that may be spoilt; answers the rows that cannot be loaded any more.

    A row is lost for one reason only, and a cell is spoilt once.
    """
    lost: set[int] = set()
    spoilt: set[tuple[int, str]] = set()
    # Each defect goes on where the one before stopped, so that rows rarely have two.
    order = cycle(rng.sample(free, len(free)))
    for defect in defects:
        wanted = planned(defect.share, len(rows))
        for number in islice(order, len(free)):
            if not wanted:
                break
            value = rows[number][defect.field]
            if value is None or number in lost or (number, defect.field) in spoilt:
                continue
            if defect.region and not str(rows[number]["区域"]).startswith(defect.region):
                continue
            if defect.code == "extension" and not value.startswith("0"):
                continue  # only landlines have one
            rows[number][defect.field] = defect.spoil(value, rng)
            spoilt.add((number, defect.field))
            if defect.lost:
                lost.add(number)
            record(number, defect.field, defect.code)
            wanted -= 1
    return lost


def _recorder(block: Block, source: str, keys: list[str]) -> Callable[[int, str, str], None]:
    def record(number: int, column: str, code: str) -> None:
        block.defects.append((f"{source}:{keys[number]}", column, code))

    return record


def _brand(rng: Rng) -> str:
    third = rng.choice(words.BRAND_SECOND) if rng.random() < _LONG_BRAND_SHARE else ""
    return rng.choice(words.BRAND_FIRST) + rng.choice(words.BRAND_SECOND) + third


def _mobile(rng: Rng) -> str:
    return f"{rng.choice(words.MOBILE_PREFIXES)}{rng.randrange(10**8):08d}"

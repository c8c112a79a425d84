"""Other lists that hold customers: the ERP's, and the register of a fair whose rows hold several records each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from random import Random

from rollout.testbed.demodata import vocabulary as words
from rollout.testbed.demodata.business import Business, Cells, order_line
from rollout.testbed.demodata.codes import credit_code
from rollout.testbed.demodata.rows import Known

_ERP_SHARE = 0.25
_OLD_NUMBER_SHARE = 0.8
_FAIR_SHARE = 0.1
_KNOWN_SHARE = 0.4
_WITHOUT_CONTACT_SHARE = 0.15
_OTHER_SELLER_SHARE = 0.2
_NEW_NUMBERS = 10_000_000
"""Numbers of companies that only the fair knows begin here."""


@dataclass(slots=True)
class Others:
    """Rows of the ERP's list and of the fair's register, with the cluster of each row that is a customer or person."""

    erp: list[Cells] = field(default_factory=list)
    fair: list[Cells] = field(default_factory=list)
    clusters: list[tuple[str, str]] = field(default_factory=list)
    """Source key, cluster."""
    defects: list[tuple[str, str, str]] = field(default_factory=list)


def make_others(customers: Sequence[Known], first: int, *, seed: int, dormant: Collection[str]) -> Others:
    """What the ERP and the fair's register say of a block's customers, and of some more.

    Args:
        customers: The block's rows.
        first: Number of the block's first row.
        seed: Of the whole data set.
        dormant: Clusters of customers who come to no fair any more.
    """
    rng = Random(f"{seed}/{first}/others")  # noqa: S311 - made-up data, no secrets
    made = Others()
    known = [customer for customer in customers if customer.is_first and not customer.lost]
    for customer in rng.sample(known, int(len(known) * _ERP_SHARE)):
        _erp(made, customer, rng)
    alive = [customer for customer in known if customer.cluster not in dormant]
    for at in range(int(len(customers) * _FAIR_SHARE)):
        _visitor(made, rng.choice(alive) if rng.random() < _KNOWN_SHARE else None, first + at + 1, rng)
    return made


def _erp(made: Others, customer: Known, rng: Random) -> None:
    code = f"K{customer.number[2:]}"
    made.erp.append(
        (
            code,
            customer.number if rng.random() < _OLD_NUMBER_SHARE else None,
            customer.name,
            customer.code,
            f"{customer.region}区",
            customer.address,
            customer.phone,
            customer.company,
            "冻结" if rng.random() < 0.04 else "正常",  # noqa: PLR2004 - a share of the customers
            (date(2025, 6, 1) + timedelta(days=rng.randrange(450))).isoformat(),
        )
    )
    made.clusters.append((f"erp_customers:{code}", customer.cluster))
    made.defects.append((f"erp_customers:{code}", "", "duplicate_other_source"))


def _visitor(made: Others, known: Known | None, number: int, rng: Random) -> None:
    """A customer that came to the fair: a row for each line of each order."""
    key = f"ZH{number:07d}"
    customer = known.cluster if known else f"Z{number:08d}"
    row = _customer(key, known, number, rng)
    person: tuple[str | None, ...] = (
        f"ZL{number:07d}",
        rng.choice(words.SURNAMES) + "".join(rng.choices(words.GIVEN, k=2)),
        rng.choice(words.POSITIONS),
        f"{rng.choice(words.MOBILE_PREFIXES)}{rng.randrange(10**8):08d}",
    )
    if rng.random() < _WITHOUT_CONTACT_SHARE:
        person = (None,) * len(person)
    if known:
        made.defects.append((f"fair_customers:{key}", "", "duplicate_other_source"))
    written = 0
    for order in _orders(key, rng):
        for line in order:
            made.fair.append((*row, *person, *line))
            written += 1
            suffix = f"~{written}" if written > 1 else ""
            made.clusters.append((f"fair_customers:{key}{suffix}", customer))
            if person[0]:
                made.clusters.append((f"fair_contacts:{person[0]}{suffix}", f"ZC{number:08d}"))


def _customer(key: str, known: Known | None, number: int, rng: Random) -> Cells:
    owner = rng.choice(words.OWNERS)
    if known:
        seller = owner if rng.random() < _OTHER_SELLER_SHARE else known.owner
        return (key, known.name, known.code, known.region, known.phone, seller, known.company)
    place, (trade, _) = rng.choice(words.PLACES), rng.choice(words.TRADES)
    brand = rng.choice(words.BRAND_FIRST) + rng.choice(words.BRAND_SECOND) + rng.choice(words.BRAND_SECOND)
    name = f"{place.name}{brand}{trade}有限公司"
    phone = f"{place.area}-8{rng.randrange(10 ** (place.local_digits - 1)):0{place.local_digits - 1}d}"
    code = credit_code(_NEW_NUMBERS + number, place.division)
    return (key, name, code, place.region, phone, owner, words.COMPANIES[0])


def _orders(key: str, rng: Random) -> list[list[Cells]]:
    """One or two orders: for each line number, day, the order's sum, and the line."""
    orders = []
    for at in range(1, rng.choice((1, 1, 2)) + 1):
        number = f"{key}-{at}"
        lines = [order_line(f"{number}-{line + 1}", rng) for line in range(rng.choice((1, 1, 2, 3)))]
        total = sum((amount for _, amount in lines), Decimal(0))
        day = (date(2026, 3, 10) + timedelta(days=rng.randrange(4))).isoformat()
        orders.append([(number, day, f"{total:.2f}", *cells) for cells, _ in lines])
    return orders


def into(business: Business, made: Others) -> None:
    """Put the ERP's list beside the other lists."""
    for cells in made.erp:
        business.add("erp_customers", *cells)

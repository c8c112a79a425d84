"""The demo project with made-up data of any size, taken through the phases that come before the measured ones."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import yaml
from psycopg import sql

from rollout.journal import people
from rollout.journal.crypto import KeyRing
from rollout.journal.store import Journal
from rollout.phases.approve import approve
from rollout.phases.cleanse import run_cleanse
from rollout.phases.context import PhaseContext
from rollout.phases.load import LoadSummary
from rollout.phases.plan import PlanSummary
from rollout.project import postgres
from rollout.project.loader import load_project
from rollout.testbed.demodata import generate

DEMO = Path(__file__).parents[1] / "demo"
SEED = 1
_FIELDS = (
    *("name", "uscc", "industry", "region", "address", "phone", "website", "level", "owner", "established_on"),
    *("employees", "annual_revenue", "legacy_no", "remark"),
)
"""Of customers. The demo has come to have more; the figures stay about the same rows."""
_PERSON = "benchmark"
_T = TypeVar("_T")


def make_company(root: Path, accounts: int, crm: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Path:
    """The demo project with ``accounts`` made-up customers and their contacts; answers its rollout.yaml.

    Args:
        root: Folder to make it in.
        accounts: Rows of customers; contacts come on top.
        crm: Given the project file as parsed, answers what stands for its system ``crm``.
    """
    document = customers_and_contacts(root)
    document["systems"] = {"legacy": document["systems"]["legacy"], "crm": crm(document)}
    path = root / "rollout.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")
    made = generate(root / "legacy", accounts=accounts, seed=SEED)
    print(f"made up: {made.accounts:,} rows of customers, {made.contacts:,} of contacts", flush=True)
    return path


def customers_and_contacts(root: Path) -> dict[str, Any]:
    """The demo's project file cut down to what the figures are about, its mappings copied below ``root``.

    Customers with the fields of `_FIELDS` from the lists of the regions, contacts with all of theirs from the contact
    list; matched by exact keys; all in one wave; nothing about systems that are of no concern here.
    """
    document = yaml.safe_load((DEMO / "rollout.yaml").read_text(encoding="utf-8"))
    for section in ("waves", "layers", "dormant", "integration", "loadtest", "operations"):
        document.pop(section, None)
    document["entities"] = {name: document["entities"][name] for name in ("account", "contact")}
    document["match"] = {name: {"keys": document["match"][name]["keys"]} for name in ("account", "contact")}
    for entity in document["entities"].values():
        entity["sources"] = [source for source in entity["sources"] if source["name"] in ("customers", "contacts")]
    account = document["entities"]["account"]
    account.pop("number", None)
    account["fields"] = {name: account["fields"][name] for name in _FIELDS}
    shutil.copytree(DEMO / "mappings", root / "mappings")
    file = root / account["sources"][0]["mapping"]
    mapping = yaml.safe_load(file.read_text(encoding="utf-8"))
    mapping["fields"] = [rule for rule in mapping["fields"] if rule["target"] in _FIELDS]
    file.write_text(yaml.safe_dump(mapping, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return document


@contextmanager
def cleansed(path: Path, url: str, turn: str, environ: Mapping[str, str]) -> Iterator[PhaseContext]:
    """The project under an id of its own, so that no turn sees another's keys and plans; cleansed, ready to plan.

    Args:
        path: Its rollout.yaml.
        url: The journal's database.
        turn: Ends the project's id.
        environ: Where the project's variables are looked up.
    """
    project = load_project(path, environ=environ)
    settings = project.spec.project.model_copy(update={"id": f"benchmark-{turn}"})
    project = dataclasses.replace(project, spec=project.spec.model_copy(update={"project": settings}))
    journal = Journal.open(url, project_id=settings.id, keys=KeyRing.parse(KeyRing.generate()))
    with PhaseContext(project=project, journal=journal) as context:
        run_cleanse(context)  # computed in the first turn, found in the stage store in all others
        yield context


def approve_plan(context: PhaseContext) -> None:
    """Approve the plan that waits for it."""
    code = people.add(context.journal, _PERSON)
    approve(context, person=_PERSON, code=code, reason="a benchmark on made-up data")


def timed(url: str, work: Callable[[], _T]) -> tuple[float, _T]:
    """Seconds that a piece of work takes, and its result; what was written before is flushed first."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
    began = time.perf_counter()
    done = work()
    return time.perf_counter() - began, done


def all_created(plan: PlanSummary, load: LoadSummary) -> int:
    """The rows of a plan and its load. RuntimeError unless both are about creating every one of them."""
    rows = sum(entity.create for entity in plan.entities.values())
    created = sum(entity.created for entity in load.entities.values())
    if not rows or created != rows or load.rows != rows or not load.closed:
        raise RuntimeError(f"planned to create {rows} rows, decided {load.rows}, created {created}: nothing to compare")
    return rows


@contextmanager
def database(server: str, name: str) -> Iterator[str]:
    """An empty database on a server, dropped afterwards; its URL."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield postgres.with_database(server, name)
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def running_postgres(folder: Path) -> Iterator[str]:
    """The embedded PostgreSQL with its normal settings (fsync on), stopped afterwards; its URL."""
    try:
        yield postgres.start(folder)
    finally:
        postgres.stop(folder)

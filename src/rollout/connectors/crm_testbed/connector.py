"""The connector to the testbed CRM."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import Field, SecretStr, ValidationError

from rollout.connectors.base import (
    AutomationRule,
    Capabilities,
    DirectoryUser,
    Op,
    RecordLink,
    RowResult,
    RowStatus,
    TargetRecord,
    WriteRow,
)
from rollout.connectors.crm_testbed import translate
from rollout.connectors.crm_testbed.transport import Transport
from rollout.connectors.reasons import Reason
from rollout.errors import ConfigError, Fatal, Retryable, RolloutError, UnsupportedOperation
from rollout.model.base import Frozen
from rollout.model.entity import TargetField, TargetSchema
from rollout.model.finding import Finding, Level

KEY_FIELD = "migration_key"
_AUTOMATION = "/api/admin/automation"
MAX_BATCH_ROWS = 200
MAX_READ_KEYS = 500


class TestbedOptions(Frozen):
    """Options of a system with ``connector: crm_testbed``."""

    base_url: str = Field(pattern=r"^https?://[^/]+$", description="Such as http://127.0.0.1:21000, without path.")
    username: str = Field(min_length=1)
    password: SecretStr = Field(min_length=1, description="As ${env:NAME}.")
    timeout_s: float = Field(default=30.0, gt=0, le=600, description="Longest wait for an answer.")
    connect_timeout_s: float = Field(default=5.0, gt=0, le=60)
    concurrency: int = Field(default=4, ge=1, le=32)
    enforces_unique: bool = Field(
        default=True, description="The CRM refuses a second record with the same migration key."
    )
    can_delete: bool = Field(default=True, description="The login may delete records; without it nothing is sent.")
    max_commit_delay_s: float = Field(
        default=0.0, ge=0, le=3600, description="How long after a call's end the CRM may still commit it."
    )
    read_your_writes_delay_s: float = Field(
        default=0.0, ge=0, le=3600, description="How long the CRM's search may lag behind what is stored."
    )
    page_rows: int = Field(default=500, ge=1, le=1000, description="Records a page when everything is read.")


class TestbedConnector:
    """All that is asked of a CRM but a feed: reading, writing, removing, links, users and rules.

    Safe to use from several threads.

    Args:
        name: The system's name in the project.
        options: See `TestbedOptions`. Raises ConfigError when they are wrong.
        base_dir: Unused; all connectors are constructed alike.
        sleep: Waits between attempts of a read, seconds.
    """

    __test__ = False  # not a test class, whatever its name suggests to pytest

    def __init__(
        self,
        *,
        name: str,
        options: Mapping[str, Any],
        base_dir: Path,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        del base_dir
        try:
            self._options = TestbedOptions.model_validate(dict(options))
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            key = ".".join(str(part) for part in first["loc"])
            raise ConfigError(
                f"{first['msg']} ({key})", where=f"systems.{name}.options", hint="correct it in rollout.yaml"
            ) from None
        self.name = name
        self.capabilities = Capabilities(
            max_batch_rows=MAX_BATCH_ROWS,
            max_read_keys=MAX_READ_KEYS,
            concurrency=self._options.concurrency,
            external_id_field=KEY_FIELD,
            enforces_unique=self._options.enforces_unique,
            conditional_update=True,
            returns_stored=True,
            call_timeout_s=self._options.timeout_s,
            max_commit_delay_s=self._options.max_commit_delay_s,
            read_your_writes_delay_s=self._options.read_your_writes_delay_s,
            can_delete=self._options.can_delete,
            suppresses_automation=True,
        )
        self._transport = Transport(
            name,
            self._options.base_url,
            (self._options.username, self._options.password.get_secret_value()),
            timeout=httpx.Timeout(self._options.timeout_s, connect=self._options.connect_timeout_s),
            sleep=sleep,
        )
        self._shapes: Mapping[str, translate.Shape] = {}
        self._headers: Mapping[str, str] = {}
        self._quiet: TestbedConnector | None = None

    # --- Connector ---

    def check(self) -> list[Finding]:
        """Log in and describe: unreachable, refused and unprepared each give a finding."""
        where = f"systems.{self.name}"
        try:
            schema = self.describe()
        except Retryable as error:
            return [
                Finding(
                    id="connector.unreachable",
                    level=Level.ERROR,
                    message=error.message,
                    where=where,
                    hint="start the CRM, or correct base_url",
                )
            ]
        except RolloutError as error:
            return [
                Finding(id="connector.refused", level=Level.ERROR, message=error.message, where=where, hint=error.hint)
            ]
        return [
            Finding(
                id="connector.migration_key_missing",
                level=Level.ERROR,
                message=f"entity '{entity}' has no unique field {KEY_FIELD}",
                where=f"{where}/{entity}",
                hint="have the CRM's administrator add it",
            )
            for entity, fields in schema.entities.items()
            if KEY_FIELD not in fields or fields[KEY_FIELD].unique is not self._options.enforces_unique
        ]

    def describe(self) -> TargetSchema:
        """The schema the CRM has now."""
        answer = self._transport.read("GET", "/api/describe")
        with self._transport.understood("/api/describe"):
            schema = TargetSchema(
                entities={
                    entity: {field["name"]: self._described(field) for field in described["fields"]}
                    for entity, described in answer["entities"].items()
                }
            )
        self._shapes = {entity: translate.shape(fields) for entity, fields in schema.entities.items()}
        return schema

    def _described(self, field: Mapping[str, Any]) -> TargetField:
        described = translate.target_field(field)
        if described.name == KEY_FIELD and not self._options.enforces_unique:
            return described.model_copy(update={"unique": False})
        return described

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    # --- TargetReader ---

    def read_by_keys(self, entity: str, migration_keys: Sequence[str]) -> Mapping[str, Sequence[TargetRecord]]:
        """Records by migration key; keys that no record holds are absent."""
        shape = self._shape(entity)
        if len(migration_keys) > MAX_READ_KEYS:
            raise UnsupportedOperation(
                f"{len(migration_keys)} keys in one read, {MAX_READ_KEYS} are allowed", where=self.name
            )
        path = f"/api/{entity}/lookup"
        answer = self._transport.read("POST", path, {"migration_keys": list(migration_keys)})
        found: dict[str, list[TargetRecord]] = {}
        with self._transport.understood(path):
            for item in answer["records"]:
                found.setdefault(item["migration_key"], []).append(translate.record(entity, shape, item))
        return found

    def read_by_ids(self, entity: str, target_ids: Sequence[str]) -> Mapping[str, TargetRecord]:
        """Records by target id; those that do not exist are absent."""
        shape = self._shape(entity)
        if len(target_ids) > MAX_READ_KEYS:
            raise UnsupportedOperation(
                f"{len(target_ids)} ids in one read, {MAX_READ_KEYS} are allowed", where=self.name
            )
        path = f"/api/{entity}/lookup"
        answer = self._transport.read("POST", path, {"ids": list(target_ids)})
        with self._transport.understood(path):
            return {item["id"]: translate.record(entity, shape, item) for item in answer["records"]}

    def links_to(self, entity: str, target_ids: Sequence[str]) -> Mapping[str, Sequence[RecordLink]]:
        """The records of all the CRM's entities that refer to these, by target id."""
        self._shape(entity)
        if len(target_ids) > MAX_READ_KEYS:
            raise UnsupportedOperation(
                f"{len(target_ids)} ids in one read, {MAX_READ_KEYS} are allowed", where=self.name
            )
        path = f"/api/{entity}/links"
        answer = self._transport.read("POST", path, {"ids": list(target_ids)})
        found: dict[str, list[RecordLink]] = {}
        with self._transport.understood(path):
            for item in answer["links"]:
                link = RecordLink(item["entity"], item["id"], item["migration_key"], item["modified_by"])
                found.setdefault(item["to"], []).append(link)
        return found

    def page_of(self, entity: str, target_id: str) -> str:
        """Where people see a record."""
        return f"{self._options.base_url}/view/{quote(entity)}/{quote(target_id, safe='')}"

    def read_all(self, entity: str) -> Iterator[TargetRecord]:
        """Every record in the order of ids, a page a call."""
        yield from self._pages(entity, "")

    def _pages(self, entity: str, condition: str) -> Iterator[TargetRecord]:
        shape = self._shape(entity)
        path = f"/api/{entity}?limit={self._options.page_rows}{condition}"
        after: str | None = ""
        while after is not None:
            answer = self._transport.read("GET", path + (f"&after={after}" if after else ""))
            with self._transport.understood(path):
                records = [translate.record(entity, shape, item) for item in answer["records"]]
                after = answer["next"]
            yield from records

    def count(self, entity: str) -> int:
        """How many records the CRM says it holds."""
        self._shape(entity)
        path = f"/api/{entity}/count"
        answer = self._transport.read("GET", path)
        with self._transport.understood(path):
            return int(answer["count"])

    # --- Remover ---

    def read_by_key_prefix(self, entity: str, prefix: str) -> Iterator[TargetRecord]:
        """Records whose migration key begins with ``prefix``, in the order of ids."""
        if not prefix:
            raise UnsupportedOperation("an empty beginning would be every record", where=self.name)
        yield from self._pages(entity, f"&key_prefix={quote(prefix, safe='')}")

    def delete(self, entity: str, target_ids: Sequence[str]) -> None:
        """Delete records, a call each; one that is gone already is done. Raises Fatal for one that others refer to."""
        self._shape(entity)
        for target_id in target_ids:
            self._transport.delete(f"/api/{entity}/{quote(target_id, safe='')}")

    # --- Directory ---

    @property
    def own_login(self) -> str:
        """The login that we work as."""
        return self._options.username

    def users(self) -> Sequence[DirectoryUser]:
        """Everybody who may log in, by login."""
        answer = self._transport.read("GET", "/api/users")
        with self._transport.understood("/api/users"):
            return [DirectoryUser(user["login"], user["role"], bool(user["active"])) for user in answer["users"]]

    # --- Automation ---

    def automation_rules(self) -> Sequence[AutomationRule]:
        """All rules, by name, with what they act on and their figures."""
        answer = self._transport.read("GET", _AUTOMATION)
        with self._transport.understood(_AUTOMATION):
            rules = [translate.rule(item) for item in answer["rules"]]
        return sorted(rules, key=lambda rule: rule.name)

    def switch_rule(self, name: str, *, on: bool) -> None:
        """Switch one rule. Raises Fatal if there is no such rule, or this login may not."""
        self._transport.read("PUT", f"/api/admin/rules/{quote(name, safe='')}", {"enabled": on})

    def automation_counts(self) -> Mapping[str, int]:
        """Runs of rules, and the todos, notifications and messages that rules made, since the CRM was set up."""
        answer = self._transport.read("GET", _AUTOMATION)
        with self._transport.understood(_AUTOMATION):
            return {name: int(count) for name, count in answer["counts"].items()}

    def quiet(self) -> TestbedConnector:
        """The same connector, but that its writes set off no rule."""
        if self._quiet is None:
            quiet = copy(self)
            quiet._headers = {"X-Suppress-Automation": "true"}  # noqa: SLF001 - it is one of us
            self._quiet = quiet._quiet = quiet  # noqa: SLF001
        return self._quiet

    # --- Writer ---

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        """One call; one outcome a row."""
        if len(rows) > MAX_BATCH_ROWS:
            raise UnsupportedOperation(f"{len(rows)} rows in one call, {MAX_BATCH_ROWS} are allowed", where=self.name)
        if len({row.migration_key for row in rows}) != len(rows):
            raise UnsupportedOperation("a migration key occurs twice in one call", where=self.name)
        if not self._options.can_delete and any(row.op in (Op.DELETE, Op.RELEASE) for row in rows):
            raise UnsupportedOperation("records are not deleted here: can_delete is false", where=self.name)
        shape = self._shape(entity)
        results: list[RowResult] = []
        sent: dict[str, dict[str, Any]] = {}
        for row in rows:
            try:
                sent[row.migration_key] = translate.to_message(shape, row)
            except ValueError as error:
                results.append(
                    RowResult(row.migration_key, RowStatus.REJECTED, row.target_id, Reason.WRONG_TYPE.value, str(error))
                )
        if sent:
            body = {"rows": list(sent.values()), "return_records": True}
            response = self._transport.send("POST", f"/api/{entity}/batch", body, write=True, headers=self._headers)
            results += translate.outcomes(entity, shape, response, sent)
        return results

    def _shape(self, entity: str) -> translate.Shape:
        """How the entity's values are written as JSON, by its fields as last described."""
        if not self._shapes:
            self.describe()
        if entity not in self._shapes:
            raise Fatal(f"the CRM has no entity '{entity}'", where=self.name, hint=f"it has: {', '.join(self._shapes)}")
        return self._shapes[entity]

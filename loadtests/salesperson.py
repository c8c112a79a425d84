"""A salesperson at work: logs in once, enters customers, looks some up, notes what was talked about."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable
from typing import Any, ClassVar

import made_up
from locust import FastHttpUser
from recorder import Recorder

from rollout.capacity.recording import LocustOptions, Sample, Stored

OK, UNAUTHORISED = 200, 401
LIST_ROWS = 20

Answer = dict[str, Any]


class Salesperson(FastHttpUser):
    """One user. Every activity is one request; what it must have achieved is read from the answer's body."""

    abstract = True
    insecure = False  # certificates are checked
    max_retries = 0

    options: ClassVar[LocustOptions]
    password: ClassVar[str]
    recorder: ClassVar[Recorder]
    numbers: ClassVar[itertools.count[int]] = itertools.count(1)
    logged_in: ClassVar[set[int]] = set()

    def on_start(self) -> None:
        """Log in; who cannot will try again before each activity."""
        self.number = next(self.numbers)
        self._rng = random.Random(self.number)  # noqa: S311 - made-up data
        self._keys = itertools.count(1)
        self._token = ""
        self._mine: list[tuple[str, str]] = []  # key and id of the customers entered
        self._log_in()

    # Activities; `mix` of the settings names them and says how often each is chosen.

    def create_account(self) -> None:
        """Enter a customer."""
        key = self._new_key()
        fields = made_up.account(self._rng, key, self.options.username)
        found = self._create("account", key, fields, "name")
        if found:
            self._mine.append((key, found))

    def create_followup(self) -> None:
        """Note a talk with a customer entered before."""
        if not self._mine:
            return self.create_account()
        key = self._new_key()
        _, account_id = self._rng.choice(self._mine)
        self._create("followup", key, made_up.followup(self._rng, key, account_id, self.options.username), "text")
        return None

    def search_account(self) -> None:
        """Look a customer entered before up by its key."""
        if not self._mine:
            return self.create_account()
        key, account_id = self._rng.choice(self._mine)

        def problem(answer: Answer) -> str:
            return "" if [record["id"] for record in answer["records"]] == [account_id] else "wrong_record"

        self._call("search_account", "POST", "/api/account/lookup", {"migration_keys": [key]}, problem)
        return None

    def open_account(self) -> None:
        """Open a customer entered before."""
        if not self._mine:
            return self.create_account()
        key, account_id = self._rng.choice(self._mine)

        def problem(answer: Answer) -> str:
            same = answer["id"] == account_id and answer["migration_key"] == key
            return "" if same else "wrong_record"

        self._call("open_account", "GET", f"/api/account/{account_id}", None, problem)
        return None

    def list_accounts(self) -> None:
        """Leaf through the customers."""
        after = f"&after={self._rng.choice(self._mine)[1]}" if self._mine else ""

        def problem(answer: Answer) -> str:
            return "" if len(answer["records"]) <= LIST_ROWS else "wrong_record"

        self._call("list_accounts", "GET", f"/api/account?limit={LIST_ROWS}{after}", None, problem)

    # What they share

    def _log_in(self) -> None:
        def problem(answer: Answer) -> str:
            self._token = str(answer["access_token"])
            self.logged_in.add(self.number)
            return ""

        credentials = {"username": self.options.username, "password": self.password}
        self._send("log_in", "POST", "/api/token", credentials, problem)

    def _create(self, entity: str, key: str, fields: dict[str, Any], known_by: str) -> str | None:
        """Store a record; answers its id if the CRM says that it is stored."""
        found: list[str] = []

        def problem(answer: Answer) -> str:
            (outcome,) = answer["outcomes"]
            if outcome["migration_key"] != key or outcome["status"] != "created" or not outcome["id"]:
                return "not_stored"
            found.append(str(outcome["id"]))
            self.recorder.write(Stored(entity, key, known_by, fields[known_by]))
            return ""

        body = {"rows": [{"migration_key": key, "op": "create", "fields": fields}]}
        self._call(f"create_{entity}", "POST", f"/api/{entity}/batch", body, problem)
        return found[0] if found else None

    def _call(self, name: str, method: str, path: str, body: Answer | None, problem: Callable[[Answer], str]) -> None:
        if not self._token:
            self._log_in()
        else:
            self._send(name, method, path, body, problem)

    def _send(self, name: str, method: str, path: str, body: Answer | None, problem: Callable[[Answer], str]) -> None:
        """One request. It succeeds if the status is 200 and ``problem`` finds none in the body."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        begun_s = self.recorder.now_s()
        with self.client.request(
            method, path, name=name, json=body, headers=headers, catch_response=True, allow_redirects=False
        ) as response:
            ended_s = self.recorder.now_s()
            error = _error(response.status_code, response.content, problem)
            if response.status_code == UNAUTHORISED:
                self._token = ""
            if error:
                response.failure(error)
            else:
                response.success()
        users = self.environment.runner.user_count
        self.recorder.write(Sample(begun_s, ended_s - begun_s, self.number, users, name, error))

    def _new_key(self) -> str:
        return f"{self.options.key_prefix}{self.number}-{next(self._keys)}"


def _error(status: int, content: bytes | str | None, problem: Callable[[Answer], str]) -> str:
    """A code for what is wrong with an answer; empty if nothing is."""
    if not status:
        return "no_answer"
    if status != OK:
        return f"http_{status}"
    try:
        return problem(json.loads(content or ""))
    except (ValueError, KeyError, TypeError):
        return "not_understood"

"""Which database is used, and what is said when it cannot be."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest

from rollout.errors import ConfigError, Fatal, Retryable
from rollout.project import postgres
from rollout.project.database import database_url
from rollout.project.workspace import Workspace


def project(root: Path) -> SimpleNamespace:
    return SimpleNamespace(workspace=Workspace(root))


def test_the_variable_names_the_journal_and_the_others_lie_beside_it(pg_url: str, tmp_path: Path) -> None:
    environ = {"ROLLOUT_DATABASE_URL": pg_url.replace("postgresql://", "postgresql+psycopg://")}
    assert database_url(project(tmp_path), environ=environ) == pg_url
    try:
        for _ in range(2):
            other = database_url(project(tmp_path), database="testbed", environ=environ)
            assert other == pg_url + "_testbed"
            psycopg.connect(other).close()
    finally:
        with psycopg.connect(pg_url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{other.rsplit("/", 1)[1]}"')
    assert not (tmp_path / "postgres").exists(), "no embedded server beside the one that is named"


def test_without_it_the_embedded_server_is_started(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        tmp_path.chmod(0o700)
    try:
        journal = database_url(project(tmp_path / "w"), environ={})
        prefect = database_url(project(tmp_path / "w"), database="prefect", environ={})
        assert journal.rsplit("/", 1)[0] == prefect.rsplit("/", 1)[0]
        for url in (journal, prefect):
            psycopg.connect(url).close()
    finally:
        postgres.stop(Workspace(tmp_path / "w").postgres)


def test_a_server_that_is_down_is_told_as_such(tmp_path: Path) -> None:
    with socket.socket() as held:  # bound, but nobody listens
        held.bind(("127.0.0.1", 0))
        url = f"postgresql://u:secret-word@127.0.0.1:{held.getsockname()[1]}/crm"
        with pytest.raises(Retryable, match="does not answer") as caught:
            database_url(project(tmp_path), environ={"ROLLOUT_DATABASE_URL": url})
    assert "secret-word" not in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_wrong_password_is_told_as_such(pg_url: str, tmp_path: Path) -> None:
    password = pg_url.split(":")[2].split("@", maxsplit=1)[0]
    with pytest.raises(Fatal, match="refuses the user or password") as caught:
        database_url(project(tmp_path), environ={"ROLLOUT_DATABASE_URL": pg_url.replace(password, "secret-word")})
    assert "secret-word" not in str(caught.value)


def test_a_missing_database_is_told_as_such(pg_url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        database_url(project(tmp_path), environ={"ROLLOUT_DATABASE_URL": pg_url + "_none"})


@pytest.mark.parametrize("url", ["mysql://u@h/d", "postgresql://h", "postgresql://h:x/d", "crm", "postgresql://[h/d"])
def test_what_is_no_url_of_a_database_is_told_as_such(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not the URL"):
        database_url(project(tmp_path), environ={"ROLLOUT_DATABASE_URL": url})

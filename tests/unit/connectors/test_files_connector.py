"""Which files make up a source, and what they are now."""

from __future__ import annotations

import hashlib

import pandas as pd
import pytest

from rollout.connectors.base import Connector, SourceReader
from rollout.connectors.files import FilesConnector
from rollout.connectors.registry import create
from rollout.errors import ConfigError, UnsupportedOperation
from rollout.mapping.spec import SourceSpec


def spec(path: str = "*.csv", **more) -> SourceSpec:
    return SourceSpec(**{"name": "s", "system": "legacy", "row_key": ("a",), "mapping": "m", "path": path, **more})


def test_it_is_found_by_name_and_speaks_the_protocols(tmp_path) -> None:
    connector = create("files", name="legacy", options={"root": "."}, base_dir=tmp_path)
    assert isinstance(connector, FilesConnector)
    assert isinstance(connector, Connector)
    assert isinstance(connector, SourceReader)
    with pytest.raises(UnsupportedOperation):
        connector.describe()
    connector.close()
    connector.close()


def test_files_are_read_in_order_each_with_its_own_columns(tmp_path) -> None:
    root = tmp_path / "legacy"
    root.mkdir()
    for name, text in {"b.csv": "a,x\n2,\n", "a.csv": "a,y\n1,q\n", "~$a.csv": "lock", "c.txt": "a\n9\n"}.items():
        (root / name).write_text(text, encoding="utf-8")
    chunks = list(FilesConnector("legacy", {"root": "legacy"}, tmp_path).read(spec(), chunk_rows=10))
    assert [chunk.frame["_file"].tolist() for chunk in chunks] == [["legacy/a.csv"], ["legacy/b.csv"]]
    assert [list(chunk.frame.columns[:2]) for chunk in chunks] == [["a", "y"], ["a", "x"]]
    for chunk in chunks:
        text = chunk.frame.drop(columns="_line")
        assert all(dtype == pd.StringDtype(na_value=float("nan")) for dtype in text.dtypes)
        assert chunk.frame["_line"].dtype == "int64"


def test_a_fingerprint_is_the_hash_of_every_file(tmp_path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a\n1\n")
    connector = FilesConnector("legacy", {}, tmp_path)
    [before] = connector.fingerprint(spec())
    assert (before.path, before.size_bytes) == ("a.csv", 4)
    assert before.sha256 == hashlib.sha256(b"a\n1\n").hexdigest()
    (tmp_path / "a.csv").write_bytes(b"a\n2\n")
    assert connector.fingerprint(spec()) != [before]


def test_no_match_names_folder_and_pattern(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"no file matches 'x/\*\.csv'") as caught:
        FilesConnector("legacy", {}, tmp_path).fingerprint(spec("x/*.csv"))
    assert str(tmp_path) in caught.value.message
    assert "put the files there" in caught.value.hint


@pytest.mark.parametrize("path", ["../secret.csv", "a/../../secret.csv", "/etc/passwd"])
def test_paths_do_not_leave_the_root(tmp_path, path) -> None:
    (tmp_path / "legacy").mkdir()
    (tmp_path / "secret.csv").write_text("a\n1\n", encoding="utf-8")
    connector = FilesConnector("legacy", {"root": "legacy"}, tmp_path)
    with pytest.raises(ConfigError, match="leaves the folder"):
        connector.fingerprint(spec(path))


def test_links_do_not_leave_the_root(tmp_path) -> None:
    (tmp_path / "legacy").mkdir()
    (tmp_path / "secret.csv").write_text("a\n1\n", encoding="utf-8")
    (tmp_path / "legacy" / "a.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(ConfigError, match=r"'legacy/a\.csv' is a link that leaves"):
        FilesConnector("legacy", {"root": "legacy"}, tmp_path).fingerprint(spec())


def test_a_source_with_a_query_is_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match="has a query"):
        FilesConnector("legacy", {}, tmp_path).fingerprint(spec(None, query="SELECT 1"))


def test_options_are_checked(tmp_path) -> None:
    with pytest.raises(ConfigError) as caught:
        FilesConnector("legacy", {"rot": "x"}, tmp_path)
    assert caught.value.where == "systems.legacy.options.rot"


def test_check_reaches_the_folder(tmp_path) -> None:
    assert FilesConnector("legacy", {}, tmp_path).check() == []
    [finding] = FilesConnector("legacy", {"root": "gone"}, tmp_path).check()
    assert finding.level == "error"
    assert finding.where.endswith("gone")

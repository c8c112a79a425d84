"""A small made-up project whose sources are CSV files that each test writes."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from rollout.connectors.files import FilesConnector
from rollout.mapping.spec import SourceSpec
from rollout.phases.cleanse import cleanse_entities
from rollout.phases.cleansed import EntityCleansing
from rollout.phases.context import Silent
from rollout.phases.past import Past
from rollout.phases.raw import RawStage, read_raw
from rollout.phases.said import Said
from rollout.phases.stages import StageStore
from rollout.project.loader import load_project

PROJECT = """
version: 1
project: {id: small, name: 小项目}
systems:
  legacy: {connector: files, options: {root: legacy}}
  crm: {connector: memory}
targets:
  test: {system: crm}
entities:
  account:
    label: 客户
    title_field: name
    fields:
      name: {type: text, required: true}
      uscc: {type: uscc}
      region: {type: picklist, picklist: [华东, 华南]}
    sources:
      - {name: east, system: legacy, path: east*.csv, row_key: [编号], mapping: mappings/account.yaml}
      - {name: south, system: legacy, path: south*.csv, row_key: [编号], mapping: mappings/south.yaml, priority: 2}
  contact:
    label: 联系人
    title_field: name
    fields:
      name: {type: text, required: true, personal: true}
      account: {type: reference, references: account}
      mobile: {type: phone, personal: true}
    sources:
      - {name: people, system: legacy, path: people.csv, row_key: [编号], mapping: mappings/contact.yaml}
cleanse: {chunk_rows: 1000}
match:
  account:
    keys: [{name: same code, fields: [uscc]}]
  contact:
    keys: [{name: same person, fields: [account, name]}]
"""
ACCOUNT = """
entity: account
source: {source}
fields:
  - {{target: name, source: 名称, transform: company_name, required: true}}
  - {{target: uscc, source: 代码}}
  - {{target: region, source: 区域, on_error: "null", transform: {{value_map: {{file: mappings/region.csv}}}}}}
"""
CONTACT = """
entity: contact
source: people
fields:
  - {target: name, source: 姓名, required: true}
  - {target: account, source: 客户, lookup: account}
  - {target: mobile, source: 手机}
"""


@dataclass
class Small:
    """The project's folder, and its cleansing without a journal."""

    root: Path

    @property
    def store(self) -> StageStore:
        return StageStore(self.root / ".rollout" / "stages")

    def write(self, file: str, header: str, *rows: str) -> None:
        with (self.root / "legacy" / file).open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([header.split("|"), *(row.split("|") for row in rows)])

    def accounts(self, *rows: str, file: str = "east.csv") -> None:
        self.write(file, "编号|名称|代码|区域", *rows)

    def people(self, *rows: str) -> None:
        self.write("people.csv", "编号|姓名|客户|手机", *rows)

    def replace(self, file: str, old: str, new: str) -> None:
        path = self.root / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def read(self, entity: str, source: int) -> RawStage:
        spec = load_project(self.root / "rollout.yaml", environ={}).spec.entities[entity].sources[source]
        return self._read_source(entity, spec)

    def cleanse(
        self, decided: Mapping[str, Said] | None = None, past: Past | None = None
    ) -> dict[str, EntityCleansing]:
        project = load_project(self.root / "rollout.yaml", environ={})
        return cleanse_entities(
            self.store,
            project,
            self._read_source,
            Silent(),
            decided=decided or {},
            today=date(2026, 7, 1),
            past=past,
        )

    def _read_source(self, entity: str, source: SourceSpec) -> RawStage:
        files = FilesConnector(name="legacy", options={"root": "legacy"}, base_dir=self.root)
        return read_raw(self.store, files, entity, source, chunk_rows=1000, progress=Silent())


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return make(tmp_path)


def make(root: Path) -> Small:
    """The project with one account a region and one contact."""
    for folder in ("legacy", "mappings"):
        (root / folder).mkdir()
    (root / "rollout.yaml").write_text(PROJECT, encoding="utf-8")
    (root / "mappings" / "account.yaml").write_text(ACCOUNT.format(source="east"), encoding="utf-8")
    (root / "mappings" / "south.yaml").write_text(ACCOUNT.format(source="south"), encoding="utf-8")
    (root / "mappings" / "contact.yaml").write_text(CONTACT, encoding="utf-8")
    (root / "mappings" / "region.csv").write_text("raw,value\n东,华东\n", encoding="utf-8")
    small = Small(root)
    small.accounts("E1|甲公司||东")
    small.accounts("S1|乙公司||华南", file="south.csv")
    small.people("P1|张三|E1|13800138000")
    return small

"""Connectors that spoil values on their way, one defect each."""

# ruff: noqa: D102 - what the methods promise is said by the protocol; what they do wrong, by each class

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rollout.connectors.base import Op, RowResult, TargetRecord, WriteRow
from rollout.connectors.memory import MemoryConnector


class ChangedRows(MemoryConnector):
    """Base of mutants that spoil rows on the way in."""

    def spoil(self, row: WriteRow) -> WriteRow | None:
        raise NotImplementedError

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        spoilt = [changed for row in rows if (changed := self.spoil(row)) is not None]
        return super().write(entity, spoilt)


class TruncatesText(ChangedRows):
    """Long text is cut without a word."""

    def spoil(self, row: WriteRow) -> WriteRow:
        return replace(row, values={name: value and value[:20] for name, value in row.values.items()})


class CutsAfterTheBasicCharacters(ChangedRows):
    """Three bytes a character: what lies beyond becomes a question mark."""

    def spoil(self, row: WriteRow) -> WriteRow:
        return replace(row, values={name: value and _basic(value) for name, value in row.values.items()})


def _basic(text: str) -> str:
    return "".join(character if character <= "\uffff" else "?" for character in text)


class AppendsWhatIsRepeated(MemoryConnector):
    """An update adds to a text what is in it already."""

    def write(self, entity: str, rows: Sequence[WriteRow]) -> Sequence[RowResult]:
        return super().write(entity, [self._appended(entity, row) for row in rows])

    def _appended(self, entity: str, row: WriteRow) -> WriteRow:
        text, target_id = row.values.get("remark"), row.target_id or ""
        record = self.read_by_ids(entity, [target_id]).get(target_id)
        if row.op is not Op.UPDATE or not text or record is None or record.values["remark"] != text:
            return row
        return replace(row, values={**row.values, "remark": f"{text}, {text}"})


class IgnoresNone(ChangedRows):
    """None is taken for "leave alone"."""

    def spoil(self, row: WriteRow) -> WriteRow:
        return replace(row, values={name: value for name, value in row.values.items() if value is not None})


class ClearsUnnamedFields(ChangedRows):
    """An update replaces the whole record."""

    def spoil(self, row: WriteRow) -> WriteRow:
        everything: dict[str, str | None] = dict.fromkeys(self.options.entities["account"])
        everything |= {"name": "cleared"}
        return replace(row, values={**everything, **row.values}) if row.op is Op.UPDATE else row


class KeepsEmptyText(MemoryConnector):
    """An empty string comes back as one."""

    def read_by_keys(self, entity: str, migration_keys: Sequence[str]) -> Mapping[str, Sequence[TargetRecord]]:
        return {
            key: [replace(r, values={n: v if v is not None else "" for n, v in r.values.items()}) for r in records]
            for key, records in super().read_by_keys(entity, migration_keys).items()
        }


VALUE_MUTANTS: tuple[type[MemoryConnector], ...] = (
    TruncatesText,
    CutsAfterTheBasicCharacters,
    AppendsWhatIsRepeated,
    IgnoresNone,
    ClearsUnnamedFields,
    KeepsEmptyText,
)
"""Each breaks one law."""

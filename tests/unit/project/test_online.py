"""The project's entities against the schema a target describes."""

from __future__ import annotations

import pytest

from rollout.model.entity import FieldSpec, FieldType, TargetField, TargetSchema
from rollout.project.online import compare_schema
from rollout.project.spec import EntitySpec


def entity(**fields: FieldSpec) -> EntitySpec:
    source = {"name": "s", "system": "x", "path": "*", "row_key": ["k"], "mapping": "m"}
    return EntitySpec(label="客户", title_field=next(iter(fields)), fields=fields, sources=[source])


def schema(**fields: dict) -> TargetSchema:
    described = {name: TargetField(name=name, **{"type": FieldType.TEXT, **field}) for name, field in fields.items()}
    return TargetSchema(entities={"account": described})


@pytest.mark.parametrize(
    ("ours", "theirs", "finding_id"),
    [
        ({"name": FieldSpec(max_length=9)}, {"name": {"max_length": 9}}, None),
        ({"name": FieldSpec()}, {"name": {}, "key": {"required": True, "unique": True}}, None),
        ({"name": FieldSpec()}, {"title": {}}, "schema.field_missing"),
        ({"name": FieldSpec(target_name="title")}, {"title": {}}, None),
        ({"name": FieldSpec()}, {"name": {"writable": False}}, "schema.read_only"),
        ({"name": FieldSpec()}, {"name": {"type": FieldType.DATE}}, "schema.type"),
        ({"name": FieldSpec()}, {"name": {"required": True}}, "schema.required"),
        ({"name": FieldSpec()}, {"name": {"max_length": 9}}, "schema.max_length"),
        ({"name": FieldSpec()}, {"name": {}, "tax_no": {"required": True}}, "schema.required_unknown"),
        (
            {"name": FieldSpec(type=FieldType.PICKLIST, picklist=("A", "B"))},
            {"name": {"type": FieldType.PICKLIST, "picklist": ("A",)}},
            "schema.picklist",
        ),
    ],
)
def test_every_difference_is_a_finding(ours: dict, theirs: dict, finding_id: str | None) -> None:
    findings = compare_schema({"account": entity(**ours)}, schema(**theirs), "crm")
    assert [finding.id for finding in findings] == ([finding_id] if finding_id else [])


def test_a_missing_entity_is_a_finding() -> None:
    [finding] = compare_schema({"lead": entity(name=FieldSpec())}, schema(name={}), "crm")
    assert (finding.id, finding.where) == ("schema.entity_missing", "crm/lead")

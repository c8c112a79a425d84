"""What only the systems themselves can tell: do they answer, and does the target have our entities and fields."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.connectors import registry
from rollout.connectors.base import Connector
from rollout.errors import Fatal, Retryable, RolloutError
from rollout.model.entity import FieldSpec, TargetField, TargetSchema
from rollout.model.finding import Finding, Level
from rollout.project.loader import Project
from rollout.project.spec import EntitySpec

UNAVAILABLE = "connector.unreachable"
"""What connectors call the finding of a system that does not answer."""


def check_systems(project: Project) -> list[Finding]:
    """Reach every system, and compare the entities with the schema of each target. Raises nothing, writes nothing."""
    findings: list[Finding] = []
    for name, system in project.spec.systems.items():
        targets = [target for target, spec in project.spec.targets.items() if spec.system == name]
        try:
            connector = registry.create(system.connector, name=name, options=system.options, base_dir=project.root)
            try:
                findings += _check(project, connector, is_target=bool(targets))
            finally:
                connector.close()
        except RolloutError as error:
            down = isinstance(error, Retryable | Fatal)
            finding_id = UNAVAILABLE if down else "connector.refused"
            where = error.where or f"systems.{name}"
            findings.append(
                Finding(id=finding_id, level=Level.ERROR, message=error.message, where=where, hint=error.hint)
            )
    return findings


def _check(project: Project, connector: Connector, *, is_target: bool) -> list[Finding]:
    findings = list(connector.check())
    if is_target and not any(finding.level is Level.ERROR for finding in findings):
        findings += compare_schema(project.spec.entities, connector.describe(), connector.name)
    return findings


def compare_schema(entities: dict[str, EntitySpec], schema: TargetSchema, system: str) -> list[Finding]:
    """Where the project's entities and a target's schema disagree. Pure."""
    findings: list[Finding] = []
    for name, entity in entities.items():
        target_name = entity.target_name or name
        fields = schema.entities.get(target_name)
        if fields is None:
            known = ", ".join(sorted(schema.entities)) or "none"
            told = f"the target has no entity '{target_name}'"
            findings.append(_error("schema.entity_missing", told, f"{system}/{name}", f"it has: {known}"))
            continue
        ours = {spec.target_name or field: (field, spec) for field, spec in entity.fields.items()}
        for target_field, (field, spec) in ours.items():
            findings += _compare_field(field, spec, fields.get(target_field), f"{system}/{name}/{field}")
        for target_field, described in fields.items():
            if described.required and described.writable and target_field not in ours and not described.unique:
                told = f"the target requires '{target_field}', which the project does not have"
                hint = "add it to the entity and its mapping"
                findings.append(_error("schema.required_unknown", told, f"{system}/{name}", hint))
    return findings


def _compare_field(name: str, spec: FieldSpec, described: TargetField | None, where: str) -> Iterator[Finding]:
    if described is None:
        hint = "add it to the target, set `target_name`, or remove it here"
        yield _error("schema.field_missing", f"the target has no field '{spec.target_name or name}'", where, hint)
        return
    if not described.writable:
        yield _error("schema.read_only", f"the target's field '{described.name}' cannot be written", where, "remove it")
    if described.type is not spec.type:
        told = f"'{name}' is {spec.type} here and {described.type} in the target"
        yield Finding(id="schema.type", level=Level.WARNING, message=told, where=where, hint="make them agree")
    if described.required and not spec.required:
        told = f"the target requires '{name}', the project does not: rows without it will be rejected"
        yield Finding(id="schema.required", level=Level.WARNING, message=told, where=where, hint="set `required: true`")
    if described.max_length is not None and (spec.max_length is None or spec.max_length > described.max_length):
        told = f"the target keeps {described.max_length} characters of '{name}', the project allows more"
        hint = f"set `max_length: {described.max_length}`"
        yield Finding(id="schema.max_length", level=Level.WARNING, message=told, where=where, hint=hint)
    missing = [value for value in spec.picklist if described.picklist and value not in described.picklist]
    if missing:
        told = f"the target's pick-list of '{name}' lacks: {', '.join(missing)}"
        yield _error("schema.picklist", told, where, "add them to the target, or map them to values it has")


def _error(finding_id: str, message: str, where: str, hint: str) -> Finding:
    return Finding(id=finding_id, level=Level.ERROR, message=message, where=where, hint=hint)

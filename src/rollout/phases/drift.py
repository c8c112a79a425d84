"""What a plan rests on, and what of it is no longer so (promise 2)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import rollout
from rollout.connectors.base import Connector
from rollout.journal import pair_decisions
from rollout.journal.crypto import canonical_json
from rollout.phases.context import PhaseContext
from rollout.phases.said import said
from rollout.project.resolve import names_a_secret


def source_inputs(context: PhaseContext) -> dict[str, Any]:
    """What cleansing rests on, as digests: the sources' files or results, and the rules of every entity."""
    spec = context.project.spec
    sources = {}
    for entity in spec.entities.values():
        for source in entity.sources:
            prints = context.source(source.system).fingerprint(source)
            sources[source.name] = {item.path: item.sha256 for item in prints}
    return {"sources": sources, "rules": {name: rules_digest(context, name) for name in spec.entities}}


def rules_digest(context: PhaseContext, entity: str) -> str:
    """The digest of an entity's rules, and of what people said about its rows."""
    decided = said(context.journal, entity)
    declared = context.project.rules_digest(entity)
    return hashlib.sha256(canonical_json([declared, decided.digest])).hexdigest() if decided else declared


def plan_inputs(context: PhaseContext, target_name: str, target: Connector, wave: str) -> dict[str, Any]:
    """Everything a plan rests on: that, which target it is and its schema, and the version that made it.

    And what people said of records that the target held before: a plan adopts them, or does not, by their word.
    """
    order = context.project.spec.load_order
    return {
        **source_inputs(context),
        **target_inputs(context, target_name, target, wave, order),
        "adoptions": {name: _adoptions_digest(context, target_name, name) for name in order},
    }


def _adoptions_digest(context: PhaseContext, target_name: str, entity: str) -> str:
    """A hash of what people said of pairs with records of the target."""
    journal = context.journal
    with journal.transaction() as connection:
        newest = pair_decisions.newest(connection, journal.project_id, entity)
    told = sorted(pair_decisions.about_target(newest, target_name))
    return hashlib.sha256(canonical_json(told)).hexdigest()


def target_inputs(
    context: PhaseContext, target_name: str, target: Connector, wave: str, order: Sequence[str]
) -> dict[str, Any]:
    """What a plan rests on besides sources and rules. One that takes back needs neither: it may outlive both."""
    schema = target.describe().model_dump(mode="json", exclude_defaults=True)
    return {
        "order": list(order),
        "wave": wave,
        "target": _target_identity(context, target_name),
        "target_schema": hashlib.sha256(canonical_json(schema)).hexdigest(),
        "minor_version": minor_version(rollout.__version__),
    }


def _target_identity(context: PhaseContext, target_name: str) -> dict[str, str]:
    """Which system a target's name stands for now. Its options count without secrets: a new password is no new CRM."""
    spec = context.project.spec
    system = spec.targets[target_name].system
    options = {name: value for name, value in spec.systems[system].options.items() if not names_a_secret(name)}
    return {
        "name": target_name,
        "system": system,
        "connector": spec.systems[system].connector,
        "options": hashlib.sha256(canonical_json(options)).hexdigest(),
    }


def minor_version(version: str) -> str:
    """`1.4.2` → `1.4`: plans are kept within a minor version."""
    return ".".join(version.split(".")[:2])


def drifted(planned: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What changed since the plan, in words; empty when nothing did."""
    changes = []
    for source in sorted({*planned["sources"], *now["sources"]}):
        before, after = planned["sources"].get(source, {}), now["sources"].get(source, {})
        files = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
        if files:
            changes.append(f"source '{source}' ({', '.join(files)})")
    changes += [
        f"mapping or rules of '{entity}'"
        for entity in sorted({*planned["rules"], *now["rules"]})
        if planned["rules"].get(entity) != now["rules"].get(entity)
    ]
    adopted, adopting = planned.get("adoptions", {}), now.get("adoptions", {})
    changes += [
        f"which records of '{entity}' people call the same as ones that the target held before"
        for entity in sorted({*adopted} & {*adopting})
        if adopted[entity] != adopting[entity]
    ]
    if planned["target"] != now["target"]:
        changes.append(f"what target '{planned['target']['name']}' stands for (its system or address)")
    if planned["order"] != now["order"]:
        changes.append("the entities or their order")
    if planned["target_schema"] != now["target_schema"]:
        changes.append("the target's schema")
    if planned["minor_version"] != now["minor_version"]:
        changes.append(f"crm-rollout ({planned['minor_version']} → {now['minor_version']})")
    return changes

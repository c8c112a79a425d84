"""What a plan rests on, and what of it is no longer so (promise 2)."""

from __future__ import annotations

import hashlib
from typing import Any

import rollout
from rollout.connectors.base import Connector
from rollout.journal.crypto import canonical_json
from rollout.phases.context import PhaseContext


def source_inputs(context: PhaseContext) -> dict[str, Any]:
    """What cleansing rests on, as digests: the sources' files or results, and the rules of every entity."""
    spec = context.project.spec
    sources = {}
    for entity in spec.entities.values():
        for source in entity.sources:
            prints = context.source(source.system).fingerprint(source)
            sources[source.name] = {item.path: item.sha256 for item in prints}
    return {"sources": sources, "rules": {name: context.project.rules_digest(name) for name in spec.entities}}


def plan_inputs(context: PhaseContext, target: Connector) -> dict[str, Any]:
    """Everything a plan rests on: that, the target's schema, and the version that made it."""
    schema = target.describe().model_dump(mode="json", exclude_defaults=True)
    return {
        **source_inputs(context),
        "target_schema": hashlib.sha256(canonical_json(schema)).hexdigest(),
        "minor_version": minor_version(rollout.__version__),
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
    if planned["target_schema"] != now["target_schema"]:
        changes.append("the target's schema")
    if planned["minor_version"] != now["minor_version"]:
        changes.append(f"crm-rollout ({planned['minor_version']} → {now['minor_version']})")
    return changes

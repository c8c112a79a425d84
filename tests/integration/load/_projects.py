"""The tiny project with other rules: what a bench's project file would say besides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rollout.mapping.spec import MappingSpec


def with_rules(bench: Any, *, target: dict[str, Any] | None = None, **entities: dict[str, Any]) -> None:
    """Give a bench further settings of its target, and further rules by entity; ``keys`` and ``model`` are those of matching."""
    project = bench.context.project
    document = project.spec.model_dump()
    document["targets"]["test"] |= target or {}
    document["match"] = {
        name: {part: rules.pop(part) for part in ("keys", "model") if part in rules}
        for name, rules in entities.items()
        if "keys" in rules
    }
    for name, rules in entities.items():
        document["entities"][name] |= rules
    mappings = {
        (name, source.name): MappingSpec.model_validate(
            {"entity": name, "source": source.name, "fields": [{"target": "name", "source": "k"}]}
        )
        for name, entity in project.spec.entities.items()
        for source in entity.sources
    }
    spec = type(project.spec).model_validate(document)
    bench.context = replace(bench.context, project=replace(project, spec=spec, mappings=mappings))

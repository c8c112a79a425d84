"""JSON schemas of the files people write, generated from the models that read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rollout.errors import ConfigError
from rollout.mapping.spec import MappingSpec
from rollout.mapping.transforms import TRANSFORMS
from rollout.project.resolve import ENVIRONMENTS
from rollout.project.spec import ProjectSpec

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def project_schema() -> dict[str, Any]:
    """Schema of `rollout.yaml`, with the overlays that the loader takes away before it validates."""
    schema = _schema(ProjectSpec, "crm-rollout project file")
    schema["properties"][ENVIRONMENTS] = {
        "type": "object",
        "description": "Overlays by name, chosen with --env: the keys that differ. Mappings merge, all else replaces.",
        "additionalProperties": {"type": "object"},
    }
    return schema


def mapping_schema() -> dict[str, Any]:
    """Schema of a mapping file, with the short forms of `transform`."""
    schema = _schema(MappingSpec, "crm-rollout mapping file")
    names = {name: transform.summary for name, transform in TRANSFORMS.items()}
    step = {
        "anyOf": [
            {"enum": list(names), "description": "; ".join(f"{name}: {told}" for name, told in names.items())},
            {"type": "object", "propertyNames": {"enum": list(names)}, "minProperties": 1, "maxProperties": 1},
            {"$ref": "#/$defs/TransformStep"},
        ]
    }
    schema["$defs"]["MappingRule"]["properties"]["transform"] = {
        "description": "Named transforms, applied in order.",
        "anyOf": [step, {"type": "array", "items": step}],
    }
    return schema


def write_schemas(directory: Path) -> list[Path]:
    """Write both schemas into a folder; answers the files."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        files = {"rollout.schema.json": project_schema(), "mapping.schema.json": mapping_schema()}
        for name, schema in files.items():
            text = json.dumps(schema, ensure_ascii=False, indent=2) + "\n"
            (directory / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"the schemas cannot be written ({error.strerror})", where=str(directory)) from error
    return [directory / name for name in files]


def _schema(model: Any, title: str) -> dict[str, Any]:
    return {"$schema": DIALECT, **model.model_json_schema(), "title": title}

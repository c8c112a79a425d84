"""A project file as small as can be, for tests of what its other sections say."""

from __future__ import annotations

from rollout.project.spec import ProjectSpec


def project(**sections):
    field = {"name": {"required": True}}
    source = {"name": "s", "system": "legacy", "path": "x.csv", "row_key": ["k"], "mapping": "x.yaml"}
    return ProjectSpec.model_validate(
        {
            "project": {"id": "p", "name": "P"},
            "systems": {"legacy": {"connector": "files"}},
            "targets": {"test": {"system": "legacy"}},
            "entities": {"account": {"label": "客户", "title_field": "name", "fields": field, "sources": [source]}},
            **sections,
        }
    )

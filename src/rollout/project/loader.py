"""Load and check a project: `rollout.yaml`, its mapping files, its workspace."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from rollout.errors import ConfigError
from rollout.mapping.spec import MappingSpec
from rollout.mapping.transforms import code_map_files, value_map_files
from rollout.model.finding import Finding, Level, has_errors
from rollout.project.check import check_mapping, check_spec
from rollout.project.check_data import check_numbers
from rollout.project.local_env import read_local_env
from rollout.project.locate import find_project, workspace_of
from rollout.project.resolve import clear_secrets, resolve_variables, select_environment
from rollout.project.spec import ProjectSpec
from rollout.project.validate import validate
from rollout.project.workspace import Workspace
from rollout.project.yamlfile import read_yaml

__all__ = ["Project", "check_project", "find_project", "load_draft", "load_project"]

_YET_TO_COME = ("mapping.file_missing", "mapping.required_unmapped")
"""What a project lacks whose mappings are still to be made."""

# What people read or tune later, and what decides no row's content.
_COSMETIC_FIELD = {"label": True, "personal": True, "verify": True}
_COSMETIC_ENTITY: Any = {"label": True, "label_en": True, "fields": {"__all__": _COSMETIC_FIELD}}
_COSMETIC_MAPPING: Any = {"fields": {"__all__": {"note": True, "confirmed_by": True, "confirmed_on": True}}}


@dataclass(frozen=True)
class Project:
    """A project that holds together."""

    spec: ProjectSpec
    path: Path
    """Its `rollout.yaml`, absolute."""
    root: Path
    """The folder of `rollout.yaml`; every path in the project starts here."""
    mappings: Mapping[tuple[str, str], MappingSpec]
    """By (entity, source name)."""
    workspace: Workspace
    env: str | None = None

    def rules_digest(self, entity: str | None = None) -> str:
        """SHA-256 (hex) of everything but the sources' files that decides what rows become.

        Labels, notes, gates, systems and secrets are left out: changing them changes no row.

        Args:
            entity: Only the rules of this entity; None: of all.
        """
        names = [entity] if entity else list(self.spec.entities)
        mappings = {key: mapping for key, mapping in self.mappings.items() if key[0] in names}
        spec = self.spec
        rules = {
            "phone_region": spec.project.phone_region,
            "time_zone": spec.project.time_zone,
            "placeholders": spec.cleanse.placeholders,
            "owner_map": spec.owner_map.model_dump(mode="json") if spec.owner_map else None,
            "entities": {name: spec.entities[name].model_dump(mode="json", exclude=_COSMETIC_ENTITY) for name in names},
            "dormant": {name: spec.dormant[name].model_dump(mode="json") for name in names if name in spec.dormant},
            "match": {name: spec.match[name].model_dump(mode="json") for name in names if name in spec.match},
            "mappings": {
                f"{name}/{source}": mapping.model_dump(mode="json", exclude=_COSMETIC_MAPPING)
                for (name, source), mapping in mappings.items()
            },
            # A wave's label decides nothing; its name and filter decide in which part of the rollout a row is.
            "waves": [[wave.name, {name: wave.where.get(name) for name in names}] for wave in spec.waves],
            "files": {file: _sha256(self.root / file) for file in self._rule_files(mappings.values())},
        }
        return hashlib.sha256(json.dumps(rules, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def _rule_files(self, mappings: Any) -> list[str]:
        steps = [step for mapping in mappings for rule in mapping.fields for step in rule.transform]
        files = {*value_map_files(steps), *code_map_files(steps)}
        if self.spec.owner_map:
            files.add(self.spec.owner_map.file)
        return sorted(files)


def load_project(path: Path, *, env: str | None = None, environ: Mapping[str, str] | None = None) -> Project:
    """Load a project that is whole.

    Args:
        path: Its `rollout.yaml`.
        env: Overlay of `environments:` to apply.
        environ: Where `${env:NAME}` is looked up; default: the process's environment. Beneath it lie the variables
            that the workspace keeps (`rollout.project.local_env`).

    Raises:
        ConfigError: Listing every error that `check_project` finds.
    """
    project, findings = _read(path.absolute(), env, os.environ if environ is None else environ)
    return _refuse(path, findings) if project is None or has_errors(findings) else project


def _refuse(path: Path, findings: Sequence[Finding]) -> NoReturn:
    errors = [finding for finding in findings if finding.level is Level.ERROR]
    if len(errors) == 1:
        raise ConfigError(errors[0].message, where=errors[0].where, hint=errors[0].hint)
    listed = "".join(
        f"\n  {error.where}: {error.message}{f' → {error.hint}' if error.hint else ''}" for error in errors
    )
    raise ConfigError(f"the project has {len(errors)} errors:{listed}", where=str(path))


def load_draft(path: Path, *, env: str | None = None, environ: Mapping[str, str] | None = None) -> Project:
    """Load a project whose mappings are still to be made: files and rules of required fields may be missing.

    Raises:
        ConfigError: Listing every other error.
    """
    environ = os.environ if environ is None else environ
    project, findings = _read(path.absolute(), env, environ, tolerated=_YET_TO_COME)
    if project is None:
        return _refuse(path, [finding for finding in findings if finding.id not in _YET_TO_COME])
    return project


def check_project(path: Path, *, env: str | None = None, environ: Mapping[str, str] | None = None) -> list[Finding]:
    """Every finding about a project, all at once, with file and line. Never raises for bad input; changes nothing."""
    return _read(path.absolute(), env, os.environ if environ is None else environ)[1]


def _read(
    path: Path, env: str | None, environ: Mapping[str, str], *, tolerated: Collection[str] = ()
) -> tuple[Project | None, list[Finding]]:
    root = path.parent
    document = read_yaml(path, path.name)
    if document.findings:
        return None, document.findings
    findings = clear_secrets(document)
    findings += select_environment(document, env)
    workspace = workspace_of(document, root)
    try:
        environ = {**read_local_env(workspace.root), **environ}
    except ConfigError as error:
        findings.append(
            Finding(
                id="project.local_env", level=Level.ERROR, message=error.message, where=error.where, hint=error.hint
            )
        )
    findings += resolve_variables(document, environ)
    spec, invalid = validate(document, ProjectSpec)
    findings += invalid
    if spec is None:
        return None, findings
    findings += check_spec(spec, document, root)
    mappings: dict[tuple[str, str], MappingSpec] = {}
    for name, entity in spec.entities.items():
        for index, source in enumerate(entity.sources):
            if not (root / source.mapping).is_file():
                told = f"the mapping file '{source.mapping}' does not exist"
                place = ("entities", name, "sources", index, "mapping")
                hint = "make it, or correct the path; it is relative to the folder of rollout.yaml"
                findings.append(document.error("mapping.file_missing", told, place, hint=hint))
                continue
            mapping, told_of_it = _read_mapping(spec, name, source.name, root, source.mapping)
            findings += told_of_it
            if mapping is not None:
                mappings[name, source.name] = mapping
    findings += check_numbers(spec, mappings, document)
    if has_errors([finding for finding in findings if finding.id not in tolerated]):
        return None, findings
    return Project(spec, path, root, mappings, workspace, env), findings


def _read_mapping(
    spec: ProjectSpec, entity: str, source: str, root: Path, file: str
) -> tuple[MappingSpec | None, list[Finding]]:
    document = read_yaml(root / file, file)
    if document.findings:
        return None, document.findings
    mapping, findings = validate(document, MappingSpec)
    if mapping is None:
        return None, findings
    return mapping, [*findings, *check_mapping(spec, entity, source, mapping, document, root)]


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

"""In which order entities are loaded, so that parents are there before their children."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rollout.project.spec import ProjectSpec


def load_order(spec: ProjectSpec) -> tuple[str, ...]:
    """Entities in the project's order, parents first.

    An optional reference that closes a cycle is left out: a load sets it in a second step, once all records are there.

    Raises:
        ValueError: Required references and ``depends_on`` alone make a cycle; the message names it.
    """
    for name, entity in spec.entities.items():
        if any(parent == name and entity.fields[field].required for field, parent in entity.references.items()):
            raise ValueError(f"cyclic references: {name} → {name}, by a required field")
    return _visited(parents_of(spec))


def parents_of(spec: ProjectSpec) -> dict[str, list[str]]:
    """By entity those that are loaded before it: declared, required, and optional ones that close no cycle."""
    parents: dict[str, list[str]] = {}
    for name, entity in spec.entities.items():
        required = [parent for field, parent in entity.references.items() if entity.fields[field].required]
        named = dict.fromkeys((*entity.depends_on, *required))
        parents[name] = [parent for parent in named if parent in spec.entities and parent != name]
    for name, entity in spec.entities.items():
        for parent in entity.references.values():
            if parent in parents and parent not in parents[name] and not _leads_to(parents, parent, name):
                parents[name].append(parent)
    return parents


def _visited(parents: Mapping[str, list[str]]) -> tuple[str, ...]:
    """Everybody behind their parents. Raises ValueError naming a cycle."""
    order: list[str] = []
    path: list[str] = []

    def visit(name: str) -> None:
        if name in order:
            return
        if name in path:
            raise ValueError("cyclic depends_on: " + " → ".join([*path[path.index(name) :], name]))
        path.append(name)
        for parent in parents[name]:
            visit(parent)
        path.pop()
        order.append(name)

    for name in parents:
        visit(name)
    return tuple(order)


def _leads_to(parents: Mapping[str, list[str]], start: str, end: str) -> bool:
    """Whether ``start`` is ``end``, or must be loaded after it."""
    seen, todo = {start}, [start]
    while todo:
        name = todo.pop()
        if name == end:
            return True
        fresh = [parent for parent in parents[name] if parent not in seen]
        seen.update(fresh)
        todo += fresh
    return False

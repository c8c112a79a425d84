"""Whether the targets that are to be loaded after another can be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rollout.model.finding import Finding
from rollout.project.spec import ProjectSpec, TargetSpec
from rollout.project.yamlfile import Document, Place


def check_targets(spec: ProjectSpec, document: Document) -> Iterator[Finding]:
    """`after` names another target, on a system of its own, and never leads back."""
    for name, target in spec.targets.items():
        if target.after is None:
            continue
        place: Place = ("targets", name, "after")
        before = spec.targets.get(target.after)
        if before is None:
            told = f"no target is called '{target.after}'"
            yield document.error("project.target_unknown", told, place, hint=f"known: {', '.join(spec.targets)}")
        elif name in _before(spec.targets, name):
            told = f"'{name}' would be loaded after itself: {' → '.join([name, *_before(spec.targets, name)])}"
            yield document.error("project.target_cycle", told, place, hint="remove one of these `after`")
        elif before.system == target.system:
            told = f"'{name}' and '{target.after}' are the same system: loading one would prove nothing of the other"
            yield document.error("project.target_same", told, place, hint="give the test target a system of its own")


def _before(targets: Mapping[str, TargetSpec], name: str) -> list[str]:
    """The targets that must be loaded before one, nearest first; ends where it would go round."""
    found: list[str] = []
    following = targets[name].after
    while following is not None and following in targets and following not in found:
        found.append(following)
        following = targets[following].after
    return found

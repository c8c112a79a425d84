"""What people see of a run in the Prefect UI: texts in the project's languages, links to reports, errors. Masked."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import quote

from prefect.artifacts import create_link_artifact, create_markdown_artifact

from rollout.errors import RolloutError
from rollout.phases.context import PhaseContext
from rollout.project.spec import Language

REPORTS_URL = "ROLLOUT_REPORTS_URL"
"""Environment variable: where the workspace's reports folder is served, without a final slash."""


def key(*words: str) -> str:
    """An artifact key of lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-")


def publish(context: PhaseContext, words: tuple[str, ...], description: str, render: Callable[[Language], str]) -> None:
    """What `render` says in each of the project's languages, one after the other.

    Args:
        context: The phase's context.
        words: Of the artifact's key; the same from run to run, so that the UI shows them as versions of one thing.
        description: What lists of artifacts show.
        render: Gives Markdown in one language.
    """
    languages = context.project.spec.project.languages
    publish_text(context, words, description, "\n\n".join(render(language) for language in languages))


def publish_text(context: PhaseContext, words: tuple[str, ...], description: str, text: str) -> None:
    """A Markdown text that speaks all languages at once."""
    create_markdown_artifact(text, key=key(context.project.spec.project.id, *words), description=description)


def publish_reports(context: PhaseContext, files: Iterable[str]) -> None:
    """Links to a phase's documents; a workbook beside a document of its name has a link of its own."""
    for file in map(Path, files):
        kind = () if file.suffix == ".html" else (file.suffix.removeprefix("."),)
        publish_link(context, ("report", file.stem, *kind), str(file))


def publish_link(context: PhaseContext, words: tuple[str, ...], file: str) -> None:
    """A link that opens a file in the browser: over HTTP where reports are served, else the file itself.

    Args:
        context: The phase's context.
        words: Of the artifact's key, as for `publish`.
        file: Path, absolute or relative to the workspace.
    """
    workspace = context.project.workspace
    path = workspace.root / file
    served = os.environ.get(REPORTS_URL)
    create_link_artifact(
        link=f"{served}/{quote(path.relative_to(workspace.reports).as_posix())}" if served else path.as_uri(),
        link_text=path.name,
        key=key(context.project.spec.project.id, *words),
        description=f"报告 · Report {path.name}",
    )


def publish_error(error: RolloutError) -> None:
    """What went wrong, where, and what to do next."""
    create_markdown_artifact(
        f"## {type(error).__name__}\n\n{error.message}\n\n"
        f"- 位置 · where: `{error.where or '–'}`\n- 下一步 · next: {error.hint or '–'}\n",
        key="error",
        description=error.message,
    )

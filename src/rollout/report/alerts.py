"""Alerts as people read them in a chat: a title and a line for each incident, in the project's first language."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from rollout.model.base import Frozen
from rollout.project.spec import Language
from rollout.report.messages import Messages, messages

MAX_LINES = 30
"""Incidents listed in one message; the rest is counted."""


class AlertItem(Frozen):
    """An incident to tell of."""

    key: str
    message: str
    lasted: timedelta = timedelta()
    """Since it was opened; of one that is over until its end."""
    occurrences: int = 1
    is_reminder: bool = False
    was_told: bool = True
    """Of one that is over: whether its alert got through."""


def incident_name(t: Messages, key: str) -> str:
    """What an incident is called: its kind, and what it is about. Keys are ``family:kind:subject``."""
    family, kind, subject = (*key.split(":", 2), "", "")[:3]
    name = t.word("incident", f"{family}.{kind}")
    return f"{name} · {subject}" if subject else name


def render_alert(items: Sequence[AlertItem], project: str, language: Language) -> tuple[str, str]:
    """Title and text of the message about what is wrong."""
    t = messages(language)

    def line(item: AlertItem) -> str:
        told = f"● {incident_name(t, item.key)}: {item.message}"
        if not item.is_reminder:
            return told
        return f"{told} {t('alert.reminder', span=span(t, item.lasted), times=item.occurrences)}"

    return t("alert.title", project=project, count=len(items)), _lines(t, items, line)


def render_recovery(items: Sequence[AlertItem], project: str, language: Language) -> tuple[str, str]:
    """Title and text of the message about what is over."""
    t = messages(language)

    def line(item: AlertItem) -> str:
        told = f"✓ {incident_name(t, item.key)} {t('alert.lasted', span=span(t, item.lasted))}"
        return told if item.was_told else f"{told} {t('alert.untold')}: {item.message}"

    return t("alert.recovery_title", project=project, count=len(items)), _lines(t, items, line)


def span(t: Messages, length: timedelta) -> str:
    """A length of time in its two largest units."""
    minutes = max(0, round(length.total_seconds() / 60))
    hours, rest = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return t("alert.days", days=days, hours=hours)
    return t("alert.hours", hours=hours, minutes=rest) if hours else t("alert.minutes", minutes=rest)


def _lines(t: Messages, items: Sequence[AlertItem], line: Callable[[AlertItem], str]) -> str:
    lines = [line(item) for item in items[:MAX_LINES]]
    if len(items) > MAX_LINES:
        lines.append(t("alert.more", count=len(items) - MAX_LINES))
    return "\n".join(lines)

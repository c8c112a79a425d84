"""Documents as one self-contained HTML file: Jinja2 with autoescape, one stylesheet, inline SVG, no address outside."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined

from rollout.project.spec import Language
from rollout.report import figures
from rollout.report.messages import messages


def render(template: str, language: Language, **values: Any) -> str:
    """Fill a template. The same values give the same bytes.

    Args:
        template: Name of a file in ``templates``.
        language: Chooses the catalogue.
        values: What the template names; a name it misses is an error.
    """
    return _environment().get_template(template).render(t=messages(language), lang=language, **values) + "\n"


def moment(at: datetime, time_zone: str) -> str:
    """An instant in the project's time zone, with the zone's offset."""
    local = at.astimezone(ZoneInfo(time_zone))
    offset = local.strftime("%z")
    return f"{local:%Y-%m-%d %H:%M} (UTC{offset[:3]}:{offset[3:]})"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("rollout.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=figures.number,
        share=figures.share,
        ratio=figures.ratio,
        moment=moment,
        stacked=figures.stacked,
        seconds=figures.seconds,
        points=figures.points,
        short=figures.short,
    )
    return environment

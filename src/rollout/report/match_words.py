"""Why a model weighs a pair as it does, in people's words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from rollout.match.comparisons import LEVEL_KEYS

BOOK_KEYS = LEVEL_KEYS


def why_lines(why: str, labels: Mapping[str, str], t: Callable[[str], str]) -> list[str]:
    """What spoke for and against two records being the same, strongest first: ``电话:电话相同 (+13.2)``.

    Args:
        why: As `rollout.match.weigh.Pairs` tells it: JSON, [[field, level, weight], ...].
        labels: What people call the fields.
        t: Looks up a key of the message catalogue.
    """
    return [
        f"{labels.get(field, field)}: {t(f'level.{level}')} ({weight:+.1f})" for field, level, weight in json.loads(why)
    ]

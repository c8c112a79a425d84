"""The demo's project file cut down to customers and contacts: for tests of what does not depend on how much there is."""

from __future__ import annotations

import re

_OTHER_SOURCES = (
    r"^(?:      # .*\n)*      - name: (?:erp_customers|fair_customers|fair_contacts)\b.*\n(?:        .*\n)+"
)
_OTHER_ENTITIES = r"^  product:\n(?:(?:  .*)?\n)+?(?=cleanse:)"
_DORMANT = r"^# .*\ndormant:\n(?:  .*\n)+"
_OTHER_WAVES = r"^      (?:campaign|product): \{.*\n"
_LAYERS = r"^(?:# .*\n)*layers:\n(?:  .*\n)+"
_MODEL = r"^(?:    # .*\n)*    (?:model|guards):\n(?:      .*\n)+"


def core(text: str) -> str:
    """Account and contact alone, from the regions' lists and the contact list, matched by exact keys, nobody dormant."""
    for pattern in (_OTHER_SOURCES, _OTHER_ENTITIES, _DORMANT, _OTHER_WAVES, _LAYERS, _MODEL):
        text, count = re.subn(pattern, "", text, flags=re.MULTILINE)
        assert count, f"the demo's project file has nothing like {pattern}"
    return text

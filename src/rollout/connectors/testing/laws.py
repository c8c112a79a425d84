"""All laws. Importing a module of laws declares them."""

from __future__ import annotations

from rollout.connectors.testing import (  # noqa: F401 - declares their laws
    changing,
    creating,
    failing,
    reading,
    removing,
    undoing,
)
from rollout.connectors.testing.harness import Law
from rollout.connectors.testing.law import declared

LAWS: tuple[Law, ...] = declared()

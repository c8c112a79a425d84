"""All laws. Importing a module of laws declares them."""

from __future__ import annotations

from rollout.connectors.testing import changing, creating, failing, reading, removing  # noqa: F401 - declares their laws
from rollout.connectors.testing.harness import Law
from rollout.connectors.testing.law import declared

LAWS: tuple[Law, ...] = declared()

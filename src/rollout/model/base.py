"""The base of every declarative model: frozen, and nothing unknown passes silently."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A value object. Unknown keys are errors; instances cannot be changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

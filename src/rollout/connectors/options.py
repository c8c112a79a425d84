"""Options of a system, validated by the connector's model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from rollout.errors import ConfigError

Options = TypeVar("Options", bound=BaseModel)


def validated(model: type[Options], system: str, options: Mapping[str, Any]) -> Options:
    """The options as the model has them. Raises ConfigError naming the first that is wrong, never its value."""
    try:
        return model.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"{first['msg']} ({key})", where=f"systems.{system}.options", hint="correct it in rollout.yaml"
        ) from None

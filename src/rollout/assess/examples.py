"""How a profile shows what it saw: examples masked, patterns readable. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from rollout.model import masking
from rollout.model.entity import FieldSpec, FieldType


def masker(spec: FieldSpec | None, *, people: bool = False) -> Callable[[str], str]:
    """How examples of a field are masked, personal or not: a column may hold anything, whatever it is mapped to.

    Args:
        spec: The field; None: the column is not mapped.
        people: Whether it names colleagues, such as a salesperson.
    """
    if people:
        return masking.mask_name
    if spec is None:
        return masking.mask_generic
    match spec.type:
        case FieldType.PHONE:
            return masking.mask_phone
        case FieldType.EMAIL:
            return masking.mask_email
        case FieldType.USCC:
            return masking.mask_uscc
        case FieldType.DATE | FieldType.DATETIME:
            return masking.mask_date
        case FieldType.TEXT if spec.personal:
            return masking.mask_name
        case _:
            return masking.mask_generic


def readable(pattern: str) -> str:
    """Long runs of digits as ``9{11}``, line breaks and the like as ``↵``."""
    return re.sub(r"9{5,}", lambda run: f"9{{{len(run.group())}}}", re.sub(r"[\x00-\x1f]+", "↵", pattern))

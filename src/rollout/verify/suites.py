"""Great Expectations, guarded. The only module that imports it (4 to 5 s, 220 MB).

On its own, an empty suite and a frame without rows both pass, an expectation that is declared twice is dropped without
a word, and one that raised is merely "not successful". Here such a run is an error or inconclusive, never a success.
"""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from rollout.errors import ConfigError
from rollout.model.entity import FieldSpec, FieldType
from rollout.verify.reconcile import Status
from rollout.verify.results import ExpectationOutcome, SuiteResult

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read when it is imported
with warnings.catch_warnings():
    warnings.filterwarnings(
        "ignore", message=r"module 'sre_(constants|parse)' is deprecated", category=DeprecationWarning
    )
    import great_expectations as gx
    import great_expectations.expectations as gxe

KEY = "_migration_key"
_KEYS_SHOWN = 20

FORMATS: Mapping[FieldType, str] = {
    FieldType.INTEGER: r"^-?(0|[1-9][0-9]*)$",
    FieldType.DECIMAL: r"^-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?$",
    FieldType.DATE: r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$",
    FieldType.DATETIME: r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z$",
    FieldType.PHONE: r"^\+[1-9][0-9]{4,14}(;ext=[0-9]{1,8})?$",
    FieldType.EMAIL: r"^[^@\s]+@[^@\s]+\.[^@\s]+$",
    FieldType.USCC: r"^[0-9A-HJ-NPQRTUWXY]{18}$",
}
"""Canonical text by type. The expressions mean the same to `re` and to RE2."""


def base_expectations(fields: Mapping[str, FieldSpec]) -> list[gxe.Expectation]:
    """What follows from an entity's schema, for a frame of the records we loaded as the target holds them."""
    found: list[gxe.Expectation] = [
        gxe.ExpectColumnValuesToNotBeNull(column=KEY),
        gxe.ExpectColumnValuesToBeUnique(column=KEY),
    ]
    for name, spec in fields.items():
        if spec.required:
            found.append(gxe.ExpectColumnValuesToNotBeNull(column=name))
        if spec.required and spec.type is FieldType.TEXT:
            found.append(gxe.ExpectColumnValuesToMatchRegex(column=name, regex=r"[^\s]"))
        if spec.type is FieldType.PICKLIST:
            found.append(gxe.ExpectColumnValuesToBeInSet(column=name, value_set=list(spec.picklist)))
        elif spec.type is FieldType.BOOLEAN:
            found.append(gxe.ExpectColumnValuesToBeInSet(column=name, value_set=["true", "false"]))
        elif spec.type in FORMATS:
            found.append(gxe.ExpectColumnValuesToMatchRegex(column=name, regex=FORMATS[spec.type]))
        if spec.max_length is not None:
            found.append(gxe.ExpectColumnValueLengthsToBeBetween(column=name, max_value=spec.max_length))
    return found


def reconciliation_expectations(evidence: int) -> list[gxe.Expectation]:
    """What a reconciliation's result must show: first that it rests on ``evidence`` rows, then that all is well."""
    return [
        gxe.ExpectTableRowCountToBeBetween(min_value=max(evidence, 1)),
        gxe.ExpectColumnValuesToNotBeNull(column="migration_key"),
        gxe.ExpectColumnValuesToBeUnique(column="migration_key"),
        gxe.ExpectColumnValuesToBeInSet(column="status", value_set=[status.value for status in Status]),
        *(
            gxe.ExpectColumnValuesToNotBeInSet(column="status", value_set=[status.value])
            for status in Status
            if status is not Status.OK
        ),
        gxe.ExpectColumnValuesToBeBetween(column="wrong_fields", min_value=0, max_value=0),
        gxe.ExpectColumnValuesToBeBetween(column="broken_relations", min_value=0, max_value=0),
    ]


def entity_expectations(path: Path) -> list[gxe.Expectation]:
    """What a project declares for one entity: the list that ``expectations()`` of a Python file answers.

    Raises:
        ConfigError: The file cannot be run or answers something else.
    """
    spec = importlib.util.spec_from_file_location(f"rollout_expectations_{path.stem}", path)
    assert spec is not None  # a .py file always has a spec
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        found = list(module.expectations())
    except Exception as error:
        raise ConfigError(
            f"expectations cannot be read: {type(error).__name__}: {error}",
            where=str(path),
            hint="the file must define expectations(), which answers a list of Great Expectations expectations",
        ) from error
    strangers = [item for item in found if not isinstance(item, gxe.Expectation)]
    if strangers or not found:
        raise ConfigError(
            f"expectations() answers {type(strangers[0]).__name__ if strangers else 'an empty list'}",
            where=str(path),
            hint="answer a list of at least one expectation, or delete the file",
        )
    return found


def applicable(
    expectations: Sequence[gxe.Expectation], frame: pd.DataFrame
) -> tuple[list[gxe.Expectation], tuple[str, ...]]:
    """Those whose columns the frame has, and the names of the others, which a report must list."""
    usable = [item for item in expectations if columns(item) <= set(frame.columns)]
    return usable, tuple(check_name(item) for item in expectations if item not in usable)


def columns(expectation: gxe.Expectation) -> set[str]:
    """The columns an expectation reads."""
    single = {getattr(expectation, name, None) for name in ("column", "column_A", "column_B")}
    return {str(name) for name in single if name} | {
        str(name) for name in getattr(expectation, "column_list", None) or ()
    }


def check_name(expectation: gxe.Expectation) -> str:
    """A readable name: type and column."""
    kind = str(expectation.expectation_type).removeprefix("expect_").removeprefix("column_").removeprefix("columns_")
    column = ",".join(getattr(expectation, "column_list", None) or [str(getattr(expectation, "column", "") or "table")])
    values = getattr(expectation, "value_set", None)
    # Several of one type on one column differ by their values.
    return f"{kind}:{column}" + (f":{values[0]}" if values and len(values) == 1 else "")


def typed(frame: pd.DataFrame, fields: Mapping[str, FieldSpec]) -> pd.DataFrame:
    """The frame with `{field}.number` and `{field}.date` beside the text, for expectations about ranges.

    Text that is none becomes "no value" there: that it is malformed is for the formats to say.
    """
    extra: dict[str, Any] = {}
    for name, spec in fields.items():
        if spec.type in {FieldType.INTEGER, FieldType.DECIMAL}:
            extra[f"{name}.number"] = pd.to_numeric(frame[name], errors="coerce").astype("Float64")
        elif spec.type is FieldType.DATE:
            extra[f"{name}.date"] = pd.to_datetime(frame[name], format="%Y-%m-%d", errors="coerce")
    return frame.assign(**extra)


def run_suite(
    suite: str,
    frame: pd.DataFrame,
    expectations: Sequence[gxe.Expectation],
    *,
    key: str = KEY,
    not_applicable: tuple[str, ...] = (),
) -> SuiteResult:
    """Run expectations over a frame.

    Args:
        suite: Its name in reports.
        frame: Rows to judge; no rows: inconclusive.
        expectations: At least one, none twice.
        key: Column whose values name the failing rows.
        not_applicable: Names of expectations that were left out before, for the report.

    Raises:
        ConfigError: Expectations were dropped or not evaluated: the answer would not be about what was declared.
    """
    declared = len(expectations)
    if declared == 0 or frame.empty:
        return SuiteResult(suite=suite, rows=len(frame), declared=declared, not_applicable=not_applicable)
    names = _unique([check_name(item) for item in expectations])
    for item, name in zip(expectations, names, strict=True):
        item.meta = {**(item.meta or {}), "check": name}
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    built = gx.ExpectationSuite(name=suite)
    for item in expectations:
        built.add_expectation(item)
    if len(built.expectations) != declared:
        raise _dropped(suite, f"{declared} expectations are declared, {len(built.expectations)} were kept")
    answers = _validate(context, frame, built, key)
    if {name for name, _ in answers} != set(names) or len(answers) != declared:
        raise _dropped(suite, f"{declared} expectations are declared, {len(answers)} were evaluated")
    order = {name: position for position, name in enumerate(names)}
    answers.sort(key=lambda answer: order[answer[0]])
    return SuiteResult(
        suite=suite,
        rows=len(frame),
        declared=declared,
        outcomes=tuple(_outcome(name, answer, key) for name, answer in answers),
        not_applicable=not_applicable,
    )


def _validate(context: Any, frame: pd.DataFrame, suite: Any, key: str) -> list[tuple[str, Any]]:
    asset = context.data_sources.add_pandas("verify").add_dataframe_asset("frame")
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
    with warnings.catch_warnings():
        # pandas takes a group in an expression for a wish to extract it; groups are for alternatives here.
        warnings.filterwarnings("ignore", message="This pattern is interpreted as", category=UserWarning)
        result = batch.validate(
            suite,
            result_format={
                "result_format": "SUMMARY",
                "unexpected_index_column_names": [key],
                "partial_unexpected_count": _KEYS_SHOWN,
            },
        )
    return [(answer.expectation_config.meta["check"], answer) for answer in result.results]


def _outcome(name: str, answer: Any, key: str) -> ExpectationOutcome:
    result = answer.result or {}
    raised = _raised(answer.exception_info or {})
    # Expectations about single values count them; those about the table or a column look at all rows.
    counted = "element_count" in result
    looked_at = result.get("element_count", 0)
    if counted and not name.startswith("values_to_not_be_null:"):
        looked_at -= result.get("missing_count") or 0
    evaluated = not raised and isinstance(answer.success, bool) and bool(result)
    rows = result.get("partial_unexpected_index_list") or []
    return ExpectationOutcome(
        check=name,
        severity=str(answer.expectation_config.severity.value),
        success=bool(answer.success) if evaluated else None,
        evidence=int(looked_at) if counted else int(evaluated),
        unexpected=int(result.get("unexpected_count") or 0),
        keys=tuple(dict.fromkeys(str(row[key]) for row in rows)),
        message=raised,
    )


def _raised(info: Mapping[str, Any]) -> str:
    """The first exception's message, or "". It comes in two shapes: of the expectation, and by metric."""
    for item in (info, *(value for value in info.values() if isinstance(value, Mapping))):
        if item.get("raised_exception"):
            return str(item.get("exception_message") or "raised without a message")
    return ""


def _unique(names: Sequence[str]) -> list[str]:
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return result


def _dropped(suite: str, message: str) -> ConfigError:
    return ConfigError(message, where=f"suite {suite}", hint="declare each expectation once")

"""A mapping the other way about: what comes back is exactly the value, or the reason why nothing does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.mapping.reverse import Cell, FieldReverser, keys_by_value, spellings
from rollout.mapping.spec import MappingRule
from rollout.mapping.transforms import compile_steps, run_steps
from rollout.mapping.transforms_base import TransformContext
from rollout.model.entity import FieldType

CONTEXT = TransformContext(placeholders=("无",), owner_map={"张伟": "zhang.wei"})
REGIONS = {"东区": "华东", "E": "华东", "S": "华南"}


def reverser(field_type: FieldType, *transform: object, cells=(), keys=None, **rule: object) -> FieldReverser:
    declared = MappingRule.model_validate({"target": "x", "source": "列", "transform": list(transform), **rule})
    steps = compile_steps(declared.transform, field_type)
    return FieldReverser(declared, steps, field_type, CONTEXT, spellings(cells, steps, CONTEXT), keys or {})


@pytest.mark.parametrize(
    ("how", "value", "cell"),
    [
        (reverser(FieldType.PHONE), "+8613812345678", "13812345678"),
        (reverser(FieldType.PHONE), "+862155556666", "021-55556666"),
        (reverser(FieldType.PHONE), "+862155556666;ext=12", "021-55556666-12"),
        (reverser(FieldType.PHONE), "+14155552671", "+14155552671"),
        (reverser(FieldType.DATE), "2015-03-08", "2015-03-08"),
        (reverser(FieldType.DATE, {"date": {"formats": ["%d/%m/%Y"]}}), "2015-03-08", "08/03/2015"),
        (reverser(FieldType.DATETIME), "2015-03-08T01:02:03Z", "2015-03-08 09:02:03"),
        (reverser(FieldType.BOOLEAN), "true", "是"),
        (reverser(FieldType.BOOLEAN, cells=[("Y", 5), ("是", 2)]), "true", "Y"),
        (reverser(FieldType.PICKLIST, {"value_map": {"table": REGIONS}}, keys=keys_by_value(REGIONS)), "华南", "S"),
        (reverser(FieldType.PICKLIST, {"value_map": {"table": REGIONS}}, cells=[("E", 9), ("东区", 8)]), "华东", "E"),
        (reverser(FieldType.TEXT, "owner", keys=keys_by_value(CONTEXT.owner_map)), "zhang.wei", "张伟"),
        (reverser(FieldType.DECIMAL), "12.5", "12.5"),
    ],
)
def test_a_value_goes_back_in_the_legacy_system_s_own_spelling(how, value, cell) -> None:
    assert how.cells([value]) == [Cell(cell)]


@pytest.mark.parametrize(
    ("how", "value"),
    [
        (reverser(FieldType.TEXT), "无"),  # would be read as no value
        (reverser(FieldType.TEXT), "two  spaces"),
        (reverser(FieldType.TEXT, "upper"), "small"),
        (reverser(FieldType.TEXT, "owner"), "nobody"),
        (reverser(FieldType.PICKLIST, {"value_map": {"table": REGIONS}}), "华北"),
    ],
)
def test_a_value_that_no_cell_stands_for_is_said_and_not_guessed(how, value) -> None:
    [cell] = how.cells([value])
    assert cell.text is None
    assert "no cell" in cell.problem


def test_an_unmapped_field_a_constant_and_a_missing_value_say_why() -> None:
    unmapped = FieldReverser(None, (), FieldType.TEXT, CONTEXT)
    assert unmapped.cells(["a", None]) == [Cell(None, "no column of the source holds it"), Cell(None)]
    rule = MappingRule(target="x", const="旧系统")
    constant = FieldReverser(rule, compile_steps((), FieldType.TEXT), FieldType.TEXT, CONTEXT)
    assert constant.cells(["旧系统"]) == [Cell(None)]
    assert constant.cells(["展会"])[0].problem is not None
    assert reverser(FieldType.TEXT, required=True).cells([None])[0].problem is not None
    assert reverser(FieldType.TEXT).cells([None]) == [Cell(None)]


CHAINS = [
    reverser(FieldType.TEXT),
    reverser(FieldType.TEXT, "upper"),
    reverser(FieldType.TEXT, "company_name"),
    reverser(FieldType.PHONE),
    reverser(FieldType.DATE, {"date": {"formats": ["%d/%m/%Y", "%Y%m%d"]}}),
    reverser(FieldType.DECIMAL),
    reverser(FieldType.PICKLIST, {"value_map": {"table": REGIONS}}, keys=keys_by_value(REGIONS)),
]


@given(
    st.sampled_from(CHAINS), st.lists(st.text(max_size=12) | st.sampled_from(["华东", "2015-03-08", "+8613812345678"]))
)
def test_whatever_goes_back_comes_forth_again_as_the_same_value(how, values) -> None:
    import pyarrow as pa

    cells = how.cells(values)
    assert len(cells) == len(values)
    written = [(value, cell.text) for value, cell in zip(values, cells, strict=True) if cell.problem is None]
    forth = run_steps(pa.array([text for _, text in written], pa.string()), how.steps, CONTEXT).values.to_pylist()
    assert forth == [value for value, _ in written]

"""Two plans' rows of one record: what counts as a difference, and what is each target's own."""

from __future__ import annotations

import pytest

from rollout.load.plan import Action, PlannedRow, Reference
from rollout.load.plan_compare import Difference, RowDifference, compared

PARENT = Reference("account", "parent-key")
CREATE = PlannedRow("k", "g", Action.CREATE, {"name": "甲", "phone": "1"}, references={"account": PARENT})
UPDATE = PlannedRow("k", "g", Action.UPDATE, {"name": "甲"}, {"name": "乙"}, target_id="1", base={"name": "x"})
CONFLICT = PlannedRow("k", "g", Action.CONFLICT, reason_code="changed_on_both_sides", message="changed: name")


@pytest.mark.parametrize(
    "there",
    [
        UPDATE,
        UPDATE._replace(target_id="another"),
        UPDATE._replace(old={"name": "丙"}),
        UPDATE._replace(base={"name": "y"}),
        UPDATE._replace(agreed={"phone": "fingerprint"}),
    ],
)
def test_what_a_target_held_before_and_under_which_id_is_its_own(there: PlannedRow) -> None:
    assert compared(UPDATE, there) is None


@pytest.mark.parametrize(
    ("here", "there"),
    [
        (CREATE, UPDATE),
        (CREATE, PlannedRow("k", "g", Action.UNCHANGED)),
        (CREATE, CREATE._replace(action=Action.ADOPT)),
        (CONFLICT, CONFLICT._replace(reason_code="adoption_ambiguous")),
    ],
)
def test_another_action_or_another_reason_is_a_difference(here: PlannedRow, there: PlannedRow) -> None:
    assert compared(here, there) == RowDifference(Difference.ACTION)
    assert compared(there, here) == RowDifference(Difference.ACTION)


@pytest.mark.parametrize(
    ("here", "there", "fields"),
    [
        (CREATE, CREATE._replace(new={"name": "乙", "phone": "1"}), ("name",)),
        (CREATE, CREATE._replace(new={"name": "甲"}), ("phone",)),
        (CREATE, CREATE._replace(new={"name": "甲", "phone": None}), ("phone",)),
        (CREATE, CREATE._replace(references={"account": Reference("account", "another")}), ("account",)),
        (UPDATE, UPDATE._replace(overwrites=("name",)), ("name",)),
        (UPDATE, UPDATE._replace(kept=("phone",)), ("phone",)),
        (CONFLICT._replace(new={"name": "甲"}, clashing=("name",)), CONFLICT._replace(new={"name": "甲"}), ("name",)),
    ],
)
def test_fields_that_end_up_otherwise_are_named(here: PlannedRow, there: PlannedRow, fields: tuple[str, ...]) -> None:
    assert compared(here, there) == RowDifference(Difference.VALUES, fields)
    assert compared(there, here) == RowDifference(Difference.VALUES, fields)


def test_a_reference_set_at_once_and_one_set_later_end_up_the_same() -> None:
    assert compared(CREATE, CREATE._replace(references={}, deferred={"account": PARENT})) is None

"""What an entity says about adoption and ownership names fields that exist."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from rollout.project.spec import EntitySpec

ENTITY = {
    "label": "客户",
    "title_field": "name",
    "fields": {"name": {"label": "名称"}, "phone": {"label": "电话"}},
    "sources": [{"name": "s", "system": "legacy", "path": "a.csv", "row_key": ["k"], "mapping": "a.yaml"}],
}


def test_fields_that_exist_are_taken():
    spec = EntitySpec.model_validate({**ENTITY, "adopt_by": [["name", "phone"]], "ownership": {"phone": "source"}})
    assert spec.adopt_by == (("name", "phone"),)


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ({"adopt_by": [["name", "fax"]]}, "fax"),
        ({"ownership": {"fax": "crm"}}, "fax"),
        ({"adopt_by": [[]]}, "empty"),
        ({"ownership": {"phone": "nobody"}}, "shared"),
    ],
)
def test_others_are_refused_by_name(rules, told):
    with pytest.raises(ValidationError, match=told):
        EntitySpec.model_validate({**ENTITY, **rules})

"""In which order entities are loaded."""

from __future__ import annotations

import pytest

from rollout.project.spec import ProjectSpec


def spec(**entities):
    """Entities by name, each with reference fields (name → parent, ``!`` behind it: required) and ``after``."""

    def entity(name, after=(), **references):
        fields = {"name": {}}
        for field, parent in references.items():
            fields[field] = {
                "type": "reference",
                "references": parent.rstrip("!"),
                "required": parent.endswith("!"),
            }
        source = {"name": name, "system": "legacy", "path": "a.csv", "row_key": ["k"], "mapping": "a.yaml"}
        return {"label": name, "title_field": "name", "fields": fields, "sources": [source], "depends_on": after}

    return ProjectSpec.model_validate(
        {
            "project": {"id": "p", "name": "P"},
            "systems": {"legacy": {"connector": "files"}},
            "targets": {"test": {"system": "legacy"}},
            "entities": {name: entity(name, **given) for name, given in entities.items()},
        }
    )


def test_parents_come_first():
    made = spec(visit={"contact": "contact!"}, contact={"account": "account"}, account={})
    assert made.load_order == ("account", "contact", "visit")
    assert made.deferred("visit") == ()


def test_a_record_may_refer_to_one_of_its_own_kind():
    made = spec(account={"parent": "account"})
    assert made.load_order == ("account",)
    assert made.deferred("account") == ("parent",)
    assert made.parents("account") == ()


def test_an_optional_reference_that_closes_a_cycle_is_set_later():
    made = spec(account={"main": "contact"}, contact={"account": "account!"})
    assert made.load_order == ("account", "contact")
    assert made.deferred("account") == ("main",)
    assert made.parents("account") == ()
    assert made.parents("contact") == ("account",)


def test_of_two_optional_ones_the_later_waits():
    made = spec(a={"b": "b"}, b={"a": "a"})
    assert made.load_order == ("b", "a")
    assert (made.deferred("a"), made.deferred("b")) == ((), ("a",))


@pytest.mark.parametrize(
    "entities",
    [
        {"account": {"parent": "account!"}},
        {"a": {"b": "b!"}, "b": {"a": "a!"}},
        {"a": {"after": ["b"]}, "b": {"a": "a!"}},
    ],
    ids=["itself", "required", "declared"],
)
def test_a_cycle_of_required_references_cannot_be_loaded(entities):
    with pytest.raises(ValueError, match="cyclic"):
        _ = spec(**entities).load_order

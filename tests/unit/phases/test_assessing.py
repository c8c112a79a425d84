"""What an assessment says of rows is what cleansing then does with them."""

from __future__ import annotations

from rollout.assess.findings import findings_of
from rollout.phases.assess import assess
from rollout.phases.context import PhaseContext
from rollout.project.loader import load_project


def assessed(small):
    project = load_project(small.root / "rollout.yaml", environ={})
    spec = project.spec
    stages = {
        name: [small.read(name, at) for at in range(len(spec.entities[name].sources))] for name in spec.load_order
    }
    return assess(PhaseContext(project=project, journal=None), stages, run_id="r")


def test_figures_are_those_of_cleansing(small):
    small.accounts(
        "E1|甲公司|91310000MA1K35RU4P|东",
        "E2|n/a||东",  # a placeholder in another spelling
        "E3|丙公司|91310000MA1K35RU4X|东",
        "E4|丁公司||西",  # the map does not know it, and the mapping drops it
        "E4|戊公司||华东",
        " |己公司||",
        "Ｅ４|庚公司||",
    )
    small.people("P1|张三|E1|13800138000/021-52345678", "P2||E1|", "P3|王五|E1|12345")
    found = {source.name: source for _, source in assessed(small).sources}
    done = small.cleanse()
    east, people = found["east"], found["people"]
    assert east.ready + found["south"].ready == done["account"].clean
    assert people.ready == done["contact"].clean == 1
    assert {field.column: field.invalid for field in east.fields} == {"编号": None, "名称": 0, "代码": 1, "区域": 1}
    assert [(field.field, field.missing) for field in east.required] == [("name", 1)]
    assert next(field.invalid for field in people.fields if field.column == "手机") == 1
    assert (east.repeated_keys, east.blank_keys) == (2, 1)


def test_a_column_that_one_file_lacks_is_told_with_the_file(small):
    small.write("east_b.csv", "编号|名称|代码", "E2|乙公司|")
    (account, _) = assessed(small).entities
    (told,) = [finding for finding in findings_of(account) if finding.id == "assess.column_missing"]
    assert (told.where, told.detail) == ("east/区域", {"files": "legacy/east_b.csv"})


def test_a_file_of_a_header_alone_is_held_to_the_mapping_too(small):
    small.write("people.csv", "编号|姓名")
    (_, contact) = assessed(small).entities
    told = [finding.where for finding in findings_of(contact) if finding.id == "assess.column_missing"]
    assert told == ["people/客户", "people/手机"]

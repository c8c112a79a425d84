"""`check_project`: every kind of bad input is a finding with file and line; nothing raises."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from rollout.errors import ConfigError
from rollout.integrate import stage
from rollout.model.finding import Finding, Level
from rollout.operate import synthetic
from rollout.phases import loadtest_records
from rollout.project.loader import check_project, find_project, load_project
from rollout.project.spec_around import TEST_KEY_PREFIXES, IntegrationSection
from rollout.project.starter import write_starter

ENVIRON = {"ROLLOUT_TESTBED_URL": "http://127.0.0.1:1", "ROLLOUT_TESTBED_PASSWORD": "a-password"}

CONTACT = """  contact:
    label: 联系人
    title_field: name
    fields:
      name: {type: text, required: true}
      account: {type: reference, references: account, required: true}
    sources:
      - {name: contacts, system: legacy, path: "*.xlsx", row_key: [no], mapping: mappings/contact.yaml}
"""
CONTACT_MAPPING = """entity: contact
source: contacts
fields:
  - {target: name, source: 姓名}
  - {target: account, source: 客户编号, lookup: account}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The starter project with a second entity."""
    write_starter(tmp_path)
    change(tmp_path / "rollout.yaml", "\n# 业务员 → CRM 用户", CONTACT + "\n# 业务员 → CRM 用户")
    (tmp_path / "mappings" / "contact.yaml").write_text(CONTACT_MAPPING, encoding="utf-8")
    return tmp_path


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{old!r} is not in {path.name}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def check(root: Path, **options) -> list[Finding]:
    return check_project(root / "rollout.yaml", environ=options.pop("environ", ENVIRON), **options)


def line_of(path: Path, text: str) -> int:
    lines = path.read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, start=1) if text in line)


def test_the_whole_project_is_in_order(root: Path) -> None:
    assert check(root) == []
    project = load_project(root / "rollout.yaml", environ=ENVIRON)
    assert project.spec.systems["crm"].options["password"] == "a-password"
    assert set(project.mappings) == {("account", "customers"), ("contact", "contacts")}
    assert project.spec.load_order == ("account", "contact")


WAVES = "version: 1\nwaves: [{{name: pilot, where: {}}}]"

PROJECT_FAULTS = [
    # old text, new text, finding, text of the line it must name, in its message or hint
    ("phone: {label: 电话, type: phone}", "phone: {label: 电话, typ: phone}", "project.unknown_key", "typ: phone", "did you mean 'type'"),
    ("version: 1", "version: 1\nprojct: {}", "project.unknown_key", "projct", "did you mean 'project'"),
    ("title_field: name  ", "# ", "project.missing_key", "account:", "title_field"),
    ("title_field: name  ", "title_field: nam  ", "project.invalid_value", "account:", "nam"),
    ("max_length: 120", "max_length: many", "project.invalid_value", "max_length: many", "integer"),
    ("time_zone: Asia/Shanghai", "time_zone: Mars/Olympus", "project.invalid_value", "Mars", "unknown time zone"),
    ("version: 1", "version: 1\nversion: 1", "yaml.duplicate_key", None, "said twice"),
    ("version: 1", "version: [1", "yaml.syntax", None, "YAML"),
    ("version: 1", "version: &x 1\nmore: *y", "yaml.syntax", "more:", "undefined alias"),
    ("version: 1", "version: 1\nmore: &x [*x]", "yaml.too_large", None, "refers to itself"),
    ("connector: files", "connector: file", "project.connector_unknown", "connector: file", "did you mean 'files'"),
    ("    system: crm\n", "    system: crn\n", "project.system_unknown", "system: crn", "did you mean 'crm'"),
    ("phases: [plan, load, verify]", "phases: [plan, load]", "project.phase_target", "targets:", "'verify' has no target"),
    ("targets:", "targets:\n  prod: {system: crm, phases: [load]}", "project.phase_target", "phases: [plan", "several targets"),
    ("  contact:\n", "  contact:\n    depends_on: [acount]\n", "project.entity_unknown", "depends_on", "did you mean 'account'"),
    ("  account:\n    label: 客户", "  account:\n    depends_on: [contact]\n    label: 客户", "project.cycle", "depends_on", "account → contact → account"),
    ("references: account", "references: company", "project.entity_unknown", "references: company", "company"),
    ("name: contacts", "name: customers", "project.source_twice", "name: customers, system", "declared twice"),
    ("  contact:\n", "  Contact:\n", "project.name", "Contact:", "lower-case"),
    ("mappings/contact.yaml", "mappings/people.yaml", "mapping.file_missing", "people.yaml", "does not exist"),
    ("file: mappings/owners.csv", "file: mappings/ownrs.csv", "project.file_missing", "ownrs", "does not exist"),
    ("fields: [uscc]", "fields: [usc]", "match.field_unknown", "fields: [usc]", "did you mean 'uscc'"),
    ("fields: [uscc]", "fields: [uscc], by: {uscc: uper}", "match.transform", "by: {uscc: uper}", "did you mean 'upper'"),
    ("match:\n  account:", "match:\n  acount:", "match.entity_unknown", "acount:", "did you mean 'account'"),
    ("match:\n  account:", "match:\n  account:\n    guards: {across: [regoin]}", "match.field_unknown", "regoin", "did you mean 'region'"),
    ("match:\n  account:", "match:\n  account:\n    newest_by: name", "match.newest_by", "newest_by", "name a date or datetime field"),
    ("match:\n  account:", "match:\n  account:\n    model: {comparisons: {name: company_nam}}", "match.comparison", "company_nam", "did you mean 'company_name'"),
    ("metric: coverage", "metric: covrage", "gate.metric_unknown", "covrage", "did you mean 'coverage'"),
    ('"${env:ROLLOUT_TESTBED_PASSWORD}"', "hunter2", "project.secret_in_clear", "hunter2", "${env:NAME}"),
    ('"${env:ROLLOUT_TESTBED_URL}"', "http://me:hunter2@crm", "project.secret_in_clear", "hunter2", "${env:NAME}"),
    ("ROLLOUT_TESTBED_URL", "NO_SUCH_VARIABLE", "project.variable_missing", "NO_SUCH", "NO_SUCH_VARIABLE is not set"),
    ("${env:ROLLOUT_TESTBED_URL}", "${ROLLOUT_TESTBED_URL}", "project.reference", "{ROLLOUT_TESTBED_URL}", "${env:NAME}"),
    ("version: 1", WAVES.format("{account: {region: [华东]}}}, {name: pilot"), "project.wave_twice", "waves:", "'pilot' is declared twice"),
    ("version: 1", WAVES.format("{account: {region: [华东]}}}, {name: b, where: {account: {region: [华南]}}"), "project.wave_rest", "waves:", "add a wave without"),
    ("version: 1", WAVES.format("{}}, {name: b"), "project.wave_all", "waves:", "'b' would stay empty"),
    ("version: 1", WAVES.format("{acount: {region: [华东]}}}, {name: b"), "project.entity_unknown", "waves:", "did you mean 'account'"),
    ("version: 1", WAVES.format("{account: {regoin: [华东]}}}, {name: b"), "project.field_unknown", "waves:", "did you mean 'region'"),
    ("version: 1", WAVES.format("{account: {region: [East]}}}, {name: b"), "project.wave_value", "waves:", "no record can have it"),
    ("version: 1", WAVES.format("{account: {}}}, {name: b"), "project.wave_empty", "waves:", "names no field of 'account'"),
    ("version: 1", WAVES.format("{account: {region: []}}}, {name: b"), "project.wave_empty", "waves:", "names no value of 'region'"),
    ("version: 1", WAVES.format("{contact: {account: [K1]}}}, {name: b"), "project.wave_reference", "waves:", "refers to another record"),
    ("version: 1", "version: 1\nwaves: []", "project.invalid_value", "waves:", "at least 1"),
    ("version: 1", "version: 1\nenvironments: [prod]", "project.environments", "environments", "names to keys"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "finding_id", "line", "told"), PROJECT_FAULTS, ids=[f"{fault[2]}: {fault[1][:30]!r}" for fault in PROJECT_FAULTS])  # fmt: skip
def test_a_fault_in_the_project_file_is_named_with_its_line(
    root: Path, old: str, new: str, finding_id: str, line: str | None, told: str
) -> None:
    change(root / "rollout.yaml", old, new)
    found = [finding for finding in check(root) if finding.id == finding_id]
    assert found, [finding.id for finding in check(root)]
    assert told in f"{found[0].message} {found[0].hint}"
    assert found[0].level is Level.ERROR
    assert found[0].where.startswith("rollout.yaml:")
    if line:
        assert found[0].where == f"rollout.yaml:{line_of(root / 'rollout.yaml', line)}"
    with pytest.raises(ConfigError):
        load_project(root / "rollout.yaml", environ=ENVIRON)


def test_a_pilot_and_the_rest_are_in_order(root: Path) -> None:
    change(root / "rollout.yaml", "version: 1", WAVES.format("{account: {region: [华东, 华南]}}}, {name: rest"))
    assert check(root) == []
    waves = load_project(root / "rollout.yaml", environ=ENVIRON).spec.waves
    assert [wave.name for wave in waves] == ["pilot", "rest"]


def test_only_what_decides_waves_is_part_of_the_rules(root: Path) -> None:
    def digests() -> list[str]:
        project = load_project(root / "rollout.yaml", environ=ENVIRON)
        return [project.rules_digest("account"), project.rules_digest("contact")]

    before = digests()
    change(root / "rollout.yaml", "version: 1", WAVES.format("{account: {region: [华东]}}}, {name: rest"))
    two = digests()
    assert two[0] != before[0]
    change(root / "rollout.yaml", "{name: rest}", "{name: rest, label: 其余大区}")
    assert digests() == two
    change(root / "rollout.yaml", "region: [华东]", "region: [华南]")
    filtered = digests()
    assert filtered[0] != two[0]
    assert filtered[1] == two[1]  # its stage rests on the account's, and with it on the filter


MAPPING_FAULTS = [
    ("transform: uscc", "transform: usc", "mapping.transform", "transform: usc", "did you mean 'uscc'"),
    ("transform: uscc", "transform: {value_map: {file: no.csv}}", "project.file_missing", "no.csv", "does not exist"),
    ("transform: uscc", "transform: {value_map: {fil: no.csv}}", "mapping.transform", "fil:", "refuses its arguments"),
    ("target: uscc", "target: usc", "mapping.field_unknown", "target: usc", "did you mean 'uscc'"),
    ("target: uscc", "target: name", "project.invalid_value", None, "mapped more than once: name"),
    ("source: 区域", "sorce: 区域", "project.unknown_key", "sorce", "did you mean 'source'"),
    ("source: 区域", "const: 华西", "mapping.not_in_picklist", "华西", "华东"),
    ('on_error: "null"', "on_error: null", "project.invalid_value", "on_error: null", "put it in quotes"),
    ("source: 业务员", "source: 业务员\n    lookup: contact", "mapping.lookup_mismatch", "lookup", "is no reference"),
    ("entity: account", "entity: contact", "mapping.other_source", "entity: contact", "uses it for 'account'"),
    ("  - target: region\n    source: 区域\n    transform: text\n    required: true\n", "", "mapping.required_unmapped", "fields:", "'region'"),
    ("fields:", "fields: {}\nmore:", "project.unknown_key", "more", "more"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "finding_id", "line", "told"), MAPPING_FAULTS, ids=[f"{fault[2]}: {fault[1][:30]!r}" for fault in MAPPING_FAULTS])  # fmt: skip
def test_a_fault_in_a_mapping_file_is_named_with_its_line(
    root: Path, old: str, new: str, finding_id: str, line: str | None, told: str
) -> None:
    path = root / "mappings" / "account.yaml"
    change(path, old, new)
    found = [finding for finding in check(root) if finding.id == finding_id]
    assert found, [finding.id for finding in check(root)]
    assert told in f"{found[0].message} {found[0].hint}"
    assert found[0].where.startswith("mappings/account.yaml:")
    if line:
        assert found[0].where == f"mappings/account.yaml:{line_of(path, line)}"


def test_look_ups_are_checked(root: Path) -> None:
    path = root / "mappings" / "contact.yaml"
    change(path, "lookup: account", "lookup: acount")
    assert [finding.id for finding in check(root)] == ["mapping.entity_unknown"]
    change(path, ", lookup: acount", "")
    assert [finding.id for finding in check(root)] == ["mapping.lookup_missing"]


def test_the_owner_transform_needs_the_owner_map(root: Path) -> None:
    change(root / "rollout.yaml", "owner_map:\n  file: mappings/owners.csv\n  unmapped: quarantine", "# no map")
    assert [finding.id for finding in check(root)] == ["mapping.owner_map_missing"]


def test_all_findings_come_at_once(root: Path) -> None:
    change(root / "rollout.yaml", "metric: coverage", "metric: covrage")
    change(root / "rollout.yaml", "connector: files", "connector: file")
    change(root / "mappings" / "account.yaml", "transform: uscc", "transform: usc")
    change(root / "mappings" / "contact.yaml", "姓名", "姓名, sorce: x")
    with pytest.raises(ConfigError) as caught:
        load_project(root / "rollout.yaml", environ=ENVIRON)
    for text in ("4 errors", "covrage", "'file'", "'usc'", "sorce", "mappings/contact.yaml:4"):
        assert text in str(caught.value)


def test_wrong_encoding_is_named(root: Path) -> None:
    text = (root / "mappings" / "account.yaml").read_text(encoding="utf-8")
    (root / "mappings" / "account.yaml").write_bytes(text.encode("gb18030"))
    [finding] = check(root)
    assert (finding.id, finding.where) == ("yaml.encoding", "mappings/account.yaml:3")


def test_an_environment_overlays_the_project(root: Path) -> None:
    with (root / "rollout.yaml").open("a") as stream:
        stream.write('environments:\n  prod:\n    systems:\n      crm:\n        options: {base_url: "http://prod"}\n')
    project = load_project(root / "rollout.yaml", env="prod", environ=ENVIRON)
    assert project.spec.systems["crm"].options["base_url"] == "http://prod"
    assert project.spec.systems["crm"].options["username"] == "migration", "the overlay merges deeply"
    assert load_project(root / "rollout.yaml", environ=ENVIRON).spec.systems["crm"].options["base_url"] != "http://prod"
    [finding] = check(root, env="prd")
    assert (finding.id, finding.hint) == ("project.environment_unknown", "prod")
    change(root / "rollout.yaml", 'base_url: "http://prod"', "batch: {password: x}")
    assert [finding.id for finding in check(root)] == ["project.secret_in_clear"], "overlays not chosen are read, too"
    change(root / "rollout.yaml", "systems:\n      crm:\n        options: {batch: {password: x}}", "systms: {}")
    [finding] = check(root, env="prod")
    assert finding.where == f"rollout.yaml:{line_of(root / 'rollout.yaml', 'systms')}"


def test_variables_kept_in_the_workspace_count(root: Path) -> None:
    (root / ".rollout").mkdir(mode=0o700)
    kept = root / ".rollout" / "env"
    kept.write_text("".join(f"{name}=kept\n" for name in ENVIRON))
    kept.chmod(0o600)
    assert check(root, environ={}) == []
    project = load_project(root / "rollout.yaml", environ={"ROLLOUT_TESTBED_URL": "said"})
    assert project.spec.systems["crm"].options["base_url"] == "said"
    kept.chmod(0o644)
    assert "project.local_env" in [finding.id for finding in check(root, environ={})]


COSMETIC: list[tuple[str, Callable[[Path], None]]] = [
    ("label", lambda root: change(root / "rollout.yaml", "label: 客户名称", "label: 公司")),
    ("gate", lambda root: change(root / "rollout.yaml", "0.95", "0.90")),
    ("note", lambda root: change(root / "mappings/account.yaml", "transform: uscc", "transform: uscc\n    note: 看")),
]
TELLING: list[tuple[str, Callable[[Path], None]]] = [
    ("field", lambda root: change(root / "rollout.yaml", "max_length: 120", "max_length: 100")),
    ("match", lambda root: change(root / "rollout.yaml", "fields: [uscc]", "fields: [legacy_no]")),
    ("mapping", lambda root: change(root / "mappings/account.yaml", "source: 区域", "source: 大区")),
    ("owner map", lambda root: change(root / "mappings/owners.csv", "user\n", "user\n张三,zhang.san\n")),
    ("region", lambda root: change(root / "rollout.yaml", "phone_region: CN", "phone_region: HK")),
]


@pytest.mark.parametrize(("edit", "same"), [*((edit, True) for _, edit in COSMETIC), *((edit, False) for _, edit in TELLING)], ids=[name for name, _ in COSMETIC + TELLING])  # fmt: skip
def test_the_digest_changes_with_what_rows_become_and_with_nothing_else(root: Path, edit, *, same: bool) -> None:
    def digest(entity: str | None = None) -> str:
        return load_project(root / "rollout.yaml", environ=ENVIRON).rules_digest(entity)

    before = digest(), digest("account")
    edit(root)
    assert ((digest(), digest("account")) == before) is same


def test_a_project_is_found_from_below_and_never_guessed(root: Path) -> None:
    assert find_project(root / "mappings") == root / "rollout.yaml"
    assert find_project(root / "rollout.yaml") == root / "rollout.yaml"
    with pytest.raises(ConfigError, match="no such folder"):
        find_project(root / "mapings")
    (root / "rollout.yaml").unlink()
    with pytest.raises(ConfigError, match="rollout init"):
        find_project(root)


YAML = st.recursive(
    st.sampled_from(["x", "1", "null", "true", "[]", "{}", '"${env:X}"', "&a b", "*a", "!!python/none", "2020-01-01"]),
    lambda inner: st.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(items) + "]")
    | st.dictionaries(st.sampled_from(["project", "systems", "entities", "gates", "environments", "id", "<<", "?"]), inner, max_size=4).map(
        lambda items: "{" + ", ".join(f"{key}: {value}" for key, value in items.items()) + "}"
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(content=st.one_of(YAML.map(str.encode), st.binary(max_size=80), st.text(max_size=80).map(str.encode)))
def test_nothing_raises_whatever_the_file_holds(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any" / "rollout.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    findings = check_project(path, environ={})
    assert findings
    assert all(finding.where for finding in findings)


def test_yaml_keeps_its_surprises_to_itself(root: Path) -> None:
    change(root / "rollout.yaml", "[华东, 华南, 华北, 华中, 西南, 西北, 东北]", "[no, on, 2020-01-01, 华西]")
    change(root / "mappings" / "account.yaml", "required: true", "required: yes")
    project = load_project(root / "rollout.yaml", environ=ENVIRON)
    assert project.spec.entities["account"].fields["region"].picklist == ("no", "on", "2020-01-01", "华西")
    assert project.mappings["account", "customers"].fields[0].required is True


def test_the_load_test_s_login_is_a_secret_too(root: Path) -> None:
    with (root / "rollout.yaml").open("a") as stream:
        stream.write("environments: {big: {loadtest: {password: hunter2}}}\n")
    findings = [finding for finding in check(root) if finding.id == "project.secret_in_clear"]
    assert len(findings) == 1
    assert "hunter2" not in findings[0].message


def test_syncs_keep_out_of_each_other_s_keys_and_out_of_the_tests() -> None:
    """Test records are deleted by the beginning of their keys; two syncs under one key would write over each other."""
    assert set(TEST_KEY_PREFIXES) == {synthetic.KEY_PREFIX, stage.KEY_PREFIX, loadtest_records.PREFIX}
    sync = {"system": "erp", "stream": "orders", "entity": "order", "key_prefix": "erp:", "fields": {"no": "no"}}
    for prefix in TEST_KEY_PREFIXES:
        with pytest.raises(ValidationError, match="belongs to test records"):
            IntegrationSection.model_validate({"syncs": {"orders": sync | {"key_prefix": prefix}}})
    with pytest.raises(ValidationError, match="'one' and 'two' have the same entity and key_prefix"):
        IntegrationSection.model_validate({"syncs": {"one": sync, "two": sync}})
    assert len(IntegrationSection.model_validate({"syncs": {"one": sync, "two": sync | {"entity": "x"}}}).syncs) == 2

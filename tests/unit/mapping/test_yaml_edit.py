"""Changes of mapping files: what is not changed stays byte for byte, and what is changed reads as it was meant."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rollout.errors import ConfigError
from rollout.mapping.yaml_edit import Edit, edited, new_file

DEMO = Path(__file__).parents[3] / "demo" / "mappings"
TEXT = """# head
entity: a
source: b
fields:
- {target: name,   source: 名称}   # beside
# between
- target: note
  source: 备注     # kept
  transform: [text, {value_map: {file: x.csv}}]

- target: last
  const: "1"
# end
"""


def rules(text):
    return {rule["target"]: rule for rule in yaml.safe_load(text)["fields"]}


def test_nothing_to_change_changes_nothing():
    for path in DEMO.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        assert edited(text, [], shown=path.name) == text


def test_only_the_lines_of_a_changed_rule_are_written_anew():
    done = edited(TEXT, [Edit("note", {"transform": "text", "required": True, "confirmed_by": "李"})], shown="x")
    before, after = TEXT.split("\n"), done.split("\n")
    assert after[:7] == before[:7]
    assert after[-4:] == before[-4:]
    assert "# kept" in done
    assert rules(done)["note"] == {
        "target": "note",
        "source": "备注",
        "transform": "text",
        "required": True,
        "confirmed_by": "李",
    }


def test_rules_come_and_go_and_keys_are_taken_out():
    done = edited(
        TEXT,
        [Edit("note", None), Edit("last", {"const": None, "source": ["甲", "乙"]}), Edit("new", {"source": "丙"})],
        shown="x",
    )
    assert rules(done) == {
        "name": {"target": "name", "source": "名称"},
        "last": {"target": "last", "source": ["甲", "乙"]},
        "new": {"target": "new", "source": "丙"},
    }
    assert "# between" in done
    assert done.endswith("# end\n")


def test_text_that_yaml_would_take_for_something_else_stays_text():
    values = {"on_error": "null", "default": "false", "note": "a: b # c", "confirmed_on": "2026-03-01"}
    done = edited(TEXT, [Edit("last", values)], shown="x")
    assert {key: rules(done)["last"][key] for key in values} == values


@pytest.mark.parametrize("text", ["12:30", "190:20:30", "yes", "012", "1_000", "0x1f", "~", "=", "<<", "2026-03-01"])
def test_what_yaml_1_1_takes_for_a_number_is_written_as_text(text):
    done = edited(TEXT, [Edit("last", {"const": text}), Edit("new", {"source": [text, "乙"]})], shown="x")
    assert (rules(done)["last"]["const"], rules(done)["new"]["source"]) == (text, [text, "乙"])


SHARED = """entity: a
source: b
fields:
  - target: first
    source: 甲
    transform: &how [text, upper]
  - target: second
    source: 乙
    transform: *how
  -
    target: third
    source: 丙
    note: |
      one
      two
    # beside
  - target: fourth
    source: 丁
"""


def test_what_rules_share_stays_and_a_rule_that_shares_is_left_to_people():
    done = edited(SHARED, [Edit("fourth", {"const": "1"}), Edit("third", {"default": "2"})], shown="x")
    assert done.splitlines()[:9] == SHARED.splitlines()[:9]
    assert "    # beside\n" in done
    assert rules(done)["third"] == {"target": "third", "source": "丙", "note": "one\ntwo\n", "default": "2"}
    assert rules(done)["second"]["transform"] == ["text", "upper"]
    for edit in (Edit("second", {"note": "x"}), Edit("first", {"transform": "text"}), Edit("first", None)):
        with pytest.raises(ConfigError, match="cannot be changed") as refused:
            edited(SHARED, [edit], shown="x")
        assert "by hand" in refused.value.hint


def test_transforms_with_arguments_read_back_as_they_were_meant():
    steps = ["text", {"value_map": {"file": "m.csv"}}, {"date": {"format": "%d/%m/%Y"}}]
    assert rules(edited(TEXT, [Edit("last", {"transform": steps})], shown="x"))["last"]["transform"] == steps
    assert rules(new_file("a", "b", [{"target": "x", "source": "Y", "transform": steps}]))["x"]["transform"] == steps


def test_line_ends_of_windows_stay():
    done = edited(TEXT.replace("\n", "\r\n"), [Edit("last", {"const": "2"})], shown="x")
    assert done.replace("\r\n", "\n").count("\n") == done.count("\r\n") == TEXT.count("\n")


def test_rules_in_one_line_are_refused():
    with pytest.raises(ConfigError, match="stand in one line"):
        edited("entity: a\nsource: b\nfields: [{target: x, source: y}]\n", [Edit("x", None)], shown="x")

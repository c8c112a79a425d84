"""The catalogue: both languages hold the same keys, every key that is asked for is there, and none is left over."""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from string import Formatter
from typing import get_args

import pytest

import rollout
from rollout.assess import score
from rollout.cleanse.reasons import REASONS
from rollout.connectors.reasons import Reason
from rollout.govern.sequence import Phase
from rollout.govern.states import Code, State
from rollout.load.plan import Action
from rollout.model.choice import Choice
from rollout.model.entity import FieldType
from rollout.model.finding import Finding, Level
from rollout.model.outcome import Bucket
from rollout.model.verdict import Verdict
from rollout.operate.kinds import WRONG, Because
from rollout.phases.loadtest import MIX
from rollout.project.gates import DEFAULT_CRITERIA, METRICS
from rollout.report import documents, integration, loadtest, markdown, reason_codes, rejects_workbook
from rollout.report.messages import MissingMessage, catalogue_files, messages
from rollout.report.operation_documents import SYNC_KINDS, NightState, Slot

SOURCE = Path(rollout.__file__).parent
REPORT = SOURCE / "report"
ASKED = re.compile(r"""\bt\(\s*["']([a-z][\w.]*)["']\s*[,)]""")
FINDING_ID = re.compile(r"^([a-z]+)\.[a-z_]+$")


@cache
def constants() -> list[tuple[Path, ast.Constant]]:
    """String constants of the package's code, documentation left out."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found += [
            (path, node) for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
    return found


@cache
def finding_ids() -> set[str]:
    """Ids of findings made anywhere in the package: words like those given as ``Finding(id=…)``, by their family."""
    families = {"mapping", "project", "source", "match", "yaml", "gate", "connector", "assess"}
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "id" and isinstance(node.value, ast.Constant):
                match = FINDING_ID.match(str(node.value.value))
                families |= {match[1]} if match else set()
    found = set()
    for path, node in constants():
        match = FINDING_ID.match(node.value)
        if match and match[1] in families and REPORT not in path.parents and not node.value.endswith((".py", ".id")):
            found.add(node.value)
    return found


@cache
def known_codes() -> set[str]:
    """Codes of cleansing and connectors, and those that code gives as ``reason_code="…"`` or to a decision."""
    codes = set(REASONS) | {reason.value for reason in Reason}
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "reason_code" and isinstance(node.value, ast.Constant):
                codes |= {node.value.value} - {None}
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Decision":
                given = [given.value for given in node.args[2:3] if isinstance(given, ast.Constant)]
                codes |= {code for code in given if isinstance(code, str)}
    return codes


@cache
def literal_keys() -> set[str]:
    """Keys that templates and code ask for by their full name."""
    texts = [path.read_text(encoding="utf-8") for path in REPORT.rglob("*.jinja")]
    texts += [path.read_text(encoding="utf-8") for path in REPORT.rglob("*.py")]
    return {key for text in texts for key in ASKED.findall(text)}


def family_keys() -> set[str]:
    """Keys that are composed from the words of the model."""
    buckets = [bucket.value for bucket in Bucket] + ["not_loaded", "source", "sum"]
    families = {
        "bucket": buckets,
        "bucket_meaning": buckets,
        "level": [level.value for level in Level],
        "verdict": [verdict.value for verdict in Verdict],
        "acceptance": [f"verdict_{verdict.value}" for verdict in Verdict],
        "type": [kind.value for kind in FieldType],
        "health": [f"{name}.{part}" for name in score.HEALTH for part in ("name", "formula")],
        "characters": ["control", "full_width", "formula"],
        "reconcile": [name for name in documents.ReconcileFigures.model_fields if name != "entity"],
        "action": [action.value for action in Action],
        "gate": ["assess", "cleanse", *DEFAULT_CRITERIA],
        "metric": list(METRICS),
        "metric_formula": list(METRICS),
        "reason": sorted(known_codes() | set(reason_codes.QUEUE)),
        "finding": [
            f"{id_}.{part}"
            for id_ in (*finding_ids(), *(f"cleanse.{code}" for code in REASONS))
            for part in ("title", "advice")
        ],
        "phase": [phase.value for phase in Phase],
        "state": [state.value for state in State],
        "told": list(get_args(Code)),
        "override": ["holds", "lapsed"],
        "column": ["phase", "state", "verdict", "waiting_for", "since", "decided_by"],
        "loadtest": [
            *(f"verdict_{verdict.value}" for verdict in Verdict),
            *(f"error_{kind}" for kind in ("no_answer", "not_understood", "not_stored", "wrong_record")),
        ],
        "loadtest_setting": loadtest.SETTINGS,
        "loadtest_activity": ["log_in", *MIX],
        "incident": [
            *(f"health.{name}" for name in ("database", "login", "transaction", "disk", "feed", "sync_lag")),
            "health.dead_letters",
            *(f"sync_check.{name}" for name in (*WRONG, "unreadable")),
        ],
        "probe": ["database", "login", "transaction", "disk", "feed", "sync_lag", "dead_letters"],
        "slot": [slot.value for slot in Slot],
        "night": [state.value for state in NightState],
        "sync_kind": list(SYNC_KINDS),
        "because": [because.value for because in Because],
        "crm_entity": ["lead", "message", "todo", "notification"],
        "standing": ["sales", "manager", "admin", "migration", "inactive", "absent"],
        "integration": [f"verdict_{verdict.value}" for verdict in Verdict],
        "scenario": integration.SCENARIOS,
        "scenario_expected": integration.SCENARIOS,
        "cell_outcome": integration.OUTCOMES,
        "drill_event": integration.EVENTS,
        "sync_figure": markdown.SYNC_FIGURES,
        "reject": [
            *(f"column.{name}" for name in rejects_workbook.COLUMNS),
            *(f"state.{name}" for name in ("rejected", "conflict", "waiting", "unknown", "skipped")),
            *(f"{part}.{choice.value}" for part in ("choice", "means") for choice in Choice),
            *(f"info.{name}" for name in ("project", "target", "wave", "plan")),
            *("sheet", "about", "blank", "means.blank"),
        ],
        "reason_hint": ["other", *reason_codes.QUEUE],
        "done": ["kept", "dropped", "defaulted", "quarantined"],
        "method": [
            f"{name}.{part}"
            for name in ("filled", "distinct", "invalid", "duplicate", "key", "format", "levels", "masking")
            for part in ("name", "text")
        ],
    }
    return {f"{family}.{name}" for family, names in families.items() for name in names} | book_keys()


def book_keys() -> set[str]:
    """The words of workbooks, which their modules list as BOOK_KEYS: they are composed from a prefix and a name."""
    modules = [import_module(f"rollout.report.{path.stem}") for path in REPORT.glob("*.py") if path.stem != "__init__"]
    return {key for module in modules for key in getattr(module, "BOOK_KEYS", ())}


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_key_is_there_and_used(language):
    texts = messages(language).texts
    wanted = literal_keys() | family_keys()
    assert sorted(wanted - set(texts)) == [], f"missing in report/catalogue/{language}.yaml"
    # A code may reach its row through a variable.
    named = {f"reason.{node.value}" for path, node in constants() if REPORT not in path.parents}
    assert sorted(set(texts) - wanted - named) == [], f"unused in report/catalogue/{language}.yaml"


def test_both_languages_fill_the_same_places():
    zh, en = messages("zh").texts, messages("en").texts

    def places(text: str) -> set[str]:
        return {name for _, name, _, _ in Formatter().parse(text) if name and not name.isdigit()} - {"env:NAME", "env"}

    assert {key: places(text) for key, text in zh.items()} == {key: places(text) for key, text in en.items()}


def test_no_text_is_empty_or_left_in_the_other_language():
    assert all(text.strip() for language in ("zh", "en") for text in messages(language).texts.values())
    chinese = re.compile(r"[\u4e00-\u9fff]")
    left = [key for key, text in messages("en").texts.items() if chinese.search(text)]
    assert left == [
        "assessment.format_legend",
        "reason.number_unit",
        "finding.cleanse.number_unit.title",
    ]  # these speak of Chinese characters


def test_a_missing_key_is_an_error():
    with pytest.raises(MissingMessage, match=r"no\.such"):
        messages("zh")("no.such")


def test_a_finding_of_a_foreign_connector_keeps_its_own_words():
    finding = Finding(id="acme.odd", level=Level.INFO, message="odd thing", hint="look at it")
    assert messages("zh").finding_title(finding) == "odd thing"
    assert messages("zh").finding_advice(finding) == "look at it"


def test_a_finding_shows_its_figures_and_a_dash_for_what_it_lacks():
    finding = Finding(id="source.encoding", level=Level.INFO, message="m", detail={"encoding": "gb18030"})
    assert messages("en").finding_title(finding) == "File encoding: gb18030"
    assert messages("en").finding_title(finding.model_copy(update={"detail": {}})) == "File encoding: –"


def test_findings_of_cleansing_are_told_in_the_document_s_language():
    finding = Finding(
        id="cleanse.phone_invalid",
        level=Level.WARNING,
        message="m",
        where="account.phone",
        detail={"done": "dropped", "first": "k"},
    )
    assert messages("zh").finding_title(finding) == "电话号码无效（值已舍弃）"
    assert messages("en").finding_title(finding) == "This is no valid phone number (value left out)"


def test_several_reasons_of_a_row_are_told_one_by_one():
    assert messages("en").reasons("uscc_length,phone_invalid") == (
        "a credit code (USCC) has 18 characters; no valid phone number"
    )


@pytest.mark.parametrize("language", ["zh", "en"])
def test_no_key_stands_twice(language):
    lines = [line for file in catalogue_files(language) for line in file.read_text(encoding="utf-8").splitlines()]
    family, seen = "", []
    for line in lines:
        if found := re.match(r"( *)([\w.\"]+):", line):
            family = found[2] if not found[1] else family
            seen += [(family, found[1], found[2])] if len(found[1]) == 2 else []
    assert [key for key in set(seen) if seen.count(key) > 1] == []

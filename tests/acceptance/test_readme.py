"""What the READMEs say: complete, the same in both languages, and every command in them is executed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import click
import psutil
import pytest
import yaml

from rollout.cleanse.spec import RowRule
from rollout.cli.app import DEFECT, INTERRUPTED, USAGE, VERBS
from rollout.mapping.spec import MappingRule, SourceSpec
from rollout.match.spec import Guards, MatchKey, MatchModel, MatchSpec
from rollout.model.outcome import Bucket
from rollout.project.spec import VerifySample
from rollout.project.spec_data import Activity, DormantSpec, HandoutSection, NumberSpec, OwnerMapSection, PeopleSample

ROOT = Path(__file__).parents[2]
READMES = [ROOT / "README.md", ROOT / "README.zh.md"]
GUIDES = [ROOT / "docs" / "data.md", ROOT / "docs" / "data.zh.md"]
SETTINGS = (
    SourceSpec,
    MappingRule,
    OwnerMapSection,
    NumberSpec,
    RowRule,
    HandoutSection,
    MatchKey,
    MatchSpec,
    MatchModel,
    Guards,
    DormantSpec,
    Activity,
    VerifySample,
    PeopleSample,
)
"""What the guide to the data explains, field by field."""
NOT_EXECUTED = {
    "make test": "it is what runs this file",
    ". .venv/bin/activate": "here the environment's PATH is set instead",
}
PLATFORM = ["make demo", "make ui", "make stop"]
"""Executed by the test marked `attack`, on a fresh clone."""
OF_THE_DEMO = ".venv/bin/rollout --project demo "
INSTALL_S, DEMO_S, UI_S, COMMAND_S = 900, 420, 240, 240


def commands(text: str) -> list[str]:
    """The commands in a README's `sh` blocks, in order; a here-document belongs to its command."""
    found: list[str] = []
    for block in re.findall(r"^```sh\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE):
        lines = iter(block.splitlines())
        for line in lines:
            if end := re.search(r"<<'(\w+)'$", line):
                inner = [line]
                while inner[-1] != end[1]:
                    inner.append(next(lines))
                found.append("\n".join(inner))
            elif line.strip():
                found.append(line)
    return found


COMMANDS = commands(READMES[0].read_text(encoding="utf-8"))
DEMO = [command for command in COMMANDS if command.startswith(OF_THE_DEMO)]
MEASURED = [command for command in DEMO if re.match(OF_THE_DEMO + r"(integrate|loadtest|demo)\b", command)]
"""Executed by the test marked `attack`: they need all of the demo company's systems, and minutes."""
OWN = [command for command in COMMANDS if command not in {*DEMO, *PLATFORM, *NOT_EXECUTED}]


@pytest.fixture(params=READMES, ids=lambda path: path.name)
def text(request: pytest.FixtureRequest) -> str:
    return request.param.read_text(encoding="utf-8")


def test_both_languages_carry_the_same_commands() -> None:
    assert commands(READMES[1].read_text(encoding="utf-8")) == COMMANDS


def test_every_command_is_executed_or_excused() -> None:
    assert set(PLATFORM) | set(NOT_EXECUTED) < set(COMMANDS)
    assert DEMO
    assert all(re.match(r"rollout |cd |cat > ", command) for command in OWN), OWN


def test_every_verb_deployment_make_target_and_row_outcome_is_told(text: str) -> None:
    deployments = [entry["name"] for entry in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]]
    targets = re.findall(r"^(\w+):.*## ", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert [verb for verb in VERBS if not re.search(rf"rollout {verb}\b", text)] == []
    assert [name for name in deployments if f"`{name}`" not in text] == []
    assert [name for name in targets if f"`{name}`" not in text and f"make {name}" not in text] == []
    assert [bucket for bucket in Bucket if bucket.value not in text] == []


def test_every_environment_variable_is_told_and_exists(text: str) -> None:
    files = [path for folder in ("src", "ops", "flows", "tests") for path in (ROOT / folder).rglob("*.py")]
    sources = {path: path.read_text(encoding="utf-8") for path in files if path != Path(__file__)}
    read = {
        name
        for path, source in sources.items()
        if "tests" not in path.relative_to(ROOT).parts or path.name == "conftest.py"
        for name in re.findall(r"[\"'](ROLLOUT_[A-Z_]+)[\"']", source)
    }
    told = set(re.findall(r"ROLLOUT_[A-Z_]+", text))
    assert read - told == set()
    assert {name for name in told if not any(name in source for source in sources.values())} == set()


def test_every_exit_code_is_told(text: str) -> None:
    codes = re.findall(r"^\| (\d+) \|", text, flags=re.MULTILINE)
    assert [int(code) for code in codes] == [0, 1, USAGE, 3, DEFECT, INTERRUPTED]


def test_links_lead_somewhere_and_nothing_is_told_of_the_machine_it_was_written_on(text: str) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
    assert (
        re.findall(r"(?<![\w.])/(?:work|tmp|root|home|opt|Users)/\S*|pypi\S*|https?://(?!127\.0\.0\.1)\S+", text) == []
    )


def test_the_guides_carry_the_same_commands_and_each_is_one() -> None:
    english, chinese = (commands(path.read_text(encoding="utf-8")) for path in GUIDES)
    assert english == chinese
    for command in english:
        _, verb, *words = command.split()
        found = import_module(f"rollout.cli.{verb.replace('-', '_')}").command
        if isinstance(found, click.Group):
            found = found.commands[words[0]]
        known = {name for parameter in found.params for name in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, command


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_the_guides_explain_every_setting_and_their_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    told = {word for quoted in re.findall(r"`([^`\n]+)`", text) for word in re.findall(r"\w+", quoted)}
    assert {
        f"{model.__name__}.{name}" for model in SETTINGS for name in model.model_fields if name not in told
    } == set()
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.fixture
def shell(tmp_path: Path, make_rollout) -> Callable[[str], str]:
    """Runs README commands one after another, as a shell in a checkout does: `demo` and `.venv` are at hand."""
    rollout = make_rollout(waves=True, whole=True)
    (tmp_path / "demo").symlink_to(rollout.root)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    environ = os.environ | rollout.environ | {"USER": "tester", "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}
    folder = tmp_path

    def run(command: str) -> str:
        nonlocal folder
        if command.startswith("cd "):
            folder /= command.removeprefix("cd ")
            return ""
        done = subprocess.run(
            ["bash", "-euc", command],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            env=environ,
            timeout=COMMAND_S,
            check=False,
        )
        assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        if code := re.search(r"personal code, shown only now: (\S+)", done.stdout):
            environ["ROLLOUT_CODE"] = code[1]  # what a person types when `approve` asks
        return done.stdout

    return run


@pytest.mark.attack
def test_the_demos_commands(shell) -> None:
    signed = " --by first --reason agreed"
    for phase in ("cleanse", "people add first", "dormant decide --all frozen" + signed, "cleanse"):
        shell(OF_THE_DEMO + phase)
    for wave, after in (("pilot", "decide pilot --go --override" + signed), ("rest", "status")):
        for phase in (f"plan --wave {wave}", "approve" + signed, "load", after):
            shell(OF_THE_DEMO + phase)
    said = {command.removeprefix(OF_THE_DEMO): shell(command) for command in DEMO if command not in MEASURED}
    assert "Where the rollout is" in said["status"]
    answer = json.loads(said["load --json"])
    assert (answer["state"], answer["accounted"]) == ("already_applied", True)
    sources = {name: line["source"] for name, line in answer["entities"].items()}
    assert (sources["account"], sources["contact"], len(sources)) == (233, 288, 10)
    assert "3 pairs wait for people" in said["review list"]
    undone = json.loads(said["undo --json"])
    loaded = sum(line["unchanged"] for line in answer["entities"].values())
    assert (undone["state"], undone["deleted"], undone["kept"], undone["conflicts"]) == ("applied", loaded, 0, 0)


@pytest.mark.attack
def test_ones_own_rollout(shell) -> None:
    said = {command: shell(command) for command in OWN}
    assert said["rollout check"].startswith("project and mappings are in order")
    load, verify = said["rollout load"], said["rollout verify"]
    assert re.search(r"source +│ +3 │", load)
    assert re.search(r"created +│ +2 │", load)
    assert re.search(r"merged +│ +1 │", load)
    assert "Gate load: PASS" in verify
    assert "Gate verify: PASS" in verify
    assert "Next: nothing; the CRM is live." in said["rollout status"]


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """The checkout as somebody else gets it; whatever a failed test leaves running is stopped."""
    folder = tmp_path / "clone"
    if (ROOT / ".git").exists():
        subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True, timeout=COMMAND_S)
    else:
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".venv", ".rollout", "__pycache__", ".*_cache"))
    yield folder
    if (folder / ".venv" / ".runtime").exists():
        make(folder, "make stop", COMMAND_S)


def in_clone(folder: Path) -> dict[str, str]:
    """The environment of somebody who has Python and nothing else of ours."""
    return os.environ | {"PYTHON": sys._base_executable, "HOME": str(folder.parent)}


def make(folder: Path, command: str, timeout_s: float) -> str:
    done = subprocess.run(
        command.split(),
        capture_output=True,
        text=True,
        cwd=folder,
        env=in_clone(folder),
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def figures(said: str, name: str) -> list[list[int]]:
    """A bucket of each of the demo's conservation tables, entity by entity, in the order of the loads."""
    found = []
    for head, body in re.findall(r"Where every source row is *\n┏.*\n┃(.*)┃\n┡.*\n((?:│.*│\n)+)", said):
        names = [cell.strip() for cell in head.split("┃")]
        rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in body.splitlines()]
        found.append([int(row[names.index(name)].replace(",", "")) if name in names else 0 for row in rows])
    return found


def left_by(folder: Path) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(str(folder) in argument for argument in process.info["cmdline"] or [])
    ]


@pytest.mark.attack
@pytest.mark.alone
@pytest.mark.xdist_group("platform")
def test_the_platform_on_a_fresh_clone(clone: Path) -> None:
    first = make(clone, "make demo", INSTALL_S)
    assert "Next: nothing; the CRM is live." in first, first
    assert "GateFailed-load" not in first
    assert "coverage 0.846154 (needs >= 0.95)" in first, "the gate that blocks"
    assert json.loads(make(clone, OF_THE_DEMO + "load --json", COMMAND_S))["accounted"] is True
    integrate, loadtest, month = (json.loads(make(clone, command, COMMAND_S)) for command in MEASURED)
    assert (integrate["verdict"], loadtest["verdict"]) == ("PASS", "PASS")
    assert loadtest["users_reached"] >= 100
    assert (month["faults_found"], month["false_alarms"]) == (month["faults_seeded"], 0)

    again = make(clone, "make demo", DEMO_S)
    tried, pilot, rest = figures(first, "created")
    assert figures(again, "unchanged") == [[a + b for a, b in zip(tried, pilot, strict=True)], rest]
    assert figures(again, "created") == figures(again, "updated") == [[0] * len(rest)] * 2

    output = clone.parent / "ui.txt"
    with output.open("wb") as stream:
        ui = subprocess.Popen(
            ["make", "ui"], stdout=stream, stderr=stream, cwd=clone, env=in_clone(clone), start_new_session=True
        )
    try:
        deadline = time.monotonic() + UI_S
        while "in a browser" not in output.read_text(encoding="utf-8"):
            assert ui.poll() is None, output.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, output.read_text(encoding="utf-8")
            time.sleep(0.5)
        said = output.read_text(encoding="utf-8")
        assert all(name in said for name in ("testbed-crm", "reports", "prefect-server", "prefect-worker")), said
    finally:
        if ui.poll() is None:
            os.killpg(ui.pid, signal.SIGINT)  # Ctrl-C reaches make and what it runs
            ui.wait(COMMAND_S)

    assert "postgresql" in make(clone, "make stop", COMMAND_S)
    assert left_by(clone) == []

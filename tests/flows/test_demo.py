"""The demo's phases: how each ends, and what is said when the window on them, Prefect, is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from demo_company import Company
from demo_story import DemoError, LostPrefectError, Story
from prefect.states import Completed, Crashed, Failed
from rich.console import Console
from services import Services

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def services(tmp_path, monkeypatch):
    folder = tmp_path / "company"
    shutil.copytree(ROOT / "demo", folder, ignore=shutil.ignore_patterns(".rollout"))
    return Services.of(folder)


@pytest.fixture
def story(services):
    """The story before anything of it happened; nothing runs that it could talk to."""
    return Story(services, Company("http://127.0.0.1:9", "none"), "somebody", "code", Console(quiet=True))


def ends(state):
    return lambda _options, *, return_state: state


def breaks(_options, *, return_state):
    raise OSError("what Prefect's client raises, of many kinds")


def test_a_phase_answers_its_summary(story):
    assert story.phase("plan", ends(Completed(data=7)), None) == 7


def test_a_planted_failure_must_be_found(services, story, monkeypatch):
    """Where the demo planted something, a phase that completes is what must not happen."""
    monkeypatch.setattr(services, "prefect_answers", lambda: True)
    assert story.phase("verify", ends(Failed(name="GateFailed-load")), None, ends="GateFailed-load") is None
    with pytest.raises(DemoError, match="verify ended as Completed"):
        story.phase("verify", ends(Completed(message="fine")), None, ends="GateFailed-load")


def test_a_gate_that_could_not_be_judged_stops_the_demo(services, story, monkeypatch):
    monkeypatch.setattr(services, "prefect_answers", lambda: True)
    with pytest.raises(DemoError, match="loadtest ended as AwaitingDecision"):
        story.phase("loadtest", ends(Completed(name="AwaitingDecision", message="INCONCLUSIVE")), None)


@pytest.mark.parametrize("flow", [breaks, ends(Crashed(message="gone")), ends(Failed(message="gone"))])
def test_a_lost_prefect_server_is_told_with_the_next_step(story, flow):
    """No server runs: it was killed, say."""
    with pytest.raises(LostPrefectError, match=r"(?s)lost during plan; its log: .*journal. → run `make demo` again"):
        story.phase("plan", flow, None)


@pytest.mark.parametrize("state", [Crashed(message="why"), Failed(message="why")])
def test_a_phase_that_did_not_complete_stops_the_demo(services, story, monkeypatch, state):
    monkeypatch.setattr(services, "prefect_answers", lambda: True)
    with pytest.raises(DemoError, match=f"plan ended as {state.name}: why"):
        story.phase("plan", ends(state), None)


def test_a_bug_of_ours_keeps_its_traceback(services, story, monkeypatch):
    monkeypatch.setattr(services, "prefect_answers", lambda: True)
    with pytest.raises(OSError, match="of many kinds"):
        story.phase("plan", breaks, None)

"""The demo's phases: how each ends, and what is said when the window on them, Prefect, is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from prefect.states import Completed, Crashed, Failed
from services import Services

from demo import DemoError, LostPrefectError, _phase

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def services(tmp_path, monkeypatch):
    folder = tmp_path / "company"
    shutil.copytree(ROOT / "demo", folder, ignore=shutil.ignore_patterns(".rollout", "legacy"))
    return Services.of(folder)


def ends(state):
    return lambda _options, *, return_state: state


def breaks(_options, *, return_state):
    raise OSError("what Prefect's client raises, of many kinds")


def test_a_phase_answers_its_summary(services):
    assert _phase(services, "plan", ends(Completed(data=7)), None) == 7


@pytest.mark.parametrize("flow", [breaks, ends(Crashed(message="gone")), ends(Failed(message="gone"))])
def test_a_lost_prefect_server_is_told_with_the_next_step(services, flow):
    """No server runs: it was killed, say."""
    with pytest.raises(LostPrefectError, match=r"(?s)lost during plan; its log: .*journal. → run `make demo` again"):
        _phase(services, "plan", flow, None)


@pytest.mark.parametrize("state", [Crashed(message="why"), Failed(message="why")])
def test_a_phase_that_did_not_complete_stops_the_demo(services, monkeypatch, state):
    monkeypatch.setattr(services, "prefect_answers", lambda: True)
    with pytest.raises(DemoError, match=f"plan ended as {state.name}: why"):
        _phase(services, "plan", ends(state), None)


def test_a_bug_of_ours_keeps_its_traceback(services, monkeypatch):
    monkeypatch.setattr(services, "prefect_answers", lambda: True)
    with pytest.raises(OSError, match="of many kinds"):
        _phase(services, "plan", breaks, None)

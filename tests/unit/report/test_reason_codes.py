"""The taxonomy of reason codes: complete, and the page says what the code does."""

from __future__ import annotations

from pathlib import Path

from rollout.model.choice import BY_FIELD, GIVING_UP, OF_UNKNOWN, WITH_ID, Choice, choices
from rollout.report import reason_codes
from rollout.report.reason_codes import reason_page

PAGE = Path(__file__).parents[3] / "docs" / "reason-codes.md"


def test_the_page_is_what_the_code_says():
    assert PAGE.read_text(encoding="utf-8") == reason_page(), (
        "write it anew: python -c 'from rollout.report.reason_codes import reason_page as p; print(p(), end=\"\")'"
    )


def test_every_code_of_the_queue_can_be_decided():
    for state in ("rejected", "conflict", "waiting", "unknown", "intent", "skipped"):
        for code in (*reason_codes.QUEUE, "a_connector_s_own", None):
            for is_update in (True, False):
                may = choices(state, code, is_update=is_update)
                assert may
                assert len(set(may)) == len(may)


def test_choices_of_unknown_rows_are_for_them_alone():
    for state in ("rejected", "waiting", "skipped"):
        assert set(choices(state, "required_missing", is_update=True)).isdisjoint(OF_UNKNOWN)
    assert choices("conflict", "outcome_unknown", is_update=False) == OF_UNKNOWN


def test_every_choice_is_offered_somewhere():
    offered = {
        choice
        for state in ("rejected", "conflict", "waiting", "unknown")
        for code in reason_codes.QUEUE
        for is_update in (True, False)
        for choice in choices(state, code, is_update=is_update)
    }
    assert offered == set(Choice)
    assert not set(BY_FIELD) & set(WITH_ID)
    assert not set(BY_FIELD) & set(GIVING_UP)

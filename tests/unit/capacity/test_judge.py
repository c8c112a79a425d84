"""Samples to figures to a verdict, on tests made up by hand."""

from __future__ import annotations

import pytest

from rollout.capacity import judge
from rollout.capacity.recording import Mark, Recording, Sample, Stored
from rollout.model.loadtest import LoadSettings
from rollout.model.verdict import Verdict, judge_gate
from rollout.project.gates import DEFAULT_CRITERIA

SETTINGS = LoadSettings(
    host="http://crm:80", users=100, ramp_s=5, hold_s=20, think_s=(1.0, 3.0), mix={"create_account": 1}
)
COMPLETE = (Mark("began", 0.0), Mark("hold_began", 5.0), Mark("hold_ended", 25.3))


def busy(users: int = 100, *, seconds: float = 0.1, until_s: float = 25.0, every_s: float = 2.0) -> list[Sample]:
    """Each user sends a request every two seconds, one after the other."""
    return [
        Sample(turn * every_s + 0.01 * user, seconds, user, users, "create_account")
        for user in range(users)
        for turn in range(int(until_s / every_s))
    ]


def recording(samples: list[Sample], *, marks: tuple[Mark, ...] = COMPLETE, stored: int = 50) -> Recording:
    said = tuple(Stored("account", f"k{number}", "name", "n") for number in range(stored))
    return Recording(tuple(samples), said, marks)


def verdicts(test: Recording, *, found: int | None = None) -> dict[str, Verdict]:
    """The verdict of each criterion, and of the gate as `gate`."""
    figures = judge.figures(test, SETTINGS, found_stored=len(test.stored) if found is None else found)
    gate = judge_gate("loadtest", list(DEFAULT_CRITERIA["loadtest"]), judge.measurements(figures))
    return {result.metric: result.verdict for result in gate.criteria} | {"gate": gate.verdict}


def test_a_healthy_test_passes():
    assert set(verdicts(recording(busy())).values()) == {Verdict.PASS}


def test_sixty_users_are_not_a_hundred_whatever_was_asked_for():
    told = verdicts(recording(busy(60)))
    assert told["users_reached"] is told["gate"] is Verdict.FAIL


def test_users_who_leave_before_the_end_are_missing():
    leavers = [sample for sample in busy() if sample.user < 90 or sample.at_s < 12]
    figures = judge.figures(recording(leavers), SETTINGS, found_stored=50)
    assert figures.users_reached == 90


def test_a_user_without_a_good_answer_is_not_at_work():
    samples = busy(99) + [Sample(2.0 * turn, 0.1, 99, 100, "create_account", "http_500") for turn in range(12)]
    assert judge.figures(recording(samples), SETTINGS, found_stored=50).users_reached == 99


def test_a_pause_is_work_and_a_single_failure_stops_nobody():
    samples = [
        Sample(sample.at_s, sample.seconds, sample.user, 100, sample.name, "http_500" if sample.at_s == 10.0 else "")
        for sample in busy()
    ]
    figures = judge.figures(recording(samples), SETTINGS, found_stored=50)
    assert (figures.users_reached, figures.failed) == (100, 1)


def test_fast_failures_make_no_mean_look_good():
    failures = [Sample(6.0 + 0.01 * number, 0.001, number % 100, 100, "x", "http_500") for number in range(900)]
    slow = busy(seconds=4.0)
    figures = judge.figures(recording(slow + failures), SETTINGS, found_stored=50)
    assert figures.mean_s == pytest.approx(4.0)
    told = verdicts(recording(slow + failures))
    assert told["mean_s"] is told["error_rate"] is told["gate"] is Verdict.FAIL


def test_only_failures_fail_and_do_not_pass_for_lack_of_evidence():
    failures = [Sample(6.0 + 0.01 * number, 0.001, number % 100, 100, "x", "http_500") for number in range(900)]
    told = verdicts(recording(failures, stored=0))
    assert told["mean_s"] is Verdict.INCONCLUSIVE
    assert told["error_rate"] is told["users_reached"] is told["requests"] is told["gate"] is Verdict.FAIL


def test_what_was_said_to_be_stored_and_is_not_fails():
    told = verdicts(recording(busy()), found=49)
    assert told["stored_share"] is told["gate"] is Verdict.FAIL


def test_nothing_stored_and_nobody_to_ask_decide_nothing():
    assert verdicts(recording(busy(), stored=0))["gate"] is Verdict.INCONCLUSIVE
    figures = judge.figures(recording(busy()), SETTINGS, found_stored=None)
    assert figures.stored_share is None


@pytest.mark.parametrize("marks", [(), COMPLETE[:1], COMPLETE[:2], (*COMPLETE[:2], Mark("hold_ended", 24.9))])
def test_a_test_that_ended_before_its_time_decides_nothing(marks):
    assert verdicts(recording(busy(), marks=marks))["gate"] is Verdict.INCONCLUSIVE


def test_an_empty_recording_decides_nothing():
    assert verdicts(Recording(marks=COMPLETE))["gate"] is Verdict.INCONCLUSIVE
    assert verdicts(Recording())["gate"] is Verdict.INCONCLUSIVE


def test_only_the_hold_counts_and_a_late_answer_to_a_request_of_the_hold_does():
    ramp, held, hung, later = (
        Sample(1.0, 9.0, 1, 1, "x"),
        Sample(5.0, 1.0, 1, 1, "x"),
        Sample(24.0, 30.0, 1, 1, "x"),
        Sample(25.0, 9.0, 1, 1, "x"),
    )
    figures = judge.figures(recording([ramp, held, hung, later]), SETTINGS, found_stored=50)
    assert (figures.requests, figures.mean_s, figures.p95_s) == (2, 15.5, 30.0)


def test_the_series_shows_the_whole_test_and_stays_short():
    long = [Sample(float(second), 0.5, 1, second, "x") for second in range(1000)]
    series = judge.figures(recording(long), SETTINGS, found_stored=50).series
    assert len(series) <= judge.MAX_POINTS
    assert sum(point.ok_per_s for point in series) * (series[1].at_s - series[0].at_s) == pytest.approx(1000)


def test_throughput_is_told_by_the_number_of_users_and_without_logins():
    samples = [Sample(second + 0.1 * turn, 0.01, 1, 10 * (second + 1), "x") for second in range(5) for turn in range(3)]
    samples += [Sample(0.5, 0.2, 2, 10, judge.LOG_IN)]
    buckets = judge.figures(recording(samples), SETTINGS, found_stored=50).by_users
    assert [(bucket.users_from, bucket.users_to, bucket.ok_per_s) for bucket in buckets] == [
        (first, first + 9, 3.0) for first in (1, 11, 21, 31, 41)
    ]


def test_errors_are_counted_by_kind_and_activity_most_frequent_first():
    samples = [Sample(6.0, 0.1, 1, 1, "b", "http_500")] + [Sample(7.0, 0.1, 1, 1, "a", "not_stored")] * 2
    errors = judge.figures(recording(samples), SETTINGS, found_stored=50).errors
    assert [(error.kind, error.activity, error.count) for error in errors] == [
        ("not_stored", "a", 2),
        ("http_500", "b", 1),
    ]

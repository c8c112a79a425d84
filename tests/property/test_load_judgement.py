"""Laws of judging a load test: order means nothing, and failures never help."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from rollout.capacity import judge
from rollout.capacity.recording import Mark, Recording, Sample, Stored
from rollout.model.loadtest import LoadSettings
from rollout.model.verdict import Criterion, Verdict, judge_gate
from rollout.project.gates import DEFAULT_CRITERIA

SETTINGS = LoadSettings(host="http://crm:80", users=4, ramp_s=2, hold_s=10, think_s=(0.5, 1.0), mix={"x": 1})
MARKS = (Mark("hold_began", 2.0), Mark("hold_ended", 12.0))
STORED = tuple(Stored("account", str(number), "name", "n") for number in range(20))
RANK = {Verdict.FAIL: 0, Verdict.INCONCLUSIVE: 1, Verdict.PASS: 2}

seconds = st.floats(0, 15, allow_nan=False)
good = st.builds(
    Sample, at_s=seconds, seconds=st.floats(0, 5), user=st.integers(1, 5), users=st.integers(0, 5), name=st.just("x")
)
bad = st.builds(
    Sample,
    at_s=seconds,
    seconds=st.floats(0, 0.01),
    user=st.integers(1, 5),
    users=st.integers(0, 5),
    name=st.just("x"),
    error=st.sampled_from(["http_500", "no_answer", "not_stored"]),
)


def criteria() -> list[Criterion]:
    """The method's own, with thresholds that a few samples can reach."""
    small = {"users_reached": 2, "requests": 4, "mean_s": 2.0, "p95_s": 4.0, "error_rate": 0.3, "stored_share": 1}
    return [
        criterion.model_copy(update={"threshold": small[criterion.metric], "min_evidence": 1})
        for criterion in DEFAULT_CRITERIA["loadtest"]
    ]


def verdict(samples: list[Sample], found: int = len(STORED)) -> Verdict:
    figures = judge.figures(Recording(tuple(samples), STORED, MARKS), SETTINGS, found_stored=found)
    return judge_gate("loadtest", criteria(), judge.measurements(figures)).verdict


@given(st.lists(good, max_size=30), st.lists(bad, max_size=10), st.randoms(use_true_random=False))
def test_the_order_of_samples_is_irrelevant(well, badly, rng: random.Random):
    samples = well + badly
    shuffled = rng.sample(samples, len(samples))
    figures = [
        judge.figures(Recording(tuple(some), STORED, MARKS), SETTINGS, found_stored=20) for some in (samples, shuffled)
    ]
    assert figures[0] == figures[1]


@given(st.lists(good, max_size=40), st.lists(bad, max_size=10), st.lists(bad, min_size=1, max_size=20))
def test_more_failures_however_fast_never_improve_the_verdict(well, badly, more):
    before, after = verdict(well + badly), verdict(well + badly + more)
    # Without any request in the hold nothing was known; failures are then the first evidence there is.
    assert RANK[after] <= RANK[before]


@given(st.lists(good, max_size=40), st.integers(0, 20), st.integers(0, 20))
def test_losing_more_records_never_improves_the_verdict(samples, one, other):
    less, more = sorted((one, other))
    assert RANK[verdict(samples, less)] <= RANK[verdict(samples, more)]


@given(st.lists(good, max_size=60))
def test_users_at_work_are_never_more_than_users_with_a_good_answer(samples):
    figures = judge.figures(Recording(tuple(samples), STORED, MARKS), SETTINGS, found_stored=20)
    assert figures.users_reached is not None
    assert figures.users_reached <= len({sample.user for sample in samples})
    assert sum(activity.ok for activity in figures.activities) == figures.requests

"""People's answers: no conclusion while lines are open, except that too much is already wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.model.verdict import Comparison, Criterion, Verdict, judge
from rollout.project.gates import criteria
from rollout.project.spec import GateSpec
from rollout.verify.people import BOUND, CHECKED, people_measurements, people_result
from rollout.verify.sample import proving_size
from tests.unit.verify._projects import project

LIMIT = 0.05
CRITERIA = (
    Criterion(metric=BOUND, comparison=Comparison.AT_MOST, threshold=LIMIT),
    Criterion(metric=CHECKED, comparison=Comparison.AT_LEAST, threshold=1),
)


def result(asked=None, *, right=None, wrong=0, lapsed=0, population=2_000, entity="account"):
    asked = proving_size(population, max_wrong_share=LIMIT, confidence=0.95) if asked is None else asked
    right = asked - wrong if right is None else right
    return people_result(entity, population, asked=asked, right=right, wrong=wrong, lapsed=lapsed, confidence=0.95)


def verdicts(*results):
    found = {item.metric: item for item in people_measurements(results, limit=LIMIT)}
    return tuple(judge(criterion, found[criterion.metric]).verdict for criterion in CRITERIA)


def test_a_sample_in_which_everything_is_right_proves_what_it_was_drawn_for():
    found = result()
    assert (found.open, found.bound <= LIMIT) == (0, True)
    assert verdicts(found) == (Verdict.PASS, Verdict.PASS)


def test_one_record_less_would_not_have_proved_it():
    assert result(result().asked - 1).bound > LIMIT


def test_one_wrong_record_is_more_than_the_smallest_sample_allows():
    assert verdicts(result(wrong=1)) == (Verdict.FAIL, Verdict.PASS)


@pytest.mark.parametrize("given", [{"right": 56}, {"right": 0}, {"right": 56, "lapsed": 1}])
def test_an_open_line_is_missing_evidence_and_never_a_pass(given):
    found = result(**given)
    assert found.bound is None
    assert verdicts(found) == (Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE)


def test_what_is_wrong_beyond_all_doubt_fails_before_everybody_answered():
    assert verdicts(result(right=10, wrong=3)) == (Verdict.FAIL, Verdict.INCONCLUSIVE)


def test_no_entity_hides_behind_another():
    assert verdicts(result(), result(entity="order", wrong=2))[0] is Verdict.FAIL
    assert verdicts(result(), result(entity="order", right=3))[0] is Verdict.INCONCLUSIVE


def test_an_entity_of_which_nothing_was_loaded_has_nothing_to_check_and_proves_nothing_alone():
    empty = result(0, population=0, entity="campaign")
    assert verdicts(result(), empty) == (Verdict.PASS, Verdict.PASS)
    assert verdicts(empty) == (Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE)
    assert verdicts() == (Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE)


def test_more_answers_than_questions_are_no_result():
    with pytest.raises(ValueError, match="3 \\+ 1 answers about 3"):
        result(3, right=3, wrong=1)


@given(st.integers(1, 400), st.data())
def test_open_lines_can_only_make_it_worse(population, data):
    asked = data.draw(st.integers(1, population))
    wrong = data.draw(st.integers(0, asked))
    more = data.draw(st.integers(wrong, asked))
    before = result(asked, right=0, wrong=wrong, population=population)
    after = result(asked, wrong=more, population=population)
    assert before.at_best <= after.bound


def test_it_is_shown_once_people_are_asked_and_stops_nobody_unless_the_project_says_so():
    plain = project()
    assert not {BOUND, CHECKED} & {item.metric for item in criteria(plain, "verify")}
    shown = {item.metric: item.blocking for item in criteria(plain, "verify", people=True)}
    assert (shown[BOUND], shown[CHECKED]) == (False, False)
    gate = GateSpec(criteria=(CRITERIA[0].model_copy(update={"threshold": 0.02}),))
    declared = {item.metric: item for item in criteria(project(gates={"verify": gate}), "verify", people=True)}
    assert (declared[BOUND].blocking, declared[BOUND].threshold, declared[CHECKED].blocking) == (True, 0.02, False)

"""The load test report: well-formed, escaped, self-contained, and its plots lie where the figures say."""

from __future__ import annotations

import re

import pytest

from rollout.capacity import judge
from rollout.capacity.recording import Mark, Recording, Sample, Stored
from rollout.model.finding import Finding, Level
from rollout.model.loadtest import LoadSettings
from rollout.model.verdict import judge_gate
from rollout.project.gates import DEFAULT_CRITERIA
from rollout.report import plots
from rollout.report.loadtest import LoadTestDocument, load_plot, render_loadtest, time_plot

from ._samples import AT

SETTINGS = LoadSettings(
    host="crm-test:8443",
    users=10,
    ramp_s=5,
    hold_s=10,
    think_s=(1.0, 3.0),
    mix={"create_account": 3, "open_account": 1},
)
SAMPLES = tuple(
    Sample(0.5 * turn + 0.01 * user, 0.2, user, user + 1, "create_account", "http_503" if turn == 20 else "")
    for turn in range(30)
    for user in range(10)
)
MARKS = (Mark("hold_began", 5.0), Mark("hold_ended", 15.0))


def document(text: str = "恒泰", *, samples: tuple[Sample, ...] = SAMPLES, **changes: object) -> LoadTestDocument:
    stored = tuple(Stored("account", str(number), "name", "n") for number in range(30))
    figures = judge.figures(Recording(samples, stored, MARKS), SETTINGS, found_stored=30)
    return LoadTestDocument(
        project=text,
        company=text,
        target=text,
        run_id="ab" * 16,
        written_at=AT,
        settings=SETTINGS,
        asked=SETTINGS,
        figures=figures,
        gate=judge_gate("loadtest", list(DEFAULT_CRITERIA["loadtest"]), judge.measurements(figures)),
        key_prefix=f"loadtest:{text}:",
        removed=30,
        not_removed=0,
        leftovers_removed=0,
        findings=(Finding(id="acme.own", level=Level.INFO, message=text, where=text, hint=text),),
    ).model_copy(update=changes)


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("samples", [SAMPLES, ()])
def test_it_is_well_formed_self_contained_and_reproducible(language, samples, parse):
    html = render_loadtest(document(samples=samples), language)
    root = parse(html)
    assert not root.findall(".//script")
    assert not re.search(r"https?://|url\((?!#)|@import|\ssrc=|\shref=", html)
    assert bool(root.findall(".//svg/svg/polyline")) is bool(samples)
    assert render_loadtest(document(samples=samples), language) == html


@pytest.mark.parametrize("language", ["zh", "en"])
def test_data_stays_text(language, parse):
    evil = "<script>alert('x')</script>\"&"
    root = parse(render_loadtest(document(evil), language))
    assert not root.findall(".//script")
    assert evil in "".join(root.itertext())


def test_it_says_what_failed_and_how_and_that_less_was_run():
    less = SETTINGS.model_copy(update={"users": 100})
    html = render_loadtest(document(asked=less), "zh")
    assert all(words in html for words in ("不通过", "HTTP 503", "结果仅供参考", "少于要求"))
    assert "结果仅供参考" not in render_loadtest(document(), "zh")


def test_plots_lie_where_the_figures_say():
    placed = time_plot(document())
    assert placed.hold is not None
    begin, width = placed.hold
    assert (begin, begin + width) == (placed.x.at(5), placed.x.at(15))
    assert placed.limit is None  # 3 s would press a line at 0.2 s flat
    ((across, down),) = load_plot(document()).dots  # in each second the tenth user answered
    assert (across, down > 0) == (100.0, True)


def test_an_axis_reaches_all_values_in_round_steps():
    axis = plots.axis([0.3, None, 1.7], least=1)
    assert [(tick.label, tick.percent) for tick in axis.ticks] == [
        ("0", 0),
        ("0.5", 25),
        ("1", 50),
        ("1.5", 75),
        ("2", 100),
    ]
    assert plots.lines([(0, 0.0), (1, None), (2, 2.0)], plots.axis([2], least=1), axis) == ("0.0,100.0", "100.0,0.0")
    assert plots.area([], axis, axis) == ""

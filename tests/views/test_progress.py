"""The progress page: what it counts, what it expects, and that it stands alone."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

import pytest

from labkit.errors import InputError
from labkit.views.progress import RunState, duration, progress_page, time_left

NOW = datetime(2020, 6, 10, 12, tzinfo=UTC)


def states():
    return [
        RunState("CN-E", 0, state="done", epoch=10, epochs=10, accuracy=0.9, measured_epochs=10, seconds=50),
        RunState("CN-E", 1, state="running", epoch=4, epochs=10, accuracy=0.8, measured_epochs=4, seconds=20),
        RunState("CN-E", 2, epochs=10),
        RunState("MN-E", 0, 3, state="failed", epochs=10, message="TrainingError: loss < 0 & odd"),
    ]


def test_time_left_follows_the_pace_of_each_experiment():
    assert time_left(states()) == pytest.approx((6 + 10) * 5)
    assert time_left(states(), workers=2) == pytest.approx((6 + 10) * 5 / 2)
    assert time_left(states(), workers=8) == pytest.approx((6 + 10) * 5 / 2), "two runs keep two workers busy"
    slow = RunState("MN-E", 1, state="running", epoch=1, epochs=3, measured_epochs=1, seconds=100)
    unknown = RunState("VGG19", 0, epochs=2)
    assert time_left([*states(), slow, unknown]) == pytest.approx(80 + 2 * 100 + 2 * (5 + 100) / 2)


def test_runs_that_were_done_before_tell_nothing_about_the_pace():
    before = RunState("CN-E", 0, state="done", epoch=10, epochs=10)
    assert math.isnan(time_left([before, RunState("CN-E", 1, epochs=10)]))
    assert time_left(states()[:1]) == 0


@pytest.mark.parametrize(
    ("seconds", "words"), [(40, "40 s"), (720, "12 min"), (12600, "3.5 h"), (math.nan, "")]
)
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words


def test_the_page_shows_every_run_and_reloads_itself():
    page = progress_page(states(), title="Sweep", elapsed_s=70, dashboard="http://host:8787/status", now=NOW)
    assert "1 of 4 runs done" in page
    assert "70 s so far" in page
    assert "about 80 s left" in page
    assert page.count('class="run"') == 4
    assert "epoch 4 of 10" in page
    assert "seed 0, fold 3" in page
    assert "TrainingError: loss &lt; 0 &amp; odd" in page
    assert '<a href="http://host:8787/status">' in page
    assert 'http-equiv="refresh"' in page
    assert 'data-written="2020-06-10T12:00:00+00:00"' in page


def test_the_page_stands_alone_and_rests_when_all_is_over():
    page = progress_page(states(), title="Sweep", elapsed_s=70, dashboard="http://host:8787", ended=True)
    assert not re.findall(r'(?:src|href)="', page), "nothing is fetched, and a closed dashboard is not linked"
    assert 'http-equiv="refresh"' not in page
    assert "left" not in page.split("<table>")[0].split("<body")[1]
    assert 'data-ended="yes"' in page


def test_titles_are_text():
    assert "<b>x</b>" not in progress_page([RunState("<b>x</b>", 0)], title="<b>x</b>", elapsed_s=0)


def test_states_are_known():
    with pytest.raises(InputError, match="state must be one of .*, got 'lost'"):
        RunState("CN-E", 0, state="lost")

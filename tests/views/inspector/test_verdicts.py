"""The journal: nothing is lost, the last line counts, and every step can be taken back."""

import csv
import os
import signal
import stat
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import InputError
from labkit.sample import Sample
from labkit.sample.labels import with_labels
from labkit.views.inspector.verdicts import COLUMNS, Journal


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "verdicts.csv"


def test_a_verdict_is_on_disk_before_the_call_returns(path):
    journal = Journal(path, user="ada")
    said = journal.say("X1", "relabel", label="cluster", note="a\nnote, \"quoted\"", experiment="CN-E",
                       threshold=0.5, probability=0.93)  # fmt: skip
    (line,) = rows(path)
    assert tuple(line) == COLUMNS
    assert line == {
        "object_id": "X1", "verdict": "relabel", "label": "cluster", "note": 'a note, "quoted"',
        "experiment": "CN-E", "threshold": "0.5", "probability": "0.93", "user": "ada", "time": said.time,
    }  # fmt: skip
    assert said.time.endswith("+00:00")
    assert Journal(path).current == {"X1": said}


def test_the_last_line_of_an_object_counts_and_a_note_outlives_a_verdict(path):
    journal = Journal(path)
    journal.say("X1", "doubtful", note="ghost of a star")
    journal.say("X2", "agree", label="other")
    journal.say("X1", "relabel", label="cluster")
    again = Journal(path)
    assert again.current["X1"].label == "cluster"
    assert again.current["X1"].note == "ghost of a star"
    assert (len(again.current), again.lines) == (2, 3)


def test_undo_and_redo_write_lines_too(path):
    journal = Journal(path)
    journal.say("X1", "agree", label="a")
    journal.say("X1", "relabel", label="b")
    assert journal.undo().label == "a"
    assert journal.undo().verdict == "withdrawn"
    assert journal.undo() is None
    assert not journal.current["X1"].counts
    assert journal.redo().label == "a"
    assert journal.redo().label == "b"
    assert journal.redo() is None
    assert journal.undo().label == "a"
    journal.say("X1", "doubtful")
    assert journal.redo() is None, "a new verdict ends what could be said again"
    assert [line["verdict"] for line in rows(path)] == [
        "agree", "relabel", "agree", "withdrawn", "agree", "relabel", "agree", "doubtful",
    ]  # fmt: skip


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.sampled_from("AB"), st.sampled_from("xyz")), min_size=1, max_size=6))
def test_undoing_everything_leaves_nothing_and_redoing_brings_it_back(tmp_path_factory, said):
    journal = Journal(tmp_path_factory.mktemp("journal") / "v.csv")
    for name, label in said:
        journal.say(name, "relabel", label=label)
    end = {name: verdict.label for name, verdict in journal.current.items()}
    while journal.undo():
        pass
    assert not any(verdict.counts for verdict in journal.current.values())
    while journal.redo():
        pass
    assert {name: verdict.label for name, verdict in journal.current.items()} == end


def test_two_inspectors_see_each_other_and_do_not_undo_each_other(path):
    one, two = Journal(path, user="one"), Journal(path, user="two")
    one.say("X1", "agree", label="a")
    two.say("X1", "doubtful")
    with pytest.raises(InputError, match="X1 was judged again by two; nothing was undone"):
        one.undo()
    assert one.current["X1"].user == "two"
    assert two.undo().verdict == "agree"
    assert len(rows(path)) == 3


def test_writers_at_the_same_time_lose_no_line(path):
    def judge(user: str) -> None:
        journal = Journal(path, user=user)
        for number in range(40):
            journal.say(f"X{number}", "agree", label="a")

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(judge, "abc"))
    found = [(line["user"], line["object_id"]) for line in rows(path)]
    assert sorted(found) == sorted((user, f"X{number}") for user in "abc" for number in range(40))


def test_a_killed_writer_loses_nothing_that_was_said(path):
    script = textwrap.dedent(f"""
        from labkit.views.inspector.verdicts import Journal
        journal = Journal({str(path)!r}, user="killed")
        for number in range(10**6):
            journal.say(f"X{{number}}", "doubtful", note="it's \\"so\\"")
            print(number, flush=True)
    """)
    here = Journal(path, user="here")
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for number in range(20):  # both write in turns
            said = int(process.stdout.readline())
            here.say(f"Y{number}", "agree", label="a")
        os.kill(process.pid, signal.SIGKILL)
        said = max([said, *(int(line) for line in process.stdout if line.strip())])
    found = [(line["user"], line["object_id"]) for line in rows(path)]
    assert {("killed", f"X{number}") for number in range(said + 1)} <= set(found)
    assert {("here", f"Y{number}") for number in range(20)} <= set(found)
    here.say("after", "agree", label="a")
    assert {"after", "X0", "Y19"} <= set(Journal(path).current)


@pytest.mark.parametrize("torn", [b"X2,agree,clu", b'X2,note,,"an open quo', b"X2,guess,,,,,,,\n"])
def test_torn_and_foreign_lines_spoil_no_other(path, torn):
    journal = Journal(path)
    journal.say("X1", "agree", label="a")
    with path.open("ab") as file:
        file.write(torn)
    other = Journal(path)
    other.say("X3", "doubtful")
    read = Journal(path)
    assert (set(read.current), read.broken) == ({"X1", "X3"}, 1)
    assert rows(path)[-1]["object_id"] == "X3"  # any reader of CSV finds the lines after it


@pytest.mark.parametrize("name", ["two\nlines", "\r\n", 'a "quoted"\n', ",", " "])
def test_an_id_may_hold_anything(path, name):
    one, two = Journal(path), Journal(path)
    one.say(name, "agree", label="a\nb")
    two.say("X2", "doubtful")
    one.say(name, "doubtful")
    read = Journal(path)
    assert {key: verdict.verdict for key, verdict in read.current.items()} == {
        name: "doubtful",
        "X2": "doubtful",
    }
    assert (read.broken, read.lines) == (0, 3)
    assert one.undo().label == "a\nb"
    assert len(rows(path)) == 4


def test_the_next_training_takes_the_file(path, small_sample):
    journal = Journal(path)
    journal.say("X00", "relabel", label="point source")
    journal.say("X01", "relabel", label="nearby galaxy")
    journal.undo()
    journal.say("X02", "agree", label="high-z cluster")
    journal.say("X03", "doubtful")
    joined = with_labels(small_sample, path)
    assert isinstance(joined, Sample)
    assert joined.labels.tolist() == ["point source", *small_sample.labels[1:].tolist()]


def test_wrong_use_is_named_and_writes_nothing(path):
    journal = Journal(path)
    with pytest.raises(InputError, match="verdict must be one of"):
        journal.say("X1", "maybe")
    with pytest.raises(InputError, match="label must name the new class"):
        journal.say("X1", "relabel")
    assert rows(path) == []


def test_a_file_that_cannot_be_a_journal_is_refused(tmp_path):
    other, closed = tmp_path / "table.csv", tmp_path / "closed"
    other.write_text("a,b\n1,2\n")
    closed.mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    if os.access(closed, os.W_OK):  # root may write everywhere: a path through a file cannot exist for anyone
        closed = Path("/dev/null/closed")
    for place, message in (
        (other, "must be a journal of verdicts with the columns object_id,verdict"),
        (tmp_path, "verdicts must be a CSV that can be written"),
        (other / "below" / "v.csv", "choose another path"),
        (closed / "v.csv", "verdicts must be a CSV that can be written"),
    ):
        with pytest.raises(InputError, match=message):
            Journal(place)


def test_a_file_that_vanishes_is_reported_and_nothing_is_pretended(path):
    journal = Journal(path)
    path.unlink()
    with pytest.raises(InputError, match="the verdict was not saved"):
        journal.say("X1", "agree", label="a")
    assert journal.current == {}
    assert journal.undo() is None

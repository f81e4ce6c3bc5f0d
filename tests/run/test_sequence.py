"""A sequence: checked before it runs, resumed by content, restarted after a kill."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from labkit.errors import InputError, MissingDataError
from labkit.run import records, sequence
from labkit.run.notebooks import NotebookError, execute_notebook
from labkit.run.records import StepRecords, content_hash
from labkit.run.sequence import NotebookSequence, Step, plan_sequence, prepare, read_sequence, run_sequence
from labkit.runfolder import RunFolder

COUNT = "with open('ran', 'a') as f: f.write('{} ')"
WRITE = """\
from pathlib import Path
Path(run_folder, "figures").mkdir(exist_ok=True)
Path(run_folder, "figures", "{}.txt").write_text(str(n))"""
PARAMETERS = "run_folder: str = ''  # where results go\nn: int = 1  # count"
DECLARED = """\
name = "tiny"
[parameters]
run_folder = "{run}"
[[steps]]
notebook = "a.ipynb"
inputs = ["input.txt"]
[[steps]]
notebook = "b.ipynb"
[[steps]]
notebook = "c.ipynb"
after = []
"""


@pytest.fixture(autouse=True)
def code(monkeypatch) -> Callable[[str], None]:
    """Labkit's code as the records see it: unchanged, until a test says otherwise."""

    def change(text: str) -> None:
        monkeypatch.setattr(records, "code_hash", lambda: text)

    change("as it is")
    return change


@pytest.fixture
def declared(make_notebook) -> Path:
    """A declaration of three notebooks; b needs a, c stands alone."""
    for name in "abc":
        path = make_notebook(name, PARAMETERS, COUNT.format(name), WRITE.format(name))
    (path.parent / "input.txt").write_text("one")
    file = path.parent / "tiny.toml"
    file.write_text(DECLARED)
    return file


def ran(declared: Path) -> str:
    """Which notebooks ran since the last question."""
    log = declared.parent / "ran"
    text = log.read_text() if log.exists() else ""
    log.unlink(missing_ok=True)
    return text.replace(" ", "")


def test_resume_runs_only_what_changed_and_what_depends_on_it(declared, tmp_path, code):
    run = tmp_path / "run"
    first = run_sequence(read_sequence(declared), run)
    assert ran(declared) == "abc"
    assert [result.reason for result in first] == ["not run yet"] * 3
    assert (run / "figures" / "a.txt").read_text() == "1"

    assert all(result.skipped for result in run_sequence(read_sequence(declared), run))
    assert ran(declared) == ""

    run_sequence(read_sequence(declared), run, parameters={"b.n": "2"})
    assert ran(declared) == "b"
    assert (run / "figures" / "b.txt").read_text() == "2"

    (declared.parent / "input.txt").write_text("two")
    changed = run_sequence(read_sequence(declared), run, parameters={"b.n": "2"})
    assert [result.reason for result in changed] == ["inputs changed", "a runs again", ""]
    assert ran(declared) == "ab"
    (run / "figures" / "c.txt").unlink()
    again = run_sequence(read_sequence(declared), run, parameters={"b.n": "2"})
    assert ran(declared) == "c"
    assert again[2].reason == "output figures/c.txt is missing"

    code("edited")
    edited = run_sequence(read_sequence(declared), run, parameters={"b.n": "2"})
    assert [result.reason for result in edited] == ["code changed"] * 3


def test_a_plan_says_what_would_run_and_makes_nothing(declared, tmp_path):
    sequence, run = read_sequence(declared), tmp_path / "run"
    assert [step.reason for step in plan_sequence(sequence, run)] == ["not run yet"] * 3
    assert not run.exists()
    run_sequence(sequence, run)
    ran(declared)
    assert all(step.skipped for step in plan_sequence(sequence, run))
    (declared.parent / "input.txt").write_text("two")
    planned = plan_sequence(sequence, run)
    assert [step.reason for step in planned] == ["inputs changed", "a runs again", ""]
    assert ran(declared) == ""
    done = run_sequence(sequence, run)
    assert [(step.name, step.reason) for step in done] == [(step.name, step.reason) for step in planned]


def test_a_changed_notebook_runs_with_its_dependants_and_a_failure_stops_the_rest(
    declared, make_notebook, tmp_path
):
    run = tmp_path / "run"
    run_sequence(read_sequence(declared), run)
    ran(declared)
    make_notebook("b", PARAMETERS, COUNT.format("b"), "raise ValueError('no')")
    with pytest.raises(NotebookError, match="'b.ipynb' failed in cell 4 of 4"):
        run_sequence(read_sequence(declared), run, parameters={"a.n": 3})
    assert ran(declared) == "ab"
    make_notebook("b", PARAMETERS, COUNT.format("b"), WRITE.format("b"))
    run_sequence(read_sequence(declared), run, parameters={"a.n": 3})
    assert ran(declared) == "b"


WAIT = """\
import time
from pathlib import Path
end = time.monotonic() + 300
while not Path("{0}").exists():
    assert time.monotonic() < end, "still no {0}"
    time.sleep(0.02)"""
MEET = "open('{0} is here', 'w').close()\n" + WAIT.replace("{0}", "{1} is here")


def test_steps_that_do_not_depend_on_one_another_run_side_by_side(declared, make_notebook, tmp_path):
    make_notebook("a", PARAMETERS, COUNT.format("a"), MEET.format("a", "c"), WRITE.format("a"))
    make_notebook("c", PARAMETERS, MEET.format("c", "a"), WRITE.format("c"))
    results = run_sequence(read_sequence(declared), tmp_path / "run", n_jobs=2)
    assert [result.name for result in results] == ["a", "b", "c"]
    assert ran(declared) == "ab"
    assert all(result.skipped for result in run_sequence(read_sequence(declared), tmp_path / "run", n_jobs=2))


@pytest.fixture
def c_fails_first(make_notebook, monkeypatch) -> Callable[..., None]:
    """Notebooks a and c that run at the same time: c fails, and a goes on when that is over."""

    def execute(path: Path, *args, **options) -> None:
        try:
            execute_notebook(path, *args, **options)
        finally:
            (path.parent / f"{path.stem} is over").touch()

    def make(*code: str) -> None:
        make_notebook("a", PARAMETERS, MEET.format("a", "c"), WAIT.format("c is over"), *code)
        make_notebook("c", PARAMETERS, MEET.format("c", "a"), "raise ValueError('no')")

    monkeypatch.setattr(sequence, "execute_notebook", execute)
    return make


def test_after_a_failure_what_runs_is_finished_and_nothing_starts(declared, c_fails_first, tmp_path):
    c_fails_first(WRITE.format("a"))
    with pytest.raises(NotebookError, match="'c.ipynb' failed"):
        run_sequence(read_sequence(declared), tmp_path / "run", n_jobs=2)
    assert ran(declared) == ""
    done = StepRecords(RunFolder(tmp_path / "run")).read()
    assert list(done) == ["a"]


def test_of_two_failures_the_first_is_raised_and_the_other_logged(declared, c_fails_first, tmp_path, caplog):
    c_fails_first("raise ValueError('nor here')")
    with pytest.raises(NotebookError, match="'c.ipynb' failed"):
        run_sequence(read_sequence(declared), tmp_path / "run", n_jobs=2)
    assert ran(declared) == ""
    assert [one.getMessage() for one in caplog.records if "'a.ipynb' failed" in one.getMessage()]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_stopped_by_hand_the_notebooks_stop_too(make_notebook, tmp_path, n_jobs):
    here = (
        "import os, time\nfrom pathlib import Path\nPath('{0}').write_text(str(os.getpid()))\ntime.sleep(600)"
    )
    paths = [make_notebook(name, "", here.format(name)) for name in "ac"[:n_jobs]]
    steps = [Step(notebook=str(path), after=()) for path in paths]
    declared = NotebookSequence(name="two", steps=steps).model_dump_json()
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from labkit.run import sequence; "
        f"declared = sequence.NotebookSequence.model_validate_json({declared!r}); "
        f"sequence.run_sequence(declared, {str(tmp_path / 'run')!r}, n_jobs={n_jobs})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    started = [path.with_name(name) for path, name in zip(paths, "ac", strict=False)]
    deadline = time.monotonic() + 300
    while not all(file.exists() and file.read_text() for file in started) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=300)[1]
    assert process.returncode != 0
    for file in started:
        with pytest.raises(ProcessLookupError):
            os.kill(int(file.read_text()), 0)


def test_a_killed_run_restarts_at_the_step_that_was_cut_short(make_notebook, tmp_path):
    first = make_notebook("a", "", COUNT.format("a"))
    second = make_notebook(
        "b", "", COUNT.format("b"), "import os, time; time.sleep(0 if os.path.exists('go') else 600)"
    )
    declared = NotebookSequence(name="two", steps=[Step(notebook=str(path)) for path in (first, second)])
    code = (
        "from labkit.run import records, sequence; records.code_hash = lambda: 'as it is'; "
        f"declared = sequence.NotebookSequence.model_validate_json({declared.model_dump_json()!r}); "
        f"sequence.run_sequence(declared, {str(tmp_path / 'run')!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"TMPDIR": str(tmp_path)})
    log = first.parent / "ran"
    deadline = time.monotonic() + 300
    while not (log.exists() and log.read_text() == "a b ") and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert ran(first) == "ab"
    (first.parent / "go").touch()
    results = run_sequence(declared, tmp_path / "run")
    assert ran(first) == "b"
    assert [result.skipped for result in results] == [True, False]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("b.ipynb", "bb.ipynb", "did you mean 'b.ipynb'"),
        ("b.ipynb", "a.ipynb", "names of steps must differ, got \\['a'\\]"),
        ("after = []", 'after = ["z"]', "after must name earlier steps"),
        ("after = []", "afterwards = []", "must hold name, title, parameters and steps"),
        ('name = "tiny"', "name = tiny", "valid TOML"),
        ('name = "tiny"', "name = " + "1" * 5000, "valid TOML"),
        ("run_folder =", "run_foldr =", "did you mean 'run_folder'"),
        ("after = []", 'name = "../c"', "names of steps must be letters, .* got '../c'"),
        ("after = []", 'name = "/c"', "names of steps must be letters"),
        ("after = []", 'name = ".."', "names of steps must be letters"),
        ("after = []", 'outputs = ["../../c.txt"]', "outputs of step 'c' must lie in the run folder"),
        ("after = []", 'outputs = ["{run}/../c.txt"]', "outputs of step 'c' must lie in the run folder"),
        (
            "after = []",
            "parameters = { k = 1 }",
            "step 'c': parameter must be one that the notebook declares",
        ),
    ],
)
def test_a_wrong_declaration_is_refused(declared, tmp_path, old, new, message):
    declared.write_text(declared.read_text().replace(old, new))
    with pytest.raises(InputError, match=message):
        prepare(read_sequence(declared), run=tmp_path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"run_foldr": 2}, "got 'run_foldr'; did you mean 'run_folder'"),
        ({"d.n": 2}, "got 'd.n'; did you mean"),
        ({"n": "many"}, "step 'a': parameter 'n' must be int"),
        ({"qqqqqq": 1}, "known: \\['n', 'run_folder'\\]"),
    ],
)
def test_a_wrong_parameter_is_refused_before_anything_runs(declared, tmp_path, given, message):
    with pytest.raises(InputError, match=message):
        run_sequence(read_sequence(declared), tmp_path / "run", parameters=given)
    assert ran(declared) == ""


def test_values_for_one_step_go_before_values_for_all(declared, tmp_path):
    steps = prepare(read_sequence(declared), run=tmp_path, parameters={"n": 5, "b.n": 7})
    assert [step.parameters["n"] for step in steps] == [5, 7, 5]
    assert steps[0].parameters["run_folder"] == str(tmp_path.resolve())


def test_what_is_missing_or_in_use_is_named(declared, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(InputError, match="n_jobs must be 0 .one for each processor. or more, got -1"):
        run_sequence(read_sequence(declared), run, n_jobs=-1)
    with pytest.raises(MissingDataError, match=r"in that folder: \['tiny.toml'\]"):
        read_sequence(declared.with_name("tinny.toml"))
    with FileLock(run / ".lock"), pytest.raises(InputError, match="used by one run at a time"):
        run_sequence(read_sequence(declared), run)
    (declared.parent / "input.txt").unlink()
    with pytest.raises(MissingDataError, match=r"inputs of step .a. must be there, got .*input.txt"):
        run_sequence(read_sequence(declared), run)
    declared.write_text('name = "x"\n[[steps]]\nnotebook = "a.ipynb"\noutputs = ["{run}/none"]')
    with pytest.raises(InputError, match=r"must make its outputs, .*none"):
        run_sequence(read_sequence(declared), run, parameters={"run_folder": str(run)})


def test_hashes_follow_content_and_names(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text("text")
    assert content_hash(tmp_path / "one") == content_hash(tmp_path / "two")
    (tmp_path / "two" / "x").rename(tmp_path / "two" / "y")
    assert content_hash(tmp_path / "one") != content_hash(tmp_path / "two")

"""Sweeps: killed and taken up again, shared among workers, failing in part, stopped by hand."""

import csv
import json
import multiprocessing
import os
import signal
import time

import astropy.units as u
import numpy as np
import psutil
import pytest
from astropy.table import QTable
from distributed import LocalCluster
from pytorch_lightning.callbacks import Callback

from labkit import learn
from labkit.errors import InputError, MissingDataError
from labkit.evaluate import measure
from labkit.experiment import SGD, AdamW, Experiment
from labkit.learn import Model, histories, trained_sets, training_table
from labkit.learn.checkpoint import read_about
from labkit.predictions import Estimates, Predictions
from labkit.run import sweep_runs
from labkit.run.sweep import SweepError, share_cores, sweep
from labkit.runfolder import HEADLESS, RunFolder
from labkit.sample import Sample
from labkit.tables import write_table

TWO = Experiment(
    name="two", image_size=16, batch_size=4, epochs=6, optimiser=AdamW(), dropout=0.3, seeds=(0, 1),
    precision="fp32",
)  # fmt: skip
ALONE = TWO.changed(name="alone", bands=("xray",), seeds=(5,))
FOLDS = TWO.changed(name="folds", folds=3, seeds=(0,), epochs=2)
NUMBERS = FOLDS.changed(
    name="numbers", targets="log size", batches="shuffled", plateau_monitor="validation_loss"
)
WILD = TWO.changed(name="wild", optimiser=SGD(learning_rate=1e30, minimal_learning_rate=0), seeds=(0,))
ALL = [("two", 0), ("two", 1), ("alone", 5)]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Folder of a Sample of 36 blobs in three parts; clusters are the wide ones."""
    rng = np.random.default_rng(1)
    n, (y, x) = 36, np.mgrid[:16, :16] - 7.5
    wide = np.arange(n) % 2 == 0
    shape = np.exp(-0.5 * (x**2 + y**2) / np.where(wide, 3.0, 1.0)[:, None, None] ** 2)
    images = np.stack([shape * 150 + rng.uniform(0, 60, shape.shape), rng.uniform(0, 255, shape.shape)], 1)
    catalogue = QTable(
        {
            "object_id": [f"B{i:03d}" for i in range(n)],
            "ra": np.arange(n) * u.deg,
            "dec": np.arange(n) * u.deg,
            "label": np.where(wide, "low-z cluster", "point source"),
            "split": np.array(["train", "train", "validation", "test"])[np.arange(n) // 2 % 4],
            "size": np.where(wide, 3.0, 1.0) * rng.uniform(0.8, 1.2, n) * u.arcsec,
        }
    )
    about = {"bands": ("xray", "optical"), "pixel_scale": 4 * u.arcsec}
    sample = Sample(
        images.astype(np.uint8), catalogue, provenance={"normalisation": {"method": "asinh"}}, **about
    )
    assert sample.shape == (36, 2, 16, 16)
    return sample.save(tmp_path_factory.mktemp("sample") / "blobs")


def run(experiments, sample, folder, **options):
    return sweep(experiments, sample, run=folder, device="cpu", **({"threads": 1, "workers": 0} | options))


@pytest.fixture(scope="module")
def unbroken(stored, tmp_path_factory):
    """Run folder of an unbroken sweep of three runs, and its predictions."""
    folder = RunFolder(tmp_path_factory.mktemp("unbroken") / "run")
    predictions = run([TWO, ALONE], stored, folder, progress=False)
    assert [(one.experiment, one.seed) for one, _ in predictions.runs()] == ALL
    return folder, predictions


def same(first: Predictions, second: Predictions) -> bool:
    """Whether two tables are equal to the last bit."""
    names = first.table.colnames
    return names == second.table.colnames and all(
        np.array_equal(first.table[name], second.table[name]) for name in names
    )


def read_states(folder) -> list[dict[str, str]]:
    """Rows of the CSV of run states."""
    with (folder.path / "states.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def epochs_of(folder) -> list[int]:
    """Epochs that have ended, of each run that has begun."""
    files = sorted(folder.glob("checkpoints/*/last.safetensors"))
    return [len(read_about(file)["history"]) for file in files]


def start(context, experiments, sample, folder, **options):
    """A sweep in a process of its own."""
    kwargs = {"run": folder, "device": "cpu", "threads": 1, "workers": 0, "progress": False, **options}
    process = context.Process(target=sweep, args=(experiments, sample), kwargs=kwargs)
    process.start()
    return process


@pytest.fixture(scope="module")
def context():
    """Processes that begin with the libraries loaded."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["labkit.run.sweep"])
    return context


def test_a_sweep_killed_at_random_moments_gives_the_same_tables(unbroken, stored, context, tmp_path):
    whole, predictions = unbroken
    folder = tmp_path / "run"
    rng = np.random.default_rng(20)
    moments, left = np.sort(rng.choice(np.arange(1, 18), 3, replace=False)), []
    for moment in moments:
        process = start(context, [TWO, ALONE], stored, folder)
        while process.is_alive() and sum(epochs_of(folder)) < moment:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.05))
        process.kill()
        process.join()
        left.append(epochs_of(folder))
    assert any(0 < epochs < 6 for state in left for epochs in state), "a training was cut in the middle"
    weights = {path: path.stat().st_mtime_ns for path in folder.glob("checkpoints/*/weights.safetensors")}
    done = [path for path in weights if read_about(path.parent / "last.safetensors")["finished"]]
    again = run([TWO, ALONE], stored, folder, progress=False)
    assert same(again, predictions)
    assert (folder / "predictions.parquet").read_bytes() == whole.predictions.read_bytes()
    assert all(path.stat().st_mtime_ns == weights[path] for path in done), "finished runs are not repeated"
    table, expected = measure(again), measure(predictions)
    assert all(
        np.array_equal(table[name], expected[name], equal_nan=name != "experiment") for name in table.colnames
    )


def test_processes_that_are_killed_leave_nobody_behind_and_the_same_table(
    unbroken, stored, context, tmp_path
):
    folder = tmp_path / "run"
    process = start(context, [TWO, ALONE], stored, folder, workers=1)
    while process.is_alive() and sum(epochs_of(folder)) < 8:
        time.sleep(0.02)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.join()
    assert workers
    assert sum(epochs_of(folder)) < 18, "it was killed before its end"
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive
    assert same(run([TWO, ALONE], stored, folder, progress=False), unbroken[1])


@pytest.fixture
def scheduler():
    """Address of a Dask scheduler with two workers, threads of this process."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address


def test_workers_of_a_scheduler_give_the_same_table_and_fail_one_by_one(
    unbroken, stored, scheduler, tmp_path
):
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(SweepError, match=r"1 of 4 runs failed: wild, seed 0: TrainingError: .*loss must be"):
        run([WILD, TWO, ALONE], stored, folder, workers=scheduler, progress=False)
    assert same(Predictions.load(folder.predictions), unbroken[1])
    states = read_states(folder)
    assert [state["state"] for state in states] == ["failed", "done", "done", "done"]
    assert states[0]["message"].startswith("TrainingError: ")
    assert [(state["epoch"], state["epochs"]) for state in states[1:]] == [("6", "6")] * 3
    page = (folder.path / "progress.html").read_text()
    assert "4 of 4 runs (ended)" in page
    assert "TrainingError: " in page
    assert "refresh" not in page


def test_a_failing_run_does_not_stop_the_others(stored, unbroken, tmp_path):
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(SweepError, match=r"1 of 4 runs failed: wild, .*; the others are saved") as caught:
        run([WILD, TWO, ALONE], stored, folder, progress=False)
    assert "lower optimiser.learning_rate" in str(caught.value)
    assert same(Predictions.load(folder.predictions), unbroken[1])
    about = {"inputs": {"sample": Sample.load(stored).content_hash}, "threads": 1}
    assert folder.manifest["trainings"]["two"] == {"seeds": [0, 1]} | about
    assert folder.manifest["trainings"]["alone"] == {"seeds": [5]} | about


def test_the_same_call_does_nothing_again(unbroken, stored):
    folder, predictions = unbroken
    files = [*folder.checkpoints.glob("*/*.safetensors"), *folder.checkpoints.glob("*/*.parquet")]
    before = {file: file.stat().st_mtime_ns for file in files}
    assert len(before) == 12
    assert same(run([TWO, ALONE], stored, folder, progress=False), predictions)
    assert {file: file.stat().st_mtime_ns for file in files} == before
    note = json.loads((folder.checkpoints / "alone-seed5" / "sweep.json").read_text())
    assert note["state"] == "done"
    other = sweep_runs.SweepRun(ALONE, 5, -1, 0, folder.path, sweep="another")
    assert sweep_runs.read_note(other) == {}, "notes of another call are not taken for this one"


def test_predictions_of_an_earlier_training_are_not_taken_for_this_one(stored, tmp_path):
    short = ALONE.changed(epochs=2)
    first = run([short], stored, tmp_path / "run", progress=False)
    slower = short.changed(optimiser=AdamW(learning_rate=1e-5))
    assert not same(run([slower], stored, tmp_path / "run", progress=False), first)
    assert same(run([short], stored, tmp_path / "run", progress=False), first)


def test_labels_are_joined_and_change_the_training(stored, tmp_path):
    ids = Sample.load(stored).object_ids
    labels = np.where(np.arange(36) % 4 < 2, "cluster", "non-cluster")
    parts = np.where(np.arange(36) % 3 == 0, "validation", "train")
    votes = QTable({"object_id": ids, "label": labels, "split": parts, "n_votes": np.full(36, 30)})
    path = write_table(votes, tmp_path / "votes.ecsv")
    experts = TWO.changed(epochs=1, seeds=(0,))
    columns = {"label_column": "volunteer_label", "split_column": "volunteer_split"}
    volunteers = experts.changed(name="volunteers", **columns)
    with pytest.raises(InputError, match="sample must have a column 'volunteer_label'.*with_labels"):
        run([experts, volunteers], stored, tmp_path / "run")
    assert not (tmp_path / "run").exists(), "nothing was trained"
    found = run([experts, volunteers], stored, tmp_path / "run", labels=[path], progress=False)
    one, other = (rows for _, rows in found.runs())
    assert one.table["true"].tolist() == other.table["true"].tolist(), "both by the experts' labels"
    tested = [rows.table["object_id"][rows.table["split"] == "test"].tolist() for rows in (one, other)]
    assert tested[0] == tested[1]
    assert len(tested[0]) == 8
    trainings = RunFolder(tmp_path / "run").manifest["trainings"]
    assert all(str(path) in about["inputs"] for about in trainings.values())


def test_kinds_of_experiments_have_their_own_tables(stored, tmp_path):
    folder = RunFolder(tmp_path / "run")
    short = ALONE.changed(epochs=1)
    found = run([short, FOLDS], stored, folder, progress=False)
    assert {one.experiment for one, _ in found.runs()} == {"alone"}
    folds = Predictions.load(folder.predictions_of(folds=True))
    assert sorted(folds.table["object_id"]) == sorted(Sample.load(stored).object_ids)
    assert [one.fold for one, _ in folds.runs()] == [0, 1, 2]


def test_numbers_are_swept_beside_classes_and_resumed(stored, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv(HEADLESS, "1")
    folder = RunFolder(tmp_path / "run")
    found = run([ALONE.changed(epochs=1), NUMBERS], stored, folder)
    assert {one.experiment for one, _ in found.runs()} == {"alone"}
    numbers = Estimates.load(folder.predictions_of("numbers", folds=True))
    assert sorted(numbers.table["object_id"]) == sorted(Sample.load(stored).object_ids)
    assert set(numbers.table["unit"]) == {"arcsec"}
    states = read_states(folder)
    assert [state["validation"].split()[0] for state in states] == ["accuracy", *["error"] * 3]
    assert "numbers, seed 0, fold 2: validation error " in capsys.readouterr().err
    before = [file.stat().st_mtime_ns for file in folder.path.glob("checkpoints/*/weights.safetensors")]
    again = run([NUMBERS], stored, folder, progress=False)
    assert same(again, numbers)
    after = [file.stat().st_mtime_ns for file in folder.path.glob("checkpoints/*/weights.safetensors")]
    assert before == after, "nothing is trained twice"
    assert trained_sets(folder, [NUMBERS], {"a": {"own": "numbers"}})["a"]["own"].known.meta == numbers.meta
    assert set(histories(folder, [NUMBERS])["numbers"][0][0]) >= {"validation_loss", "validation_error"}
    wrong = NUMBERS.changed(name="wrong", targets="log colour")
    with pytest.raises(InputError, match="sample must have a column 'colour'"):
        run([NUMBERS, wrong], stored, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_each_experiment_takes_the_first_sample_with_its_bands(stored, tmp_path):
    both = Sample.load(stored)
    about = {"pixel_scale": both.pixel_scale, "provenance": both.provenance}
    renamed = Sample(both.images, both.catalogue, bands=("a", "b"), **about)
    other = ALONE.changed(name="other", bands=("b", "a"), epochs=1)
    found = run([ALONE.changed(epochs=1), other], [both, renamed], tmp_path / "run", progress=False)
    assert len(found) == 72
    run([ALONE.changed(epochs=1, seeds=(6,))], both, tmp_path / "run", progress=False)
    trainings = RunFolder(tmp_path / "run").manifest["trainings"]
    assert set(trainings["other"]["inputs"]) == {"sample", "sample 2"}, "kept by a later sweep"
    assert set(trainings["alone"]["inputs"]) == {"sample"}


@pytest.mark.parametrize("column", ["label", "parts", "size"])
def test_a_table_follows_what_it_is_measured_against(stored, tmp_path, column):
    declared = ALONE.changed(epochs=1, split_column="parts")
    if column == "size":
        declared = declared.changed(targets="size", batches="shuffled", plateau_monitor="validation_loss")
    sample = Sample.load(stored)
    sample.catalogue["parts"] = sample.catalogue["split"]
    before = run([declared], sample, tmp_path / "run", progress=False)
    tested = np.flatnonzero(sample.catalogue["split"] == "test")[:3]
    values = {"label": "low-z cluster", "parts": "", "size": 9 * u.arcsec}
    for row in tested:  # in place, in objects that were not trained on
        sample.catalogue[column][row] = values[column]
    after = run([declared], sample, tmp_path / "run", progress=False)
    name = {"label": "true", "parts": "split", "size": "true"}[column]
    held = np.isin(before.table["object_id"], sample.object_ids[tested])
    changed = np.asarray(before.table[name] != after.table[name])
    assert changed[held].any()
    assert not changed[~held].any()


class Send(Callback):
    """A signal to this process in an epoch of the experiment "alone"."""

    def __init__(self, number, epoch):
        self.number, self.epoch = number, epoch

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.current_epoch == self.epoch and batch_idx == 0:
            os.kill(os.getpid(), self.number)


@pytest.fixture
def stop(monkeypatch):
    """Send a signal in an epoch of the trainings of "alone", until it is undone."""
    train = learn.train

    def stop(number, epoch):
        def stopped(experiment, sample, *, callbacks, **options):
            more = (Send(number, epoch),) if experiment.name == "alone" else ()
            return train(experiment, sample, callbacks=(*callbacks, *more), **options)

        monkeypatch.setattr(learn, "train", stopped)
        return monkeypatch.undo

    return stop


@pytest.fixture
def signals():
    """Set handlers of signals for a test; a background job of a shell starts with SIGINT ignored."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield signal.signal
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_stop_button_keeps_the_best_so_far_and_the_session(stored, unbroken, tmp_path, stop, signals):
    undo, folder = stop(signal.SIGINT, 2), RunFolder(tmp_path / "run")
    signals(signal.SIGINT, before := signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt, match="alone, seed 5 was stopped; the same call resumes it"):
        run([TWO, ALONE, TWO.changed(name="never")], stored, folder, progress=False)
    assert signal.getsignal(signal.SIGINT) is before
    assert [(one.experiment, one.seed) for one, _ in Predictions.load(folder.predictions).runs()] == ALL
    states = [state["state"] for state in read_states(folder)]
    assert states == ["done", "done", "stopped", "waiting", "waiting"]
    undo()
    assert same(run([TWO, ALONE], stored, folder, progress=False), unbroken[1])


@pytest.mark.parametrize("interrupt", [signal.default_int_handler, signal.SIG_IGN])
def test_sigterm_ends_with_143_and_keeps_what_is_done(
    stored, unbroken, tmp_path, stop, signals, capsys, interrupt
):
    undo, folder = stop(signal.SIGTERM, 2), RunFolder(tmp_path / "run")
    signals(signal.SIGINT, interrupt)
    with pytest.raises(SystemExit) as ended:
        run([ALONE], stored, folder, progress=False)
    assert ended.value.code == 143
    assert capsys.readouterr().err.endswith("labkit: terminated; the same call resumes\n")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    undo()
    again = run([ALONE], stored, folder, progress=False)
    assert same(again, unbroken[1].select(experiment="alone"))


def test_a_stop_before_the_first_epoch_leaves_the_old_network_and_its_rows(stored, tmp_path, stop, signals):
    folder = RunFolder(tmp_path / "run")
    first = run([ALONE.changed(epochs=2)], stored, folder, progress=False)
    undo = stop(signal.SIGTERM, 0)
    signals(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(SystemExit):
        run([ALONE.changed(epochs=3, dropout=0.1)], stored, folder, progress=False)
    undo()
    assert Model.load(folder.checkpoints / "alone-seed5").experiment.epochs == 2
    assert same(Predictions.load(folder.predictions), first)
    assert same(run([ALONE.changed(epochs=2)], stored, folder, progress=False), first)


def test_histories_and_best_epochs_are_read_back(unbroken, tmp_path):
    folder, _ = unbroken
    found = histories(folder, [TWO, ALONE])
    assert {name: len(runs) for name, runs in found.items()} == {"two": 2, "alone": 1}
    table = training_table(folder, [TWO, ALONE])
    assert table["epochs"].tolist() == [6, 6, 6]
    for row, history in zip(table, [*found["two"], *found["alone"]], strict=True):
        losses = [one["validation_loss"] for one in history]
        assert (row["epoch"], row["validation_loss"]) == (np.argmin(losses), min(losses))
    with pytest.raises(MissingDataError, match="run must be a run folder, got '.*typo'"):
        training_table(tmp_path / "typo", [TWO])
    with pytest.raises(MissingDataError, match="run must hold trained networks"):
        training_table(folder, [TWO.changed(name="never")])


def test_sets_of_comparisons_hold_what_was_predicted(unbroken, tmp_path):
    folder, whole = unbroken
    wanted = {"first": {("a", 1): "two", "b": "never"}, "second": {"c": "alone"}, "third": {"d": "never"}}
    found = trained_sets(folder, [TWO, ALONE, TWO.changed(name="never")], wanted)
    sets = {name: list(those) for name, those in found.items()}
    assert sets == {"first": [("a", 1)], "second": ["c"], "third": []}
    assert same(found["second"]["c"], whole.select(experiment="alone", split="test"))
    every = trained_sets(folder, [TWO], wanted, split=None)
    assert same(every["first"]["a", 1], whole.select(experiment="two"))
    assert every["second"] == {}
    with pytest.raises(MissingDataError, match="run must be a run folder"):
        trained_sets(tmp_path / "typo", [TWO], wanted)


def test_a_headless_notebook_gets_a_line_a_run_and_a_person_one_bar(stored, tmp_path, monkeypatch, capsys):
    short = ALONE.changed(epochs=1, seeds=(0, 1))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    run([short], stored, tmp_path / "run")
    shown = capsys.readouterr().err
    assert "2 of 2 runs" in shown
    assert shown.count("\n") == 1
    monkeypatch.setenv(HEADLESS, "1")
    run([short], stored, tmp_path / "run")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[0] for line in lines] == ["alone, seed 0", "alone, seed 1"]
    assert lines[0].endswith("left)")
    assert lines[1].endswith("(2 of 2 runs)")


@pytest.mark.parametrize(
    ("experiments", "options", "message"),
    [
        ([], {}, "experiments must be one or more with different names"),
        ([TWO, TWO], {}, r"different names, got \['two', 'two'\]"),
        ([TWO, TWO.changed(name="two ")], {}, r"'two' and 'two ', whose models would share a folder"),
        ([TWO], {"workers": -1}, "workers must be 0, a number of processes or .*, got -1"),
        ([TWO], {"threads": -1}, "threads must be 'auto' or at least 1, got -1"),
        ([TWO], {"device": "tpu"}, "device must be 'auto', 'cpu'"),
        ([TWO.changed(network="timm:nonsense")], {}, "network must be a model that timm .* knows"),
        ([TWO.changed(network="timm:inception_v3")], {}, "image_size must be at least 75 px"),
        ([TWO.changed(bands=("infrared",))], {}, "bands must include 'infrared'"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(stored, tmp_path, experiments, options, message):
    with pytest.raises(InputError, match=message):
        sweep(experiments, stored, run=tmp_path / "run", **{"device": "cpu"} | options)
    assert not list(tmp_path.glob("run/checkpoints/*/*"))


def test_no_samples_and_no_scheduler(stored, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="sample must be one or more, got none"):
        sweep([TWO], [], run=tmp_path / "run")
    monkeypatch.setattr("labkit.run.workers._CONNECT_S", 0.2)
    with pytest.raises(
        MissingDataError, match=r"'tcp://127.0.0.1:9' does not answer .*; start one with `dask"
    ):
        sweep([TWO], stored, run=tmp_path / "run", workers="tcp://127.0.0.1:9")


@pytest.mark.parametrize(
    ("size", "epochs", "workers", "expected"),
    [
        (64, 4000, "auto", (2, [1, 1, 2])),  # much to do: side by side; the last run takes both cores
        (64, 10, "auto", (0, [2, 2, 2])),  # not worth starting processes
        (356, 4000, "auto", (0, [2, 2, 2])),  # large images use both cores
        (64, 10, 3, (3, [1, 1, 1])),
        (64, 10, "tcp://node:8786", ("tcp://node:8786", [1, 1, 1])),
    ],
)
def test_runs_share_the_cores(stored, tmp_path, monkeypatch, size, epochs, workers, expected):
    monkeypatch.setitem(share_cores.__globals__, "available_cores", lambda: 2)
    experiment = TWO.changed(image_size=size, epochs=epochs)
    runs = [sweep_runs.SweepRun(experiment, seed, -1, 0, tmp_path, "x") for seed in range(3)]
    sample = Sample.load(stored)
    assert share_cores(runs, [sample], workers=workers, device="cpu") == expected
    for one in runs:  # what is done changes the processes, but no threads
        one.folder.mkdir(parents=True)
        (one.folder / "last.safetensors").touch()
    again = share_cores(runs, [sample], workers=workers, device="cpu")
    assert again == ((0 if workers == "auto" else workers), expected[1])

"""A sweep: every run of a set of experiments, on any number of workers, resumed where it was killed.

Each run (an experiment, a seed, maybe a fold) leaves its network and its predictions in its own folder.
The tables are put together from these, in the order of the experiments, so they are the same whoever did
the runs, in whatever order, and however often the sweep was stopped. On a CPU the last bits depend on the
number of threads of a run: the same `threads` gives the same table, bit for bit. `share_cores` decides how
many runs are trained side by side.
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from distributed import Client, wait

from labkit.errors import FailedError, InputError
from labkit.experiment import Experiment
from labkit.learn import release
from labkit.learn.device import choose_device
from labkit.learn.loggers import check_logger
from labkit.learn.networks import build_network
from labkit.learn.parts import named_bands_of, split_for_training
from labkit.learn.start import freeze, read_start
from labkit.paths import file_hash
from labkit.predictions import Estimates, Predictions, RunTable
from labkit.processes import available_cores
from labkit.run.stopping import interrupt_on_sigterm
from labkit.run.sweep_runs import Board, SweepRun, read_note, run_predictions, train_run
from labkit.run.workers import connected, number_of
from labkit.runfolder import RunFolder
from labkit.sample import Sample, with_label_files

Source = Sample | str | Path
#: A run that has ended, and the error that ended it.
Ended = tuple[SweepRun, BaseException | None]
_POLL_S = 1.0
_ONE_THREAD_BELOW = 128  # px
_WORTH_PROCESSES = 1e8  # pixels through a network: half a minute of one core, three times a process's start


class SweepError(FailedError):
    """Some runs of a sweep failed; the others are done and saved."""


def sweep(
    experiments: Sequence[Experiment],
    sample: Source | Sequence[Source],
    *,
    run: str | Path | RunFolder,
    workers: int | str = "auto",
    threads: int | str = "auto",
    device: str = "auto",
    labels: Sequence[str | Path] = (),
    logger: str | None = None,
    progress: bool = True,
) -> Predictions | Estimates:
    """Train every run of some experiments and predict the Sample with each.

    What a killed call has finished is kept; the same call resumes it, a half-trained network from its last
    epoch. A training of the same name, seed and fold with other settings, labels or Sample is replaced. A run
    that fails does not stop the others. ``states.csv`` and ``progress.html`` in the run folder show what each
    run does; workers have Dask's dashboard besides. Two sweeps may fill one run folder at the same time: a
    run of both is trained once. But those two files show the sweep that wrote last, and a table of
    predictions holds the runs of the sweep that ended last among those of its kind.

    Parameters
    ----------
    experiments : sequence of Experiment
        What to train; names must differ.
    sample : Sample or path, or a sequence of them
        Normalised images with labels and splits. Of several, an experiment takes the first that has its bands
        (grey levels and six colour channels are two Samples of the same objects).
    run : path or RunFolder
        Gets ``experiments/``, ``checkpoints/``, ``states.csv`` and a table of predictions for each kind
        of experiment, see `RunFolder.predictions_of`.
    workers : int or str
        0: one run after another in this process. n: as many processes on this machine. "auto": what is
        faster (`share_cores`). Address of a Dask scheduler: its workers, which must see the folders of the
        Samples and of the run under the same names. A script that asks for processes must do so under
        ``if __name__ == "__main__":``.
    threads : int or str
        CPU threads of each run; "auto": this machine's cores shared among the runs that are trained side by
        side, and 1 on a scheduler's workers.
    device : str
        See `labkit.learn.train`.
    labels : sequence of str or path
        Label tables to join first, see `labkit.sample.with_label_files`: volunteers' votes, verdicts.
    logger : {"csv", "tensorboard", "mlflow"}, optional
        See `labkit.learn.train`.
    progress : bool
        A bar at a terminal or in a notebook; otherwise log lines.

    Returns
    -------
    Predictions or Estimates
        Of all runs, in the order of experiments, seeds and folds; of those of the first experiment's kind
        where several class schemes, classes and numbers, or experiments with and without folds, are mixed.

    Raises
    ------
    InputError
        If names repeat, or Sample, labels and experiments do not fit; nothing is trained then.
    SweepError
        At the end, if runs failed; each is named.
    KeyboardInterrupt
        If it is stopped by hand. Tables hold what is done, and the best epoch so far of a run that was
        stopped in this process; the same call resumes.
    SystemExit
        With code 143 after SIGTERM, which otherwise does the same.
    """
    check_logger(logger)
    workers, threads = number_of(workers), number_of(threads)
    experiments = [  # workers may have another folder
        one if one.start is None else one.changed(start=Path(one.start).resolve()) for one in experiments
    ]
    _check(experiments, workers, threads, device)
    given = [sample] if isinstance(sample, Sample | str | Path) else list(sample)
    samples = [_opened(one, labels) for one in given]
    chosen = {experiment.name: _sample_for(experiment, samples) for experiment in experiments}
    folder = RunFolder(run)
    for experiment in experiments:
        experiment.save(folder.experiments / f"{experiment.name.replace('/', '-')}.json")
    call: dict[str, Any] = {"sweep": uuid.uuid4().hex, "device": device, "logger": logger}
    runs = [
        SweepRun(each, one.seed, one.fold, chosen[each.name], folder.path.resolve(), **call)
        for each in experiments
        for one in each.runs
    ]
    owners: dict[Path, SweepRun] = {}
    for one in runs:
        if (other := owners.setdefault(one.folder, one)) is not one:
            raise InputError(
                f"names of experiments must differ in letters or digits, got {other.experiment.name!r} and "
                f"{one.experiment.name!r}, whose models would share a folder ({one.folder.name}); rename one"
            )
    workers, shares = share_cores(runs, samples, workers=workers, device=device)
    runs = [
        replace(one, threads=share if threads == "auto" else int(threads))
        for one, share in zip(runs, shares, strict=True)
    ]
    failed: list[tuple[SweepRun, BaseException]] = []
    with interrupt_on_sigterm():
        try:
            for one, error in _perform(runs, samples, workers, folder, progress):
                if error is not None:
                    failed.append((one, error))
        finally:
            release()
            kept = [one for one in runs if read_note(one).get("made_from")]
            tables = _save_tables(kept, folder)
            _record(kept, folder, samples, labels)
    if failed:
        reasons = "; ".join(f"{one.title}: {type(error).__name__}: {error}" for one, error in failed)
        raise SweepError(
            f"{len(failed)} of {len(runs)} runs failed: {reasons}; the others are saved, "
            "and the same call tries these again"
        ) from failed[0][1]
    return tables[0]


def _perform(
    runs: Sequence[SweepRun], samples: Sequence[Sample], workers: int | str, folder: RunFolder, bar: bool
) -> Iterator[Ended]:
    """Do the runs, and show it."""
    with ExitStack() as stack:
        client = None if workers == 0 else stack.enter_context(connected(workers))
        board = Board(runs, folder.path, bar=bar, dashboard=client.dashboard_link if client else "")
        stack.callback(board.close)
        how = partial(_on_workers, client=client) if client else _here
        for one, error in how(runs, samples, board.update):
            board.end_of(one, error)
            yield one, error


def _check(experiments: Sequence[Experiment], workers: int | str, threads: int | str, device: str) -> None:
    names = [experiment.name for experiment in experiments]
    if not names or len(set(names)) != len(names):
        raise InputError(f"experiments must be one or more with different names, got {names}")
    if isinstance(workers, int) and workers < 0:
        raise InputError(f"workers must be 0, a number of processes or a scheduler's address, got {workers}")
    if threads != "auto" and (isinstance(threads, str) or threads < 1):
        raise InputError(f"threads must be 'auto' or at least 1, got {threads!r}")
    if isinstance(workers, int) or workers == "auto":
        choose_device(device)
    tables: dict[str, Any] = {}
    for experiment in experiments:
        scheme = None if experiment.targets else experiment.class_scheme
        found = scheme and (scheme.classes, scheme.positive)
        if (other := tables.setdefault(experiment.kind, found)) != found:
            raise InputError(
                f"experiments must agree on the classes {experiment.kind!r}, of which a run has one table, "
                f"got classes and positive {other} and {found}; use a run folder each"
            )
        read_start(experiment)
        with torch.device("meta"):  # its layers and their sizes, without any numbers
            custom = experiment.network == "custom"  # which refuses pretrained weights
            freeze(build_network(experiment if custom else experiment.untrained), experiment)


def share_cores(
    runs: Sequence[SweepRun], samples: Sequence[Sample], *, workers: int | str, device: str
) -> tuple[int | str, list[int]]:
    """How many processes train at the same time, and how many threads each run has.

    Networks on small images gain little from a second thread (at 64 px, images/s of one and of two threads:
    172 and 234 in float32, 830 and 780 in bfloat16), and threads of one run that wait for each other on a
    busy machine lose much; so runs go side by side, one thread each, where that is worth starting processes.
    The runs of a last, incomplete round share all cores.
    """
    if workers == "auto":
        small = all(one.experiment.image_size < _ONE_THREAD_BELOW for one in runs)
        worth = choose_device(device).type == "cpu" and small and _pixels(runs, samples) > _WORTH_PROCESSES
        at_once = min(available_cores(), len(runs))
        workers = at_once if worth and at_once > 1 else 0
        shares = _shares(len(runs), workers)  # of all runs: a resumed sweep must give the same last bits
        left = [one for one in runs if not (one.folder / "last.safetensors").is_file()]
        return (workers if _pixels(left, samples) > _WORTH_PROCESSES else 0), shares
    return workers, [1] * len(runs) if isinstance(workers, str) else _shares(len(runs), workers)


def _pixels(runs: Sequence[SweepRun], samples: Sequence[Sample]) -> int:
    """Pixels that go through the networks of some runs."""
    return sum(
        one.experiment.epochs * len(samples[one.sample]) * one.experiment.image_size**2 for one in runs
    )


def _shares(n: int, workers: int) -> list[int]:
    """Threads of each of `n` runs, so many at a time; 0 workers: one after another."""
    at_once = workers or 1
    whole = n - n % at_once
    return [max(1, available_cores() // (at_once if number < whole else n - whole)) for number in range(n)]


def _opened(source: Source, labels: Sequence[str | Path]) -> Sample:
    sample = source if isinstance(source, Sample) else Sample.load(Path(source).resolve())
    sample = with_label_files(sample, labels)
    _ = sample.content_hash  # computed once here, not by every worker
    return sample


def _sample_for(experiment: Experiment, samples: Sequence[Sample]) -> int:
    """Number of the first Sample with the bands of an experiment, which must be able to train on it."""
    fitting = [n for n, one in enumerate(samples) if {*experiment.named_bands} <= {*one.bands}]
    if not fitting:
        for one in samples:
            named_bands_of(one, experiment)
        raise InputError("sample must be one or more, got none")
    for fold in range(experiment.folds) if experiment.folds else (-1,):
        split_for_training(experiment, samples[fitting[0]], fold=fold)
    return fitting[0]


def _save_tables(runs: Sequence[SweepRun], folder: RunFolder) -> list[Predictions | Estimates]:
    """Write the predictions of each kind of experiment that has some."""
    kinds: dict[tuple[str, bool], list[Predictions | Estimates]] = {}
    for one in runs:
        kind = (one.experiment.kind, one.fold >= 0)
        kinds.setdefault(kind, []).append(run_predictions(one))
    tables = []
    for (kind_of, folds), parts in kinds.items():
        tables.append(RunTable.concatenate(parts))
        tables[-1].save(folder.predictions_of(kind_of, folds=folds))
    return tables


def _record(
    runs: Sequence[SweepRun], folder: RunFolder, samples: Sequence[Sample], labels: Sequence[str | Path]
) -> None:
    inputs: dict[str, Any] = {"sample": samples[0].content_hash}
    inputs |= {f"sample {n}": one.content_hash for n, one in enumerate(samples[1:], start=2)}
    paths = {str(name): Path(str(name).rpartition("=")[2]) for name in labels}
    inputs |= {name: file_hash(path) for name, path in paths.items()}
    trainings: dict[str, Any] = {}
    for one in runs:
        fresh = {"seeds": [], "inputs": inputs, "threads": one.threads}
        known = trainings.setdefault(one.experiment.name, fresh)["seeds"]
        if one.seed not in known:
            known.append(one.seed)
    folder.record(trainings=trainings)


def _here(runs: Sequence[SweepRun], samples: Sequence[Sample], tell: Callable[[], None]) -> Iterator[Ended]:
    """Do the runs one after another in this process; gives each as it ends, with the error that ended it."""
    for run in runs:
        ended: BaseException | None = None
        try:
            train_run(run, samples[run.sample], tell=tell)
        except Exception as error:  # whatever it is, the other runs go on; it is raised at the end
            ended = error
        yield run, ended


def _on_workers(
    runs: Sequence[SweepRun], samples: Sequence[Sample], tell: Callable[[], None], *, client: Client
) -> Iterator[Ended]:
    """Do the runs on the workers of a client, each on one; gives each as it ends, as `_here`.

    A Sample that was opened from disk travels without its pixels: each worker opens the same folder and keeps
    one copy of what its runs read. A run whose worker dies is given to another one, which resumes it.
    """
    held = [client.scatter(sample, broadcast=True, hash=False) for sample in samples]
    futures = {
        client.submit(train_run, run, held[run.sample], pure=False, priority=-number): run
        for number, run in enumerate(runs)
    }
    pending = set(futures)
    try:
        while pending:
            try:
                done, pending = wait(pending, timeout=_POLL_S, return_when="FIRST_COMPLETED")
            except TimeoutError:
                done = set()
            tell()
            for future in sorted(done, key=lambda one: runs.index(futures[one])):
                yield futures[future], future.exception()
    finally:
        client.cancel(list(pending))

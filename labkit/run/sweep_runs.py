"""One run of a sweep: train it, predict with it, leave both in its folder; and what the sweep shows of it.

Training is what a worker does. All that it has to say it writes into the run's folder, so a sweep can be
killed and looked at from anywhere that sees the files.
"""

import csv
import hashlib
import html
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from tqdm.auto import tqdm

from labkit.errors import InputError
from labkit.experiment import Experiment
from labkit.learn import model_folder
from labkit.learn.checkpoint import read_about
from labkit.learn.predict import out_of_fold, predict
from labkit.paths import atomic_file, write_file
from labkit.predictions import Estimates, Predictions, load_predictions, target_column
from labkit.runfolder import HEADLESS
from labkit.sample import Sample
from labkit.tables import text

log = logging.getLogger(__name__)
_EVERY_S = 2.0
_COLUMNS = ("experiment", "seed", "fold", "state", "epoch", "epochs", "validation", "seconds", "message")
_STATES = ("waiting", "running", "stopped", "failed", "done")
_COLOURS = dict(zip(_STATES, ("#eee", "#cfe6f5", "#fdf3d8", "#f9d9c7", "#cdeedd"), strict=True))

_one_at_a_time = threading.Lock()  # torch's random numbers belong to the process
_NOTE, _TABLE = "sweep.json", "predictions.parquet"


@dataclass(frozen=True)
class SweepRun:
    """One run, and how it is to be done; `sweep` names the call, so that older notes do not count."""

    experiment: Experiment
    seed: int
    fold: int  # -1: no folds
    sample: int  # number of its Sample among those of the sweep
    run: Path
    sweep: str
    device: str = "auto"
    threads: int = 0  # 0 leaves them as they are
    logger: str | None = None

    @property
    def folder(self) -> Path:
        """Folder of the model."""
        return model_folder(self.run, self.experiment, self.seed, self.fold)

    @property
    def title(self) -> str:
        """Name in lines and errors."""
        return f"{self.experiment.name}, seed {self.seed}" + (f", fold {self.fold}" if self.fold >= 0 else "")


def train_run(run: SweepRun, sample: Sample, *, tell: Callable[[], None] | None = None) -> None:
    """Train one run and predict with it, as far as that is not done yet; `tell` is called at each epoch.

    Only one process trains a run at a time; another that is to do the same waits and finds it done. Stopped
    by hand it raises KeyboardInterrupt, after predicting with the best epoch so far, if there is one.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time, FileLock(run.folder / ".sweep.lock"):
        threads = torch.get_num_threads()
        try:
            torch.set_num_threads(run.threads or threads)  # how sums are split decides their last bits
            _train(run, sample, tell)
        except KeyboardInterrupt:
            if read_note(run).get("state") == "running":
                _note(run, state="stopped")
            raise
        except Exception as error:
            _note(run, state="failed", message=f"{type(error).__name__}: {error}")
            raise
        finally:
            torch.set_num_threads(threads)


def _train(run: SweepRun, sample: Sample, tell: Callable[[], None] | None) -> None:
    # only who trains needs Lightning, which takes ten times as long to import as the rest of a sweep
    from pytorch_lightning.callbacks import LambdaCallback

    from labkit.learn import train

    before = _read(run.folder)
    callback = LambdaCallback(
        on_train_start=lambda trainer, _: _note(
            run, state="running", started=time.time(), from_epoch=trainer.current_epoch
        ),
        on_train_epoch_start=lambda *_: tell() if tell is not None else None,
    )
    fitted = train(
        run.experiment, sample, run=run.run, seed=run.seed, fold=run.fold, device=run.device,
        other="replace", progress=False, logger=run.logger, callbacks=(callback,),
    )  # fmt: skip
    # what the table is made from: the training, and the Sample with the labels it is measured against
    made_from = {"training": read_about(fitted.folder / "last.safetensors")["identity"]}
    made_from |= {"epochs": len(fitted.history), "sample": sample.content_hash}
    made_from |= {"measured against": _truth_digest(run.experiment, sample)}
    table = fitted.folder / _TABLE
    if before.get("made_from") != made_from or not table.is_file():
        score = out_of_fold if run.fold >= 0 else predict
        model: Any = [fitted.model] if run.fold >= 0 else fitted.model
        score(model, sample, device=run.device).save(table)
    times = {key: value for key, value in read_note(run).items() if key in ("started", "from_epoch")}
    state = "stopped" if fitted.interrupted else "done"
    _note(run, state=state, made_from=made_from, ended=time.time(), **times)
    if fitted.interrupted:
        raise KeyboardInterrupt(f"{run.title} was stopped; the same call resumes it")


def _truth_digest(experiment: Experiment, sample: Sample) -> str:
    """Hash of the columns that a table of predictions repeats, as they are now: ids, truth and parts."""
    wanted = {"object_id", "label", experiment.label_column, experiment.split_column}
    wanted |= {target_column(one)[0] for one in experiment.targets}
    catalogue = sample.catalogue
    columns = {
        name: (str(getattr(catalogue[name], "unit", None)), text(catalogue[name]).tolist())
        for name in sorted(wanted & set(catalogue.colnames))
    }
    return hashlib.sha256(repr(columns).encode()).hexdigest()


def _note(run: SweepRun, **facts: Any) -> None:
    write_file(run.folder / _NOTE, json.dumps({"sweep": run.sweep, **facts}, indent=1))


def _read(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / _NOTE).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def read_note(run: SweepRun) -> dict[str, Any]:
    """What the run has noted in this sweep: ``state`` and times; empty before it has started."""
    found = _read(run.folder)
    return found if found.get("sweep") == run.sweep else {}


def run_predictions(run: SweepRun) -> Predictions | Estimates:
    """The predictions that a finished or stopped run has left."""
    table = run.folder / _TABLE
    if not table.is_file():
        raise InputError(f"predictions of {run.title} must be in {str(table)!r}; run the sweep again")
    return load_predictions(table)


def state_of(run: SweepRun) -> dict[str, Any]:
    """How far a run is (columns of ``states.csv``), from what it has left in its folder in this sweep.

    States are waiting, running, stopped, failed and done; validation is the accuracy, or of numbers the
    error, after the last epoch, seconds those of training in this call.
    """
    state = {"experiment": run.experiment.name, "seed": run.seed, "fold": run.fold, "state": "waiting"}
    state |= {"epoch": 0, "epochs": run.experiment.epochs, "validation": "", "seconds": "", "message": ""}
    note = read_note(run)
    if not note:
        return state
    try:
        history = read_about(run.folder / "last.safetensors")["history"]
    except InputError:  # not there yet, or replaced at this moment
        history = []
    if history:
        name = "error" if run.experiment.targets else "accuracy"
        quality = f"{name} {history[-1][f'validation_{name}']:.3f}"
        state |= {"epoch": len(history), "validation": quality}
    if "started" in note:
        state["seconds"] = round(note.get("ended", time.time()) - note["started"], 1)
    return state | {"state": note["state"], "message": note.get("message", "")}


class Board:
    """Shows how far the runs of a sweep are, in ``states.csv`` and ``progress.html`` of the run folder.

    Besides these a terminal or a notebook gets one bar of epochs; a notebook that runs headlessly, and a log,
    get a line for each run that ends.
    """

    def __init__(self, runs: Sequence[SweepRun], folder: Path, *, bar: bool, dashboard: str = "") -> None:
        self.runs, self.folder, self.dashboard = runs, folder, dashboard
        self.states = {run: state_of(run) for run in runs}
        self._started, self._written = time.monotonic(), 0.0
        self._headless = bar and HEADLESS in os.environ
        shown = bar and not self._headless and (sys.stderr.isatty() or "ipykernel" in sys.modules)
        epochs, title = sum(run.experiment.epochs for run in runs), f"Sweep {folder.name}"
        self._bar = tqdm(total=epochs, unit="epoch", desc=title, mininterval=0.5) if shown else None
        if dashboard:
            log.info("dashboard of the workers: %s", dashboard)
        self.update(now=True)

    def update(self, *, now: bool = False, ended: bool = False) -> None:
        """Look at the runs' folders and write the files, every other second at most unless `now`."""
        if not now and time.monotonic() - self._written < _EVERY_S:
            return
        for run, known in self.states.items():
            if known["state"] in ("waiting", "running"):
                self.states[run] = state_of(run)
                if ended and self.states[run]["state"] == "running":  # with the worker's process
                    self.states[run]["state"] = "stopped"
        with atomic_file(self.folder / "states.csv") as partial, partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.states.values())
        write_file(self.folder / "progress.html", self._page(ended))
        self._written = time.monotonic()
        if self._bar is not None:
            done = sum(state["epoch"] for state in self.states.values())
            self._bar.set_postfix_str(self._count(), refresh=False)
            self._bar.update(done - self._bar.n)

    def end_of(self, run: SweepRun, error: BaseException | None) -> None:
        """Say that a run has ended, and what ended it if it failed."""
        state = state_of(run)
        if error is not None and state["state"] != "failed":  # its worker died before it could say so
            state |= {"state": "failed", "message": str(error)}
        self.states[run] = state
        self.update(now=True)
        how = f"failed: {state['message']}" if error else f"validation {state['validation']}"
        line = f"{run.title}: {how} ({self._count()}{self._left()})"
        log.info(line)
        if self._headless:
            sys.stderr.write(f"{line}\n")

    def close(self) -> None:
        """Write the files for the last time and close the bar."""
        self.update(now=True, ended=True)
        if self._bar is not None:
            self._bar.close()

    def _ended(self) -> int:
        return sum(state["state"] in ("done", "failed") for state in self.states.values())

    def _count(self) -> str:
        return f"{self._ended()} of {len(self.runs)} runs"

    def _left(self) -> str:
        """The time that the other runs should take, at the pace so far."""
        open_runs = len(self.runs) - self._ended()
        seconds = (time.monotonic() - self._started) / max(1, self._ended()) * open_runs
        return f", about {tqdm.format_interval(round(seconds))} left" if open_runs else ""

    def _page(self, ended: bool) -> str:
        """The states as a page that needs no network and reloads itself until the sweep has ended."""
        rows = "".join(
            f'<tr style="background:{_COLOURS[state["state"]]}">'
            + "".join(f"<td>{html.escape(str(state[name]))}</td>" for name in _COLUMNS)
            + "</tr>"
            for state in self.states.values()
        )
        title = html.escape(f"Sweep {self.folder.name}: {self._count()}{' (ended)' if ended else ''}")
        link = f'<p><a href="{html.escape(self.dashboard)}">Dask dashboard</a></p>' if self.dashboard else ""
        return (
            f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            + ("" if ended else '<meta http-equiv="refresh" content="5">')
            + "<style>body{font:15px sans-serif}td,th{padding:.15rem .8rem;text-align:left}</style></head>"
            + f"<body><h1>{title}</h1><p>written {time.strftime('%Y-%m-%d %H:%M:%S')}</p>"
            + ("" if ended else link)
            + f"<table><tr><th>{'</th><th>'.join(_COLUMNS)}</th></tr>{rows}</table></body></html>\n"
        )

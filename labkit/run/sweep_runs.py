"""One run of a sweep: train it, predict with it, and leave both in its folder.

This is what a worker does. All that it has to say it writes into the run's folder, so a sweep can be
killed and looked at from anywhere that sees the files.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from filelock import FileLock
from pytorch_lightning.callbacks import Callback

from labkit.errors import InputError
from labkit.experiment import Experiment
from labkit.learn import model_folder, out_of_fold, predict, train
from labkit.learn.checkpoint import read_about
from labkit.paths import atomic_file
from labkit.predictions import Predictions
from labkit.sample import Sample

log = logging.getLogger(__name__)

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

    @property
    def folder(self) -> Path:
        """Folder of the model."""
        return model_folder(self.run, self.experiment, self.seed, self.fold)

    @property
    def title(self) -> str:
        """Name in lines and errors."""
        return f"{self.experiment.name}, seed {self.seed}" + (f", fold {self.fold}" if self.fold >= 0 else "")


class _Tell(Callback):
    """Note when training starts, and tell the sweep of each epoch."""

    def __init__(self, run: SweepRun, tell: Callable[[], None] | None) -> None:
        self._run, self._tell = run, tell

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the start."""
        _note(self._run, state="running", started=time.time(), from_epoch=trainer.current_epoch)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tell that the epoch before is kept."""
        if self._tell is not None:
            self._tell()


def train_run(run: SweepRun, sample: Sample, *, tell: Callable[[], None] | None = None) -> None:
    """Train one run and predict with it, as far as that is not done yet; `tell` is called at each epoch.

    Only one process trains a run at a time; another that is to do the same waits and finds it done. Stopped
    by hand it raises KeyboardInterrupt, after predicting with the best epoch so far, if there is one.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time, FileLock(run.folder / ".sweep.lock"), _threads(run.threads):
        try:
            _train(run, sample, tell)
        except KeyboardInterrupt:
            if read_note(run).get("state") == "running":
                _note(run, state="stopped")
            raise
        except Exception as error:
            _note(run, state="failed", message=f"{type(error).__name__}: {error}")
            raise


def _train(run: SweepRun, sample: Sample, tell: Callable[[], None] | None) -> None:
    before = _read(run.folder)
    fitted = train(
        run.experiment,
        sample,
        run=run.run,
        seed=run.seed,
        fold=run.fold,
        device=run.device,
        other="replace",
        progress=False,
        callbacks=(_Tell(run, tell),),
    )
    # what the table is made from: the training, and the Sample with the labels it is measured against
    made_from = {"training": read_about(fitted.folder / "last.safetensors")["identity"]}
    made_from |= {"epochs": len(fitted.history), "sample": sample.content_hash}
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


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """Compute on some threads of the CPU: how sums are split decides their last bits."""
    before = torch.get_num_threads()
    if number:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _note(run: SweepRun, **facts: Any) -> None:
    with atomic_file(run.folder / _NOTE) as partial:
        partial.write_text(json.dumps({"sweep": run.sweep, **facts}, indent=1))


def _read(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / _NOTE).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def read_note(run: SweepRun) -> dict[str, Any]:
    """What the run has noted in this sweep: ``state`` and times; empty before it has started."""
    found = _read(run.folder)
    return found if found.get("sweep") == run.sweep else {}


def run_predictions(run: SweepRun) -> Predictions:
    """The predictions that a finished or stopped run has left."""
    table = run.folder / _TABLE
    if not table.is_file():
        raise InputError(f"predictions of {run.title} must be in {str(table)!r}; run the sweep again")
    return Predictions.load(table)

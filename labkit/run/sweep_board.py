"""What a sweep shows while it runs: a page in the run folder, and one bar or a line a run."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from labkit.errors import InputError
from labkit.learn.checkpoint import read_about
from labkit.paths import atomic_file
from labkit.run.sweep_runs import SweepRun, read_note
from labkit.runfolder import HEADLESS
from labkit.views.progress import RunState, duration, progress_page, time_left

__all__ = ["Board", "state_of"]

log = logging.getLogger(__name__)
_EVERY_S = 2.0


def state_of(run: SweepRun) -> RunState:
    """How far a run is, from what it has left in its folder in this sweep.

    Parameters
    ----------
    run : SweepRun
        The run.

    Returns
    -------
    RunState
        "waiting" until it starts.
    """
    note = read_note(run)
    facts: dict[str, Any] = {"experiment": run.experiment.name, "seed": run.seed, "fold": run.fold}
    facts["epochs"] = run.experiment.epochs
    if not note:
        return RunState(**facts)
    history = _history(run.folder)
    if history:
        facts |= {"epoch": len(history), "accuracy": history[-1]["validation_accuracy"]}
    if "started" in note:
        facts["measured_epochs"] = max(0, len(history) - note["from_epoch"])
        facts["seconds"] = note.get("ended", time.time()) - note["started"]
    return RunState(**facts, state=note["state"], message=note.get("message", ""))


def _history(folder: Path) -> list[dict[str, float]]:
    """Epochs of the training in a folder; none while there is no state of it."""
    try:
        return read_about(folder / "last.safetensors")["history"]
    except InputError:  # not there yet, or replaced at this moment
        return []


class Board:
    """Shows how far the runs of a sweep are.

    The page ``progress.html`` is for everyone who sees the run folder. Besides it a person sees one bar; a
    notebook that runs headlessly, and a log, get a line for each run that ends.

    Parameters
    ----------
    runs : sequence of SweepRun
        All runs.
    page : Path
        File to write.
    title : str
        Heading of the page.
    workers : int
        Runs at a time.
    dashboard : str, optional
        Address of Dask's dashboard.
    bar : bool
        Show a bar where standard error is a terminal or a notebook.
    """

    def __init__(
        self,
        runs: Sequence[SweepRun],
        page: Path,
        *,
        title: str,
        workers: int = 1,
        dashboard: str | None = None,
        bar: bool = True,
    ) -> None:
        self.runs, self.page, self.title = runs, page, title
        self.workers, self.dashboard = workers, dashboard
        self.states = {run: RunState(run.experiment.name, run.seed, run.fold) for run in runs}
        self._started, self._written = time.monotonic(), -_EVERY_S
        self._headless = bar and HEADLESS in os.environ
        watched = bar and not self._headless and (sys.stderr.isatty() or "ipykernel" in sys.modules)
        epochs = sum(run.experiment.epochs for run in runs)
        self._bar = tqdm(total=epochs, unit="epoch", desc=title, mininterval=0.5) if watched else None
        self.update(now=True)

    def update(self, *, now: bool = False, ended: bool = False) -> None:
        """Look at the runs' folders and write the page, every other second at most.

        Parameters
        ----------
        now : bool
            Do not wait.
        ended : bool
            Nothing more will happen.
        """
        if not now and time.monotonic() - self._written < _EVERY_S:
            return
        closed = ("done", "failed", "stopped")
        for run in self.runs:
            if self.states[run].state not in closed:
                state = state_of(run)
                cut = ended and state.state == "running"  # by hand, with the worker's process
                self.states[run] = replace(state, state="stopped") if cut else state
        text = progress_page(
            list(self.states.values()),
            title=self.title,
            elapsed_s=time.monotonic() - self._started,
            workers=self.workers,
            dashboard=self.dashboard,
            ended=ended,
        )
        with atomic_file(self.page) as partial:
            partial.write_text(text, encoding="utf-8")
        self._written = time.monotonic()
        self._move()

    def _move(self) -> None:
        if self._bar is not None:
            shares = ((one.share, run.experiment.epochs) for run, one in self.states.items())
            self._bar.set_postfix_str(self._count(), refresh=False)
            self._bar.update(round(sum(share * epochs for share, epochs in shares)) - self._bar.n)

    def _count(self) -> str:
        ended = sum(one.state in ("done", "failed") for one in self.states.values())
        return f"{ended} of {len(self.runs)} runs"

    def end_of(self, run: SweepRun, error: BaseException | None) -> None:
        """Tell that a run has ended.

        Parameters
        ----------
        run : SweepRun
            The run.
        error : exception or None
            What ended it, if it failed.
        """
        state = state_of(run)
        if error is not None and state.state != "failed":  # its worker died before it could say so
            state = RunState(run.experiment.name, run.seed, run.fold, "failed", message=str(error))
        self.states[run] = state
        self.update(now=True)
        seconds = time_left(list(self.states.values()), workers=self.workers)
        left = duration(seconds) if seconds > 0 else ""
        told = f"failed: {state.message}" if error else f"validation accuracy {state.accuracy:.3f}"
        line = f"{run.title}: {told} ({self._count()}{f', about {left} left' if left else ''})"
        log.info(line)
        if self._headless:
            sys.stderr.write(f"{line}\n")

    def close(self) -> None:
        """Write the page for the last time and close the bar."""
        self.update(now=True, ended=True)
        if self._bar is not None:
            self._bar.close()

"""What a sweep shows while it runs: one CSV of run states, a page of it, and a bar or a line for each run."""

from __future__ import annotations

import csv
import html
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from labkit.errors import InputError
from labkit.learn.checkpoint import read_about
from labkit.paths import atomic_file
from labkit.run.sweep_runs import SweepRun, read_note
from labkit.runfolder import HEADLESS

log = logging.getLogger(__name__)
_EVERY_S = 2.0
_COLUMNS = ("experiment", "seed", "fold", "state", "epoch", "epochs", "accuracy", "seconds", "message")
_STATES = ("waiting", "running", "stopped", "failed", "done")
_COLOURS = dict(zip(_STATES, ("#eee", "#cfe6f5", "#fdf3d8", "#f9d9c7", "#cdeedd"), strict=True))


def state_of(run: SweepRun) -> dict[str, Any]:
    """How far a run is (columns of ``states.csv``), from what it has left in its folder in this sweep.

    States are waiting, running, stopped, failed and done; accuracy is that of validation after the last
    epoch, seconds those of training in this call.
    """
    state = {"experiment": run.experiment.name, "seed": run.seed, "fold": run.fold, "state": "waiting"}
    state |= {"epoch": 0, "epochs": run.experiment.epochs, "accuracy": "", "seconds": "", "message": ""}
    note = read_note(run)
    if not note:
        return state
    try:
        history = read_about(run.folder / "last.safetensors")["history"]
    except InputError:  # not there yet, or replaced at this moment
        history = []
    if history:
        state |= {"epoch": len(history), "accuracy": round(history[-1]["validation_accuracy"], 4)}
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
        with atomic_file(self.folder / "progress.html") as partial:
            partial.write_text(self._page(ended), encoding="utf-8")
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
        told = f"failed: {state['message']}" if error else f"validation accuracy {state['accuracy']:.3f}"
        line = f"{run.title}: {told} ({self._count()}{self._left()})"
        log.info(line)
        if self._headless:
            sys.stderr.write(f"{line}\n")

    def close(self) -> None:
        """Write the files for the last time and close the bar."""
        self.update(now=True, ended=True)
        if self._bar is not None:
            self._bar.close()

    def _count(self) -> str:
        ended = sum(state["state"] in ("done", "failed") for state in self.states.values())
        return f"{ended} of {len(self.runs)} runs"

    def _left(self) -> str:
        """The time that the other runs should take, at the pace so far."""
        ended = sum(state["state"] in ("done", "failed") for state in self.states.values())
        open_runs = len(self.runs) - ended
        seconds = (time.monotonic() - self._started) / max(1, ended) * open_runs
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

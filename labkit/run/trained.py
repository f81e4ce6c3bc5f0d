"""What trained networks have left in a run folder: histories and best epochs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from astropy.table import QTable

from labkit.errors import MissingDataError
from labkit.experiment import Experiment
from labkit.learn import model_folder
from labkit.learn.checkpoint import read_about
from labkit.runfolder import RunFolder


def histories(
    run: str | Path | RunFolder, experiments: Sequence[Experiment]
) -> dict[str, list[list[dict[str, Any]]]]:
    """Loss, accuracy and learning rate by epoch of each run that has ended one.

    Parameters
    ----------
    run : path or RunFolder
        Where they were trained.
    experiments : sequence of Experiment
        What was trained.

    Returns
    -------
    dict of str to list
        For each experiment its runs, in the order of seeds and folds; a run is a list of rows, one per epoch.

    Raises
    ------
    MissingDataError
        If there is no such folder.
    """
    found: dict[str, list[list[dict[str, Any]]]] = {}
    for experiment, folder, _ in _trained(run, experiments):
        history = read_about(folder / "last.safetensors")["history"]
        found.setdefault(experiment.name, []).append(history)
    return found


def training_table(run: str | Path | RunFolder, experiments: Sequence[Experiment]) -> QTable:
    """The best epoch of each run, which is the one that is kept.

    Parameters
    ----------
    run, experiments
        As for `histories`.

    Returns
    -------
    `~astropy.table.QTable`
        One row per run: ``network``, ``seed``, ``fold``, ``folder`` of the model, ``epochs`` (that ended),
        ``epoch`` (the best, counted from 0), then learning rate, loss and accuracy of training and
        validation at that epoch.

    Raises
    ------
    MissingDataError
        If no run has ended an epoch.
    """
    rows = []
    for experiment, folder, (seed, fold) in _trained(run, experiments):
        history = read_about(folder / "last.safetensors")["history"]
        best = history[read_about(folder / "weights.safetensors")["epoch"]]
        head = {"network": experiment.name, "seed": seed, "fold": fold}
        head |= {"folder": str(folder), "epochs": len(history)}
        rows.append(head | best)
    if not rows:
        raise MissingDataError(f"run must hold trained networks, got none of {str(run)!r}; train them first")
    return QTable(rows=rows)


def _trained(
    run: str | Path | RunFolder, experiments: Sequence[Experiment]
) -> list[tuple[Experiment, Path, tuple[int, int]]]:
    if not Path(run).is_dir():
        raise MissingDataError(
            f"run must be a run folder, got {str(Path(run))!r}; check the path or train first"
        )
    found = [
        (experiment, model_folder(run, experiment, one.seed, one.fold), (one.seed, one.fold))
        for experiment in experiments
        for one in experiment.runs
    ]
    return [each for each in found if (each[1] / "weights.safetensors").is_file()]

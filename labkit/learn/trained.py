"""What trainings have left in a run folder: models, histories, best epochs, predictions."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from astropy.table import QTable

from labkit.errors import InputError, MissingDataError
from labkit.experiment import Experiment
from labkit.learn.checkpoint import read_about
from labkit.learn.model import Fitted, Model, model_folder
from labkit.predictions import Estimates, Predictions, load_predictions
from labkit.runfolder import RunFolder

log = logging.getLogger(__name__)

#: What predicts: a trained network, what a training gave, several of these, or a run folder.
Models = Model | Fitted | str | Path | RunFolder | Iterable[Model | Fitted]


def find_models(models: Models, *, experiment: str | None = None) -> list[Model]:
    """The trained models of a run folder, in the order of their names.

    Parameters
    ----------
    models : path, RunFolder, Model, Fitted, or an iterable of the last two
        The run folder where they were trained (nothing is made there), or a model's own folder. Models
        themselves are passed on.
    experiment : str, optional
        Only those of this experiment.

    Returns
    -------
    list of Model
        One at least.

    Raises
    ------
    MissingDataError
        If there are none.
    InputError
        If a file of one is damaged, or `models` is something else.
    """
    where = repr(models) if isinstance(models, str) else "the models given"
    if isinstance(models, str | Path | RunFolder):
        root = models.path if isinstance(models, RunFolder) else Path(models)
        where = repr(str(root))
        folders = [root] if (root / "model.json").is_file() else list(_trained_folders(root))
        known = {folder: _experiment_name(folder) for folder in folders}
        found = [Model.load(folder) for folder, name in known.items() if experiment in (None, name)]
        names = set(known.values())
    else:
        try:
            each = [models] if isinstance(models, Model | Fitted) else list(models)
        except TypeError:
            raise InputError(
                f"models must be a Model, a list of them or a run folder, got {type(models).__name__}"
            ) from None
        given = [one.model if isinstance(one, Fitted) else one for one in each]
        if others := [type(one).__name__ for one in given if not isinstance(one, Model)]:
            raise InputError(f"models must be Models or what train gave, got {', '.join(others)}")
        found = [one for one in given if experiment in (None, one.experiment.name)]
        names = {one.experiment.name for one in given}
    if not found:
        raise MissingDataError(
            f"run must hold models{'' if experiment is None else f' of experiment {experiment!r}'}, "
            f"got {where} with {sorted(names) or 'none'}; "
            "train them first, with `labkit train` or notebook 03"
        )
    return found


def _trained_folders(root: Path) -> Iterator[Path]:
    """Folders with weights; a training that was killed before its first epoch ended has left none."""
    for file in sorted(root.glob("checkpoints/*/model.json")):
        if (file.parent / "weights.safetensors").is_file():
            yield file.parent
        else:
            log.warning("passed over %s: its training has not ended an epoch", file.parent)


def _experiment_name(folder: Path) -> str:
    try:
        return str(json.loads((folder / "model.json").read_text())["experiment"]["name"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{str(folder / 'model.json')!r} must describe a model ({error}); train again"
        ) from error


def histories(
    run: str | Path | RunFolder, experiments: Sequence[Experiment]
) -> dict[str, list[list[dict[str, Any]]]]:
    """Loss, accuracy and learning rate by epoch of each run that has ended one.

    Parameters
    ----------
    run : path or RunFolder
        Where they were trained; a `MissingDataError` if there is no such folder.
    experiments : sequence of Experiment
        What was trained.

    Returns
    -------
    dict of str to list
        For each experiment its runs, in the order of seeds and folds; a run is a list of rows, one per epoch.
    """
    found: dict[str, list[list[dict[str, Any]]]] = {}
    for experiment, folder, _ in _trained(run, experiments):
        found.setdefault(experiment.name, []).append(read_about(folder / "last.safetensors")["history"])
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


def trained_sets(
    run: str | Path | RunFolder,
    experiments: Sequence[Experiment],
    wanted: Mapping[str, Mapping[Any, str]],
    *,
    split: str | None = "test",
) -> dict[str, dict[Any, Predictions | Estimates]]:
    """Predictions for several comparisons of trained experiments.

    Parameters
    ----------
    run, experiments
        As for `histories`.
    wanted : mapping of str to mapping to str
        For each comparison what it calls its sets, and the names of their experiments.
    split : str or None
        Part of the Sample; None takes all rows.

    Returns
    -------
    dict of str to dict to Predictions or Estimates
        The sets of each comparison, in the order of `wanted`. One whose experiment is not among
        `experiments`, or has no predictions in the run folder, is left out; so a comparison may be empty.
    """
    _need_folder(run)
    folder, tables, trained = RunFolder(run), {}, {}
    for one in experiments:
        path = folder.predictions_of(one.kind, folds=one.folds > 0)
        if path not in tables and path.is_file():
            tables[path] = load_predictions(path)
        if path in tables and len(rows := tables[path].select(experiment=one.name, split=split)):
            trained[one.name] = rows
    return {
        name: {key: trained[called] for key, called in sets.items() if called in trained}
        for name, sets in wanted.items()
    }


def _need_folder(run: str | Path | RunFolder) -> None:
    if not Path(run).is_dir():
        raise MissingDataError(
            f"run must be a run folder, got {str(Path(run))!r}; check the path or train first"
        )


def _trained(
    run: str | Path | RunFolder, experiments: Sequence[Experiment]
) -> list[tuple[Experiment, Path, tuple[int, int]]]:
    _need_folder(run)
    found = [
        (experiment, model_folder(run, experiment, one.seed, one.fold), (one.seed, one.fold))
        for experiment in experiments
        for one in experiment.runs
    ]
    return [each for each in found if (each[1] / "weights.safetensors").is_file()]

"""What trainings have left in a run folder, or ships with labkit: models, histories, predictions."""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import astropy.units as u
from astropy.table import QTable

from labkit.calibration import FILE, Calibration
from labkit.errors import InputError, MissingDataError, boundary
from labkit.experiment import Experiment
from labkit.learn.checkpoint import read_about
from labkit.learn.model import Fitted, Model, model_folder
from labkit.predictions import Estimates, Predictions, load_predictions
from labkit.runfolder import RunFolder

log = logging.getLogger(__name__)

#: What predicts: a trained network, what a training gave, several of these, a run folder, or a shipped name.
Models = Model | Fitted | str | Path | RunFolder | Iterable[Model | Fitted]


def find_models(models: Models, *, experiment: str | None = None) -> list[Model]:
    """The trained models of a run folder, in the order of their names.

    Parameters
    ----------
    models : path, str, RunFolder, Model, Fitted, or an iterable of the last two
        The run folder where they were trained (nothing is made there), a model's own folder, or, where there
        is no such folder, the name of models that ship with labkit, such as "xmm-xray". Models themselves
        are passed on.
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
        root = _folder(models)
        where = repr(str(root))
        known = model_folders(models)
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
            "train them first, with `labkit train` or notebook 03, or name those that ship with labkit: "
            f"{', '.join(shipped_models())}"
        )
    return found


def model_folders(models: str | Path | RunFolder) -> dict[Path, str]:
    """The folders of the models that `find_models` finds by a folder or name, and their experiments."""
    return {one: str(_facts(one)["experiment"]["name"]) for one in _trained_folders(_folder(models))}


def one_model(models: Models, *, name: str = "model") -> Model:
    """The only model that `find_models` finds there; several are refused, and called by `name`."""
    found = find_models(models)
    if len(found) > 1:
        names = [f"{one.experiment.name}, seed {one.seed}, fold {one.fold}" for one in found]
        raise InputError(f"{name} must be the folder of one model, {str(models)!r} has {names}; name one")
    return found[0]


def shipped_models() -> dict[str, Path]:
    """Folders of the models that ship with labkit, by name: run folders, each with a card."""
    room = Path(str(resources.files("labkit.learn"))) / "shipped"
    return {card.parent.name: card.parent for card in sorted(room.glob("*/card.json"))}


def _folder(models: str | Path | RunFolder) -> Path:
    root = models.path if isinstance(models, RunFolder) else Path(models)
    return root if root.exists() else shipped_models().get(str(models), root)


def model_card(models: str | Path | RunFolder) -> dict[str, Any]:
    """What the models of a folder were trained on, how they were measured, and what they are valid for.

    The ``card.json`` beside models that ship with labkit; empty for a folder that has none.
    """
    file = _folder(models) / "card.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def model_calibration(models: str | Path | RunFolder) -> Calibration:
    """The calibration of the models of a folder, ``calibration.json`` in it (see `find_models`)."""
    folder = _folder(models)
    if not (folder / FILE).is_file():
        raise MissingDataError(
            f"calibrated=True needs {FILE} beside the models, and {str(models)!r} has none; make it by "
            f"`labkit calibrate PREDICTIONS --out {folder / FILE}`"
        )
    return Calibration.load(folder)


def prevalence_of(models: Sequence[Model]) -> float | None:
    """The prevalence that the probabilities of all of these assume; None where it differs or is unknown."""
    found = {model.experiment.prevalence for model in models}
    return found.pop() if len(found) == 1 else None


def model_table(models: str | Path | RunFolder | None = None) -> QTable:
    """The models of a run folder (as for `find_models`), or all that ship with labkit; no weights are read.

    One row per model: ``models`` (what `find_models` takes), ``experiment``, ``seed``, ``fold`` (-1 without
    folds), ``network``, ``bands``, ``outputs`` (classes or targets), ``image_size`` (pixels), ``pixel_scale``
    (of the Sample's images) and ``folder``.
    """
    where = shipped_models() if models is None else {str(models): _folder(models)}
    rows = []
    for name, root in where.items():
        for folder in _trained_folders(root):
            facts = _facts(folder)
            about = facts["experiment"]
            row = {"models": name, "experiment": about["name"], "seed": facts["seed"], "fold": facts["fold"]}
            row |= {"network": about["network"], "bands": ", ".join(facts["bands"])}
            row |= {"outputs": ", ".join(facts["classes"] or about["targets"])}
            row |= {"image_size": about["image_size"], "pixel_scale": facts["pixel_scale_arcsec"] * u.arcsec}
            rows.append(row | {"folder": str(folder)})
    if not rows:
        raise MissingDataError(
            f"RUN must be a run folder with trained models, or one of {', '.join(shipped_models())}, got "
            f"{str(models)!r}; check the name"
        )
    table = QTable(rows=rows)
    table["pixel_scale"].info.format = ".4f"
    return table


def _trained_folders(root: Path) -> Iterator[Path]:
    """A model's own folder, or those with weights; one killed before its first epoch ended has left none."""
    if (root / "model.json").is_file():
        yield root
    for file in sorted(root.glob("checkpoints/*/model.json")):
        if (file.parent / "weights.safetensors").is_file():
            yield file.parent
        else:
            log.warning("passed over %s: its training has not ended an epoch", file.parent)


def _facts(folder: Path) -> dict[str, Any]:
    """What ``model.json`` says; refused where it does not even name its experiment."""
    with boundary(f"{str(folder / 'model.json')!r} must describe a model", "train again"):
        facts = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        str(facts["experiment"]["name"])
        return facts


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

"""The chain as verbs: train a set of experiments into a run folder, and score any Sample with its models."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from labkit.errors import InputError, MissingDataError
from labkit.experiment import Experiment
from labkit.images import normalise
from labkit.learn import Fitted, Model, predict, train_seeds
from labkit.learn.splits import named_bands_of
from labkit.predictions import Predictions
from labkit.runfolder import RunFolder
from labkit.sample import Sample

__all__ = ["find_models", "score", "train_all"]

log = logging.getLogger(__name__)


def train_all(
    experiments: Sequence[Experiment],
    sample: Sample,
    *,
    run: str | Path | RunFolder,
    device: str = "auto",
    progress: bool = True,
) -> list[Fitted]:
    """Train every experiment with each of its seeds and predict the whole Sample with each.

    What a killed call has finished is kept; the same call goes on where it was. A training of the same name and
    seed with other settings or another Sample is replaced.

    Parameters
    ----------
    experiments : sequence of Experiment
        What to train; names must differ.
    sample : Sample
        Normalised images with labels and splits.
    run : path or RunFolder
        Gets ``experiments/``, ``checkpoints/`` and ``predictions.parquet``.
    device : str
        See `labkit.learn.train`.
    progress : bool
        A bar where someone watches; otherwise log lines.

    Returns
    -------
    list of Fitted
        One a run, in the order of experiments and seeds; fewer after an interrupt.

    Raises
    ------
    InputError
        If names repeat, or Sample and experiments do not fit.
    """
    names = [experiment.name for experiment in experiments]
    if not names or len(set(names)) != len(names):
        raise InputError(f"experiments must be one or more with different names, got {names}")
    folder = run if isinstance(run, RunFolder) else RunFolder(run)
    done: list[Fitted] = []
    for experiment in experiments:
        experiment.save(folder.experiments / f"{experiment.name}.json")
        done += train_seeds(experiment, sample, run=folder, device=device, other="replace", progress=progress)
        if done[-1].interrupted:
            log.info("stopped by hand; the same call goes on")
            break
    parts = [predict(fitted.model, sample, device=device) for fitted in done]
    Predictions.concatenate(parts).save(folder.predictions)
    seeds = {experiment.name: list(experiment.seeds) for experiment in experiments}
    folder.record(seeds=seeds, inputs={"sample": sample.content_hash})
    return done


def find_models(run: str | Path | RunFolder, *, experiment: str | None = None) -> list[Model]:
    """The trained models of a run folder, in the order of their names.

    Parameters
    ----------
    run : path or RunFolder
        Where they were trained.
    experiment : str, optional
        Only those of this experiment.

    Raises
    ------
    MissingDataError
        If there are none.
    """
    folder = run if isinstance(run, RunFolder) else RunFolder(run)
    found = [Model.load(file.parent) for file in sorted(folder.checkpoints.glob("*/model.json"))]
    chosen = [model for model in found if experiment in (None, model.experiment.name)]
    if not chosen:
        known = sorted({model.experiment.name for model in found}) or "none"
        raise MissingDataError(
            f"run must hold models of experiment {experiment!r}, got {str(folder.path)!r} with {known}; "
            "train them first, with `labkit train` or notebook 03"
        )
    return chosen


def score(models: Iterable[Model], sample: Sample, *, device: str = "auto", views: int = 1) -> Predictions:
    """Predictions of several models for one Sample, raw or normalised.

    A raw Sample is normalised as each model was trained; only the bands that a model takes are used.

    Parameters
    ----------
    models : iterable of Model
        Trained networks with the same classes.
    sample : Sample
        Any Sample of the models' pixel scale and image size.
    device : str
        See `labkit.learn.predict`.
    views : int
        Randomly turned views to average over.

    Returns
    -------
    Predictions
        One row an object and model.

    Raises
    ------
    InputError
        If the Sample lacks a band, or is not such as the models were trained on.
    """
    parts = []
    for model in models:
        ready = named_bands_of(sample, model.experiment)
        if "normalisation" not in sample.provenance:
            ready = normalise(ready, **_options(model))
        parts.append(predict(model, ready, device=device, views=views))
    return Predictions.concatenate(parts)


def _options(model: Model) -> dict[str, Any]:
    """Arguments of `normalise` that repeat what a model was trained with."""
    record = model.normalisation
    if not isinstance(record, dict) or record.get("method") not in ("xamin", "asinh", "percentile"):
        raise InputError(
            f"a raw Sample cannot be normalised as the model's was ({record}); "
            "normalise it the same way yourself, then score it"
        )
    names = ("method", "output", "kinds", "lower", "upper", "softening")
    return {name: record[name] for name in names if name in record}

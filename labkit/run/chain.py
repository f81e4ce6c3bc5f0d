"""Trained networks at work: find those of a run folder, and score any Sample with them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path

from labkit.errors import MissingDataError
from labkit.images import normalise
from labkit.learn import Model, predict
from labkit.learn.splits import named_bands_of
from labkit.predictions import Predictions
from labkit.runfolder import RunFolder
from labkit.sample import Sample

__all__ = ["find_models", "score"]

log = logging.getLogger(__name__)

_PIECE = 4096  # objects; a raw Sample is normalised that many at a time


def find_models(run: str | Path | RunFolder, *, experiment: str | None = None) -> list[Model]:
    """The trained models of a run folder, in the order of their names.

    A training that was killed before its first epoch ended has left no weights; it is passed over with a
    warning.

    Parameters
    ----------
    run : path or RunFolder
        Where they were trained; nothing is made there.
    experiment : str, optional
        Only those of this experiment.

    Raises
    ------
    MissingDataError
        If there are none.
    InputError
        If a file of one is damaged.
    """
    root = run.path if isinstance(run, RunFolder) else Path(run)
    known: set[str] = set()
    models = []
    for file in sorted(root.glob("checkpoints/*/model.json")):
        name = json.loads(file.read_text())["experiment"]["name"]
        if not (file.parent / "weights.safetensors").is_file():
            log.warning("passed over %s: its training has not ended an epoch", file.parent)
            continue
        known.add(name)
        if experiment in (None, name):
            models.append(Model.load(file.parent))
    if not models:
        raise MissingDataError(
            f"run must hold models{'' if experiment is None else f' of experiment {experiment!r}'}, "
            f"got {str(root)!r} with {sorted(known) or 'none'}; "
            "train them first, with `labkit train` or notebook 03"
        )
    return models


def score(
    models: Iterable[Model],
    sample: Sample,
    *,
    device: str = "auto",
    views: int = 1,
    accept_normalisation: bool = False,
) -> Predictions:
    """Predictions of several models for one Sample, raw or normalised.

    A raw Sample is normalised as each model was trained, some thousand objects at a time; only the bands
    that a model takes are used.

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
    accept_normalisation : bool
        Score images whose grey levels were made in another way than the model's, see `Model.check`. A raw
        Sample is then normalised by labkit's XAmin rules for a model of the published training set.

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
        for start in range(0, len(ready), _PIECE):
            piece = ready.select(slice(start, start + _PIECE))
            if "normalisation" not in sample.provenance:
                record = model.normalisation
                xamin = isinstance(record, dict) and str(record.get("method")).startswith("xamin")
                piece = normalise(piece) if accept_normalisation and xamin else normalise(piece, like=model)
            parts.append(
                predict(
                    model,
                    piece,
                    device=device,
                    views=views,
                    seed=start,
                    accept_normalisation=accept_normalisation,
                )
            )
    return Predictions.concatenate(parts)

"""Trained networks at work: find those of a run folder, and score any Sample with them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from labkit.errors import InputError, MissingDataError
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
                piece = normalise(piece, **_options(model, accept_normalisation))
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


def _options(model: Model, accept: bool) -> dict[str, Any]:
    """Arguments of `normalise` that repeat a model's, or come nearest where that is accepted."""
    record = model.normalisation
    if accept and isinstance(record, dict) and str(record.get("method")).startswith("xamin"):
        return {"method": "xamin"}
    if not isinstance(record, dict) or record.get("method") not in ("xamin", "asinh", "percentile"):
        raise InputError(
            f"a raw Sample cannot be normalised as the model's was ({record}); "
            "normalise it the same way yourself, or, if XAmin itself did, pass accept_normalisation=True"
        )
    names = ("method", "output", "kinds", "lower", "upper", "softening")
    return {name: record[name] for name in names if name in record}

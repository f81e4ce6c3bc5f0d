"""Experiments of one predictions table compared pair by pair, on the same objects."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from astropy.table import QTable

from labkit.errors import InputError
from labkit.evaluate.compare import paired_difference
from labkit.predictions import Predictions

__all__ = ["difference_table"]

_COLUMNS = ("first", "second", "metric", "difference", "low", "high", "p_value")


def difference_table(
    predictions: Predictions,
    pairs: Iterable[tuple[str, str]],
    *,
    split: str | None = "test",
    metrics: tuple[str, ...] = ("accuracy", "auc"),
    threshold: float = 0.5,
    resamples: int = 2000,
    rng: np.random.Generator | int = 0,
) -> QTable:
    """Differences between experiments, each averaged over its runs, with intervals from resampled objects.

    Parameters
    ----------
    predictions : Predictions
        Runs of all experiments on the same objects.
    pairs : iterable of (str, str)
        Names of the experiments to compare.
    split : str or None
        Part of the Sample to measure; None measures all rows.
    metrics : tuple of str
        Measures, see `labkit.evaluate.paired_difference`.
    threshold : float
        A higher probability counts as a detection.
    resamples : int
        Number of resamples.
    rng : Generator or int
        Draws the objects.

    Returns
    -------
    QTable
        A row a pair and measure: ``first``, ``second``, ``metric``, ``difference`` (first minus second),
        ``low``, ``high`` (95 %), ``p_value``; no row where there is no pair.

    Raises
    ------
    InputError
        If an experiment is not there, or its runs are not on the same objects.
    """
    rng = np.random.default_rng(rng)
    rows = []
    for first, second in pairs:
        ids, truth, one = _aligned(predictions, first, split)
        other_ids, _, other = _aligned(predictions, second, split)
        if not np.array_equal(ids, other_ids):
            raise InputError(
                f"{first!r} and {second!r} must be measured on the same objects, got different ones"
            )
        for metric in metrics:
            found = paired_difference(
                truth, one, other, rng=rng, metric=metric, threshold=threshold, resamples=resamples
            )
            rows.append(
                {
                    "first": first,
                    "second": second,
                    "metric": metric,
                    "difference": found.difference,
                    "low": found.interval.low,
                    "high": found.interval.high,
                    "p_value": found.p_value,
                }
            )
    return QTable(rows=rows) if rows else QTable(names=_COLUMNS, dtype=[str] * 3 + [float] * 4)


def _aligned(
    predictions: Predictions, experiment: str, split: str | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids (n,), truth (n,) and scores (run, n) of an experiment's objects of known class, sorted by id."""
    chosen = predictions.select(experiment=experiment, split=split)
    chosen = chosen.select(chosen.true_codes >= 0)
    if not len(chosen):
        known = sorted(set(predictions.table["experiment"].tolist()))
        raise InputError(
            f"experiment must be one of {known} with objects in split {split!r}, got {experiment!r}"
        )
    ids, truths, scores = [], [], []
    for _, run in chosen.runs():
        order = np.argsort(np.asarray(run.table["object_id"]))
        ids.append(np.asarray(run.table["object_id"])[order])
        truths.append(np.asarray(run.table["true"])[order] == run.positive)
        scores.append(run.score[order])
    if any(not np.array_equal(ids[0], other) for other in ids[1:]):
        raise InputError(
            f"runs of {experiment!r} must be on the same objects to be compared, got different ones"
        )
    return ids[0], truths[0], np.array(scores)

"""Experiments of one predictions table compared pair by pair, on the same objects."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from astropy.table import QTable

from labkit.errors import InputError
from labkit.evaluate.compare import Difference, delong, holm, mcnemar, paired_difference
from labkit.predictions import Predictions

__all__ = ["difference_table"]

_COLUMNS = ("first", "second", "metric", "difference", "low", "high", "test", "p_value", "p_holm")


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
    """Differences between experiments, each averaged over its runs, with paired tests on the same objects.

    Intervals are from resampled objects. P-values are McNemar's for accuracy, DeLong's for AUC and the
    bootstrap's for other measures; all compare means over the runs as they are
    (`labkit.evaluate.compare`) and so tell what other objects, not other seeds, would show. ``p_holm`` is
    corrected for the number of pairs.

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
        ``low``, ``high`` (95 %), ``test``, ``p_value``, ``p_holm``; no row where there is no pair.

    Raises
    ------
    InputError
        If an experiment is not there, or its runs are not on the same objects.
    """
    rng = np.random.default_rng(rng)
    rows: list[dict[str, object]] = []
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
            test, p_value = _tested(found, truth, one, other, threshold)
            measured = (found.difference, found.interval.low, found.interval.high, test, p_value, np.nan)
            rows.append(dict(zip(_COLUMNS, (first, second, metric, *measured), strict=True)))
    if not rows:
        return QTable(names=_COLUMNS, dtype=[str] * 3 + [float] * 3 + [str] + [float] * 2)
    table = QTable(rows=rows)
    for metric in metrics:
        same = table["metric"] == metric
        table["p_holm"][same] = holm(table["p_value"][same])
    return table


def _tested(
    found: Difference, truth: np.ndarray, first: np.ndarray, second: np.ndarray, threshold: float
) -> tuple[str, float]:
    """The test that belongs to a measure, and its p-value."""
    if found.metric == "accuracy":
        right = [(scores > threshold) == truth for scores in (first, second)]
        return "McNemar", mcnemar(*right).p_value
    if found.metric == "auc":
        return "DeLong", delong(truth, first, second).p_value
    return "bootstrap", found.p_value


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

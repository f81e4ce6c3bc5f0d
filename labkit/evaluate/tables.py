"""Tables of measured quality: a row a run, a row an experiment, a row a class."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from astropy.table import QTable

from labkit.errors import InputError
from labkit.evaluate.intervals import (
    Interval,
    OverSeeds,
    bootstrap_scores,
    over_seeds,
    percentile_interval,
)
from labkit.evaluate.metrics import Scores, binary_scores, one_versus_rest
from labkit.predictions import Predictions, Run

__all__ = ["METRICS", "as_text", "class_table", "run_table", "summary_table"]

#: Measures of a summary, in the order of its columns.
METRICS = ("accuracy", "precision", "recall", "f1", "auc")


def _known(predictions: Predictions, split: str | None) -> Predictions:
    """The rows of a split whose true class is known."""
    chosen = predictions if split is None else predictions.select(split=split)
    chosen = chosen.select(chosen.true_codes >= 0)
    if not len(chosen):
        splits = sorted(set(predictions.table["split"].tolist()))
        raise InputError(
            f"split must name objects of known class, got none for {split!r}; splits present: {splits}"
        )
    return chosen


def _binary(
    predictions: Predictions, positive: str | None, threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, probability and decision for one class against the rest."""
    name = positive or predictions.positive
    if name not in predictions.classes:
        raise InputError(f"positive must be one of {predictions.classes}, got {name!r}")
    column = predictions.classes.index(name)
    p = predictions.probabilities
    decided = p[:, column] > threshold if p.shape[1] == 2 else p.argmax(1) == column
    return predictions.true_codes == column, p[:, column], decided


def _measured(
    predictions: Predictions, positive: str | None, threshold: float, split: str | None
) -> Iterator[tuple[Run, Predictions, Scores]]:
    for run, rows in _known(predictions, split).runs():
        truth, p, decided = _binary(rows, positive, threshold)
        yield run, rows, binary_scores(truth, p, decided=decided)


def run_table(
    predictions: Predictions,
    *,
    split: str | None = "test",
    positive: str | None = None,
    threshold: float = 0.5,
) -> QTable:
    """Quality of each run.

    Parameters
    ----------
    predictions : Predictions
        Any number of runs. Objects of unknown class are left out.
    split : str or None
        Part of the Sample to measure; None measures all rows.
    positive : str, optional
        The class that counts as a detection, by default that of the predictions. With more than two
        classes an object is given the most probable one.
    threshold : float
        With two classes, a higher probability counts as a detection.

    Returns
    -------
    `~astropy.table.QTable`
        A row a run: ``experiment``, ``seed``, ``fold``, ``objects`` and the fields of
        `labkit.evaluate.metrics.Scores`.

    Raises
    ------
    InputError
        If no object of known class is left, or `positive` is not a class.
    """
    rows = [
        {**run._asdict(), "objects": len(part), **dataclasses.asdict(scores)}
        for run, part, scores in _measured(predictions, positive, threshold, split)
    ]
    return QTable(rows=rows)


def _object_intervals(
    runs: list[Predictions],
    positive: str | None,
    threshold: float,
    confidence: float,
    resamples: int,
    rng: np.random.Generator,
) -> dict[str, Interval]:
    """Bootstrap intervals of the mean over runs, all measured on the same resampled objects."""
    first = np.asarray(runs[0].table["object_id"])
    rows = []
    for run in runs:
        ids = np.asarray(run.table["object_id"])
        if len(ids) != len(first) or not np.array_equal(np.sort(ids), np.sort(first)):
            raise InputError(
                "interval='objects' needs the same objects in every run of an experiment (no folds); "
                "choose interval='seeds'"
            )
        position = np.argsort(ids)[np.argsort(np.argsort(first))]
        rows.append([values[position] for values in _binary(run, positive, threshold)])
    truths, p, decided = (np.array(values) for values in zip(*rows, strict=True))
    draws = bootstrap_scores(truths[0], p, decided=decided, resamples=resamples, rng=rng)
    return {name: percentile_interval(draws[name], confidence=confidence) for name in METRICS}


def summary_table(
    predictions: Predictions,
    *,
    split: str | None = "test",
    positive: str | None = None,
    threshold: float = 0.5,
    interval: Literal["seeds", "objects"] = "seeds",
    confidence: float = 0.95,
    resamples: int = 2000,
    rng: np.random.Generator | int = 0,
) -> QTable:
    """Quality of each experiment: mean and standard deviation over its runs, with intervals.

    Parameters
    ----------
    predictions : Predictions
        Any number of runs. Objects of unknown class are left out.
    split, positive, threshold
        As for `run_table`.
    interval : {"seeds", "objects"}
        What the intervals cover: another training on the same objects (Student's t over the runs, NaN
        for a single run), or other objects for the same trainings (stratified bootstrap of the mean
        over runs).
    confidence : float
        Confidence of the intervals.
    resamples : int
        Resamples of the bootstrap.
    rng : Generator or int
        Draws the resamples.

    Returns
    -------
    `~astropy.table.QTable`
        A row an experiment: ``experiment``, ``runs``, ``objects`` (most in a run), and for each measure
        of `METRICS` its mean, ``_std`` (n - 1; NaN for one run), ``_low`` and ``_high``. A measure that
        is undefined in one run is NaN. ``meta`` names the split, interval and confidence.

    Raises
    ------
    InputError
        As for `run_table`; if `interval` is unknown, or "objects" and the runs differ in objects.
    """
    if interval not in ("seeds", "objects"):
        raise InputError(f"interval must be 'seeds' or 'objects', got {interval!r}")
    rng = np.random.default_rng(rng)
    experiments: dict[str, list[tuple[Predictions, Scores]]] = {}
    for run, part, scores in _measured(predictions, positive, threshold, split):
        experiments.setdefault(run.experiment, []).append((part, scores))
    rows = []
    for name, runs in experiments.items():
        parts = [part for part, _ in runs]
        spread = {m: over_seeds([getattr(one, m) for _, one in runs], confidence=confidence) for m in METRICS}
        bounds = {m: spread[m].interval for m in METRICS}
        if interval == "objects":
            bounds = _object_intervals(parts, positive, threshold, confidence, resamples, rng)
        head = {"experiment": name, "runs": len(runs), "objects": max(map(len, parts))}
        rows.append(head | {k: v for m in METRICS for k, v in _columns(m, spread[m], bounds[m]).items()})
    table = QTable(rows=rows)
    table.meta.update(split=split, interval=interval, confidence=confidence)
    return table


def _columns(metric: str, spread: OverSeeds, bounds: Interval) -> dict[str, float]:
    return {
        metric: spread.mean,
        f"{metric}_std": spread.std,
        f"{metric}_low": bounds.low,
        f"{metric}_high": bounds.high,
    }


def class_table(predictions: Predictions, *, split: str | None = "test") -> QTable:
    """Each class against the rest, for each run (Kosiba et al. 2020, Table 6).

    Parameters
    ----------
    predictions : Predictions
        Any number of runs and classes.
    split : str or None
        Part of the Sample to measure; None measures all rows.

    Returns
    -------
    `~astropy.table.QTable`
        ``experiment``, ``seed``, ``fold``, then the columns of
        `labkit.evaluate.metrics.one_versus_rest`, a row a run and class.

    Raises
    ------
    InputError
        If no object of known class is left.
    """
    rows = []
    for run, part in _known(predictions, split).runs():
        table = one_versus_rest(part.true_codes, part.probabilities, classes=predictions.classes)
        rows += [{**run._asdict(), **dict(zip(table.colnames, row, strict=True))} for row in table]
    return QTable(rows=rows)


def as_text(
    table: QTable, *, digits: int = 3, measures: Sequence[str] = METRICS, bounds: bool = True
) -> QTable:
    """A summary for people: each measure as one column, "mean ± std [low, high]".

    Parameters
    ----------
    table : `~astropy.table.QTable`
        From `summary_table` or `labkit.evaluate.published.beside_published`.
    digits : int
        Digits after the point.
    measures : sequence of str
        Which measures, of those that the table has.
    bounds : bool
        Show the interval, too.

    Returns
    -------
    `~astropy.table.QTable`
        The other columns unchanged, and one text column a measure; undefined parts are left out.
    """
    shown = [name for name in measures if name in table.colnames]
    hidden = {f"{name}{ending}" for name in METRICS for ending in ("", "_std", "_low", "_high")}
    text = QTable({name: table[name] for name in table.colnames if name not in hidden})
    for name in shown:
        text[name] = [_text(row, name, digits, bounds) for row in table]
    return text


def _text(row: object, name: str, digits: int, bounded: bool) -> str:
    value, std, low, high = (
        float(row[key]) if key in row.colnames else np.nan  # type: ignore[index, attr-defined]
        for key in (name, f"{name}_std", f"{name}_low", f"{name}_high")
    )
    spread = f" ± {std:.{digits}f}" if np.isfinite(std) else ""
    bounds = f" [{low:.{digits}f}, {high:.{digits}f}]" if bounded and np.isfinite(low) else ""
    return f"{value:.{digits}f}{spread}{bounds}" if np.isfinite(value) else "undefined"

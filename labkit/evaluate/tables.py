"""Tables of measured quality: a row a run, a row an experiment."""

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
from labkit.evaluate.metrics import binary_scores
from labkit.evaluate.multiclass import METRICS, bootstrap_classes, class_scores, overall
from labkit.predictions import Predictions, Run

__all__ = [
    "METRICS",
    "aligned_runs",
    "as_text",
    "known_objects",
    "measure_columns",
    "run_table",
    "summary_table",
]


def known_objects(predictions: Predictions, split: str | None) -> Predictions:
    """The rows of a split whose true class is known.

    Raises
    ------
    InputError
        If there are none.
    """
    chosen = predictions if split is None else predictions.select(split=split)
    chosen = chosen.known
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


def _whole(predictions: Predictions, positive: str | None) -> bool:
    """Whether all classes are measured together, because none of several is the positive one."""
    return positive is None and predictions.positive is None and len(predictions.classes) > 2


def _measured(
    predictions: Predictions, positive: str | None, threshold: float, split: str | None
) -> Iterator[tuple[Run, Predictions, dict[str, float]]]:
    for run, rows in known_objects(predictions, split).runs():
        if _whole(rows, positive):
            table = class_scores(rows.true_codes, rows.probabilities, classes=rows.classes)
            yield run, rows, {k: float(v) for k, v in overall({m: table[m].value for m in METRICS}).items()}
        else:
            truth, p, decided = _binary(rows, positive, threshold)
            yield run, rows, dataclasses.asdict(binary_scores(truth, p, decided=decided))


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
        classes an object is given the most probable one; if none of them is positive, all are
        measured together: accuracy is the share of objects that were given their class, the other
        measures are macro averages (`labkit.evaluate.multiclass`).
    threshold : float
        With two classes, a higher probability counts as a detection.

    Returns
    -------
    `~astropy.table.QTable`
        A row a run: ``experiment``, ``seed``, ``fold``, ``objects`` and the fields of
        `labkit.evaluate.metrics.Scores`, or those of `METRICS` for all classes together.

    Raises
    ------
    InputError
        If no object of known class is left, or `positive` is not a class.
    """
    rows = [
        {**run._asdict(), "objects": len(part), **scores}
        for run, part, scores in _measured(predictions, positive, threshold, split)
    ]
    return QTable(rows=rows)


def aligned_runs(runs: Sequence[Predictions]) -> list[Predictions]:
    """Runs with their rows in the order of the first one's objects.

    Raises
    ------
    InputError
        If the objects differ.
    """
    first = np.asarray(runs[0].table["object_id"])
    found = []
    for run in runs:
        ids = np.asarray(run.table["object_id"])
        if len(ids) != len(first) or not np.array_equal(np.sort(ids), np.sort(first)):
            raise InputError(
                "intervals over objects need the same objects in every run of an experiment (no folds); "
                "choose interval='seeds', or labkit.evaluate.fold_table for folds"
            )
        position = np.argsort(ids)[np.argsort(np.argsort(first))]
        found.append(Predictions(run.table[position], run.classes, run.positive))
    return found


def _object_intervals(
    runs: list[Predictions],
    positive: str | None,
    threshold: float,
    confidence: float,
    resamples: int,
    rng: np.random.Generator,
) -> dict[str, Interval]:
    """Bootstrap intervals of the mean over runs, all measured on the same resampled objects."""
    runs = aligned_runs(runs)
    if _whole(runs[0], positive):
        p = np.array([run.probabilities for run in runs])
        draws = overall(bootstrap_classes(runs[0].true_codes, p, resamples=resamples, rng=rng))
    else:
        rows = [_binary(run, positive, threshold) for run in runs]
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
    experiments: dict[str, list[tuple[Predictions, dict[str, float]]]] = {}
    for run, part, scores in _measured(predictions, positive, threshold, split):
        experiments.setdefault(run.experiment, []).append((part, scores))
    rows = []
    for name, runs in experiments.items():
        parts = [part for part, _ in runs]
        spread = {m: over_seeds([one[m] for _, one in runs], confidence=confidence) for m in METRICS}
        bounds = {m: spread[m].interval for m in METRICS}
        if interval == "objects":
            bounds = _object_intervals(parts, positive, threshold, confidence, resamples, rng)
        row = {"experiment": name, "runs": len(runs), "objects": max(map(len, parts))}
        for metric in METRICS:
            row |= measure_columns(metric, spread[metric], bounds[metric])
        rows.append(row)
    table = QTable(rows=rows)
    table.meta.update(split=split, interval=interval, confidence=confidence)
    return table


def measure_columns(metric: str, spread: OverSeeds, bounds: Interval) -> dict[str, float]:
    """The four columns of a measure in a summary: mean, ``_std``, ``_low``, ``_high``."""
    return {
        metric: spread.mean,
        f"{metric}_std": spread.std,
        f"{metric}_low": bounds.low,
        f"{metric}_high": bounds.high,
    }


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
    endings = ("", "_std", "_error", "_low", "_high")
    hidden = {f"{name}{ending}" for name in (*METRICS, *shown) for ending in endings}
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

"""Tables of several classes: a row a class, over runs, with intervals (Kosiba et al. 2020, Table 6)."""

from __future__ import annotations

import numpy as np
from astropy.table import QTable

from labkit.errors import InputError
from labkit.evaluate.intervals import over_seeds, percentile_interval
from labkit.evaluate.multiclass import (
    AVERAGES,
    METRICS,
    bootstrap_classes,
    class_scores,
    one_versus_rest,
)
from labkit.evaluate.tables import aligned_runs, known_objects, measure_columns
from labkit.predictions import Predictions

__all__ = ["class_summary", "class_table", "over_classes"]


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
        `labkit.evaluate.multiclass.one_versus_rest`, a row a run and class.

    Raises
    ------
    InputError
        If no object of known class is left.
    """
    rows = []
    for run, part in known_objects(predictions, split).runs():
        table = one_versus_rest(part.true_codes, part.probabilities, classes=predictions.classes)
        rows += [{**run._asdict(), **dict(zip(table.colnames, row, strict=True))} for row in table]
    return QTable(rows=rows)


def class_summary(
    predictions: Predictions,
    *,
    split: str | None = "test",
    confidence: float = 0.95,
    resamples: int = 2000,
    rng: np.random.Generator | int = 0,
) -> QTable:
    """Each class against the rest and the averages, over the runs of each experiment.

    Parameters
    ----------
    predictions : Predictions
        Runs on the same objects. Objects of unknown class are left out.
    split : str or None
        Part of the Sample to measure; None measures all rows.
    confidence : float
        Confidence of the intervals.
    resamples : int
        Resamples of the bootstrap.
    rng : Generator or int
        Draws the resamples.

    Returns
    -------
    `~astropy.table.QTable`
        A row an experiment and class (then `labkit.evaluate.multiclass.AVERAGES`): ``experiment``,
        ``class``, ``objects``, ``runs``, and for each measure its mean over runs, ``_std`` (n - 1; NaN for
        one run), ``_low`` and ``_high`` (bootstrap over the objects of the mean over runs).

    Raises
    ------
    InputError
        If no object of known class is left, or the runs of an experiment differ in objects.
    """
    rng = np.random.default_rng(rng)
    chosen = known_objects(predictions, split)
    rows = []
    for name in dict.fromkeys(chosen.table["experiment"].tolist()):
        runs = aligned_runs([part for _, part in chosen.select(experiment=name).runs()])
        codes, p = runs[0].true_codes, np.array([run.probabilities for run in runs])
        each = [class_scores(codes, one, classes=predictions.classes) for one in p]
        draws = bootstrap_classes(codes, p, rng=rng, resamples=resamples)
        for number, (label, objects) in enumerate(each[0].iterrows("class", "objects")):
            row = {"experiment": name, "class": label, "objects": objects, "runs": len(runs)}
            for metric in METRICS:
                spread = over_seeds([table[metric][number] for table in each], confidence=confidence)
                bounds = percentile_interval(draws[metric][:, number], confidence=confidence)
                row |= measure_columns(metric, spread, bounds)
            rows.append(row)
    table = QTable(rows=rows)
    table.meta.update(split=split, interval="objects", confidence=confidence)
    return table


def over_classes(table: QTable) -> QTable:
    """Mean and standard deviation *over the classes* of each network.

    The paper's section 5.5 gives these: an AUC of (91 +- 2) % is the mean and scatter of the five classes'
    values in Table 6, not of several trainings.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        From `class_summary`, or that beside the published Table 6 (`labkit.evaluate.beside_published`).

    Returns
    -------
    `~astropy.table.QTable`
        A row a network (and origin): its name columns, ``classes``, each measure and its ``_std``
        (n - 1). NaN where a class has none.

    Raises
    ------
    InputError
        If the table has no classes.
    """
    if "class" not in table.colnames:
        raise InputError(f"table must have a row a class, got the columns {table.colnames}")
    names = [name for name in ("experiment", "network", "from", "data") if name in table.colnames]
    shown = [name for name in METRICS if name in table.colnames]
    groups: dict[tuple[str, ...], list[QTable.Row]] = {}
    for row in table[~np.isin(table["class"], AVERAGES)]:
        groups.setdefault(tuple(str(row[name]) for name in names), []).append(row)
    rows = []
    for key, members in groups.items():
        spread = {m: over_seeds([float(row[m]) for row in members]) for m in shown}
        row = {**dict(zip(names, key, strict=True)), "classes": len(members)}
        for metric, found in spread.items():
            row |= {metric: found.mean, f"{metric}_std": found.std}
        rows.append(row)
    return QTable(rows=rows)

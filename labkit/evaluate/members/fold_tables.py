"""Scatter over folds: bins of redshift, and training sets that grow (Angora et al. 2020, appendix D.1)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from astropy.table import QTable, Table
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.evaluate.intervals import over_seeds
from labkit.evaluate.members.measures import MEASURES, judged, measured, measuring, spread_columns
from labkit.evaluate.members.outcomes import rows_of
from labkit.evaluate.tables import known_objects
from labkit.predictions import Predictions

__all__ = ["growth_table", "redshift_table"]


def redshift_table(
    bins: Mapping[str, Predictions],
    catalogue: Table,
    *,
    redshift: str = "redshift",
    split: str | None = "test",
    threshold: float = 0.5,
    confidence: float = 0.95,
    resamples: int = 2000,
    rng: np.random.Generator | int = 0,
) -> QTable:
    """Quality in bins of redshift: mean and error over folds, and of all objects (Table D.3, Fig. 5).

    The printed errors are about as large as what counting 60 objects a fold gives for the error of the mean
    of ten folds: compare them with ``_error``.

    Parameters
    ----------
    bins : mapping of str to Predictions
        Out-of-fold predictions of one experiment for each bin, by its name, such as those of
        `labkit.sources.members.setups.bin_names`.
    catalogue : Table
        ``object_id`` and the column `redshift`.
    redshift : str
        Column of redshifts.
    split : str or None
        Part of the Sample; None takes all rows.
    threshold : float
        A higher probability counts as a member.
    confidence : float
        Of the intervals.
    resamples : int
        Of the bootstrap; 0: no intervals of the global F1.
    rng : Generator or int
        Draws the objects.

    Returns
    -------
    `~astropy.table.QTable`
        A row a bin: ``redshift_bin``, ``z_low``, ``z_median``, ``z_high`` of the members, ``objects``,
        ``folds``; for ``efficiency``, ``member_purity`` and on the mean over folds (each the mean over its
        seeds) with ``_std``, ``_error``, ``_low`` and ``_high`` (Student's t), and ``_global``, of all
        objects, with ``_global_low``, ``_global_high`` over objects.

    Raises
    ------
    InputError
        If predictions have no folds, or as for `configuration_table`.
    """
    ids = np.asarray(catalogue["object_id"], dtype=str)
    measure_of = measuring(threshold=threshold, confidence=confidence, resamples=resamples, rng=rng)
    rows = []
    for name, predictions in bins.items():
        objects = judged(predictions, split=split)
        row = rows_of(ids, objects.object_id[objects.member], name="catalogue")
        z = np.asarray(catalogue[redshift], dtype=np.float64)[row]
        low, median, high = np.nanquantile(z, (0, 0.5, 1)) if len(z) else (np.nan,) * 3
        folds = _fold_values(predictions, split, threshold)
        head = {"redshift_bin": name, "z_low": low, "z_median": median, "z_high": high}
        head |= {"objects": len(objects.member), "folds": len(folds["efficiency"])}
        whole = measure_of(objects)
        for measure in MEASURES:
            head |= _over_folds(measure, folds[measure], confidence)
            head |= {f"{measure}_global{end}": whole[f"{measure}{end}"] for end in ("", "_low", "_high")}
        rows.append(head)
    return QTable(rows=rows)


def _over_folds(name: str, values: NDArray[np.float64], confidence: float) -> dict[str, float]:
    return spread_columns(name, values, over_seeds(values, confidence=confidence).interval)


def _fold_values(
    predictions: Predictions, split: str | None, threshold: float
) -> dict[str, NDArray[np.float64]]:
    """Each measure in each fold, the mean over its seeds, shape (folds,)."""
    known = known_objects(predictions, split)
    folds = np.unique(np.asarray(known.table["fold"])).tolist()
    if folds[0] < 0:
        raise InputError("predictions must be out-of-fold ones, got some without a fold; set folds=10")
    each = [measured(judged(known.select(fold=fold), split=None), threshold=threshold) for fold in folds]
    return {name: np.array([one[name].mean() for one in each]) for name in MEASURES}


def growth_table(
    grown: Mapping[str, Mapping[int, Predictions]],
    *,
    split: str | None = "test",
    threshold: float = 0.5,
    confidence: float = 0.95,
) -> QTable:
    """Quality and its scatter over folds as the training set grows (Angora et al. 2020, Fig. D.1).

    Parameters
    ----------
    grown : mapping of str to mapping of int to Predictions
        For each configuration, by the number of subsets merged, out-of-fold predictions of one experiment.
    split : str or None
        Part of the Sample; None takes all rows.
    threshold : float
        A higher probability counts as a member.
    confidence : float
        Of the intervals over folds.

    Returns
    -------
    `~astropy.table.QTable`
        A row a configuration and size: ``bands``, ``subsets``, ``objects``, ``train`` (those outside the test
        fold, the paper's x axis; validation is part of them), ``folds``; ``efficiency``, ``f1`` (members) and
        ``non_member_f1`` with the endings of `redshift_table`.

    Raises
    ------
    InputError
        As for `redshift_table`.
    """
    names = {"efficiency": "efficiency", "f1": "member_f1", "non_member_f1": "non_member_f1"}
    rows = []
    for bands, sizes in grown.items():
        for subsets, predictions in sorted(sizes.items()):
            objects = len(judged(predictions, split=split).member)
            found = _fold_values(predictions, split, threshold)
            folds = len(found["efficiency"])
            row: dict[str, object] = {"bands": bands, "subsets": subsets, "objects": objects}
            row |= {"train": objects * (folds - 1) / folds, "folds": folds}
            for name, source in names.items():
                row |= _over_folds(name, found[source], confidence)
            rows.append(row)
    return QTable(rows=rows)

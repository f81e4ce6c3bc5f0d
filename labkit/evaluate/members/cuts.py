"""Quality and errors in parts of the sample (Angora et al. 2020, Tables 2 to 4)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from astropy.table import QTable, Table
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError
from labkit.evaluate.intervals import wilson
from labkit.evaluate.members.measures import class_columns, judged, measuring, outcome_counts
from labkit.evaluate.members.outcomes import by_set, outcomes, rows_of
from labkit.evaluate.tables import known_objects
from labkit.predictions import Predictions

__all__ = ["cut_table", "error_table"]

Cuts = Mapping[str, ArrayLike]


def cut_table(
    predictions: Predictions,
    catalogue: Table,
    cuts: Cuts,
    *,
    split: str | None = "test",
    threshold: float = 0.5,
    confidence: float = 0.95,
    resamples: int = 2000,
    rng: np.random.Generator | int = 0,
) -> QTable:
    """Purity, completeness and F1 of the members in parts of the sample (Tables 2 and 4).

    Parameters
    ----------
    predictions : Predictions
        Of one experiment. Several trainings on the same objects (seeds, or folds that test one blind set)
        give means and scatter.
    catalogue : Table
        ``object_id`` of the objects that `cuts` is about.
    cuts : mapping of str to array_like of bool, shape (n,)
        Parts of the catalogue.
    split : str or None
        Part of the Sample; None takes all rows.
    threshold : float
        A higher probability counts as a member.
    confidence : float
        Of the intervals.
    resamples : int
        Of the bootstrap; 0: no intervals of F1.
    rng : Generator or int
        Draws the objects.

    Returns
    -------
    `~astropy.table.QTable`
        A row a part: ``part``, ``trainings``, ``members``, ``predicted``, ``tp``, ``fp``, ``fn`` (means over
        the trainings), ``purity``, ``completeness`` and ``f1``, each with ``_std`` and ``_error`` over
        trainings and ``_low``, ``_high`` over objects, as in `configuration_table`.

    Raises
    ------
    InputError
        If a part is not of the catalogue's length, the catalogue lacks an object, or trainings judge
        different objects.
    """
    masks, objects = _masks(cuts, catalogue), judged(predictions, split=split)
    measure_of = measuring(threshold=threshold, confidence=confidence, resamples=resamples, rng=rng)
    row = rows_of(np.asarray(catalogue["object_id"], dtype=str), objects.object_id, name="catalogue")
    rows = []
    for name, mask in masks.items():
        part = objects.part(mask[row])
        n = {key: float(values.mean()) for key, values in outcome_counts(part, threshold).items()}
        head = {"part": name, "trainings": len(part.scores)}
        head |= {"members": n["tp"] + n["fn"], "predicted": n["tp"] + n["fp"]}
        head |= {key: n[key] for key in ("tp", "fp", "fn")}
        rows.append(head | class_columns(measure_of(part), "member"))
    return QTable(rows=rows)


def _masks(cuts: Cuts, catalogue: Table) -> dict[str, NDArray[np.bool_]]:
    masks = {name: np.asarray(mask, dtype=bool) for name, mask in cuts.items()}
    if wrong := {name: mask.shape for name, mask in masks.items() if mask.shape != (len(catalogue),)}:
        raise InputError(f"cuts must have one value a row of the catalogue, {len(catalogue)}, got {wrong}")
    return masks


def error_table(
    predictions: Predictions,
    catalogue: Table,
    cuts: Cuts,
    *,
    split: str | None = "test",
    threshold: float = 0.5,
    confidence: float = 0.95,
) -> QTable:
    """Where false positives and false negatives lie (Angora et al. 2020, Table 3, Figs 13 and 14).

    Parameters
    ----------
    predictions : Predictions
        Of one experiment, each object once.
    catalogue : Table
        ``object_id`` of the objects that `cuts` is about.
    cuts : mapping of str to array_like of bool, shape (n,)
        Parts of the catalogue.
    split : str or None
        Part of the Sample; None takes all rows.
    threshold : float
        A higher probability counts as a member.
    confidence : float
        Of the intervals.

    Returns
    -------
    `~astropy.table.QTable`
        A row a part: ``part``, ``members``, ``fp``, ``non_members``, ``fn`` (numbers), ``share_members``,
        ``share_fp``, ``share_non_members``, ``share_fn`` (of the first part's), ``fp_rate`` (of the
        non-members) and ``fn_rate`` (of the members) with ``_low`` and ``_high`` (Wilson).

    Raises
    ------
    InputError
        As for `cut_table`, or if an object comes in several trainings.
    """
    sets = by_set(known_objects(predictions, split))
    if len(sets) != 1:
        raise InputError(
            f"predictions must hold each object once, got {len(sets)} trainings; select(seed=...) one"
        )
    kinds = outcomes(sets[0], threshold=threshold)
    ids = np.asarray(catalogue["object_id"], dtype=str)
    row = rows_of(ids, sets[0].table["object_id"], name="catalogue")
    rows: list[dict[str, float | str]] = []
    whole: dict[str, int] = {}
    for name, mask in _masks(cuts, catalogue).items():
        n = {kind: int((kinds[mask[row]] == kind).sum()) for kind in ("TP", "FP", "FN", "TN")}
        numbers = {
            "members": n["TP"] + n["FN"],
            "fp": n["FP"],
            "non_members": n["TN"] + n["FP"],
            "fn": n["FN"],
        }
        whole = whole or numbers
        shares = {f"share_{key}": numbers[key] / whole[key] if whole[key] else np.nan for key in numbers}
        rates = _rate("fp", numbers["fp"], numbers["non_members"], confidence)
        rates |= _rate("fn", numbers["fn"], numbers["members"], confidence)
        rows.append({"part": name, **numbers, **shares, **rates})
    return QTable(rows=rows)


def _rate(name: str, k: int, n: int, confidence: float) -> dict[str, float]:
    bounds = wilson(k, n, confidence=confidence)
    rate = k / n if n else np.nan
    return {f"{name}_rate": rate, f"{name}_rate_low": bounds.low, f"{name}_rate_high": bounds.high}

"""What a network is trained on: class numbers, and fractions where labels are soft."""

from __future__ import annotations

import numpy as np

from labkit.errors import InputError
from labkit.experiment import Experiment
from labkit.sample import Sample


def text_column(sample: Sample, name: str, *, use: str) -> np.ndarray:
    """A catalogue column as text, empty where it is masked, shape (object,)."""
    if name not in sample.catalogue.colnames:
        raise InputError(
            f"sample must have a column {name!r} with {use}, got {sample.catalogue.colnames}; "
            "add it (labkit.sample.with_labels joins a table of labels)"
        )
    column = sample.catalogue[name]
    mask = np.ma.getmaskarray(column)
    return np.where(mask, "", np.ma.getdata(column).astype(str))


def label_codes(experiment: Experiment, sample: Sample) -> np.ndarray:
    """Class number of each object by the experiment's label column, -1 where it takes no part.

    Shape (object,).
    """
    labels = text_column(sample, experiment.label_column, use="labels")
    return experiment.class_scheme.encode(labels)


def soft_fractions(experiment: Experiment, sample: Sample, rows: np.ndarray) -> np.ndarray:
    """Fraction of each class in the labels of some objects: the columns ``soft_<class>``.

    Shapes: rows (n,) -> (n, classes).
    """
    names = [f"soft_{name}" for name in experiment.class_scheme.classes]
    if missing := [name for name in names if name not in sample.catalogue.colnames]:
        raise InputError(
            f"sample must have the columns {names} for soft_labels=True, {missing} missing; "
            "join the votes with labkit.sample.with_labels, or train on hard labels (soft_labels=False)"
        )
    columns = [np.ma.asarray(sample.catalogue[name], dtype=np.float64).filled(np.nan)[rows] for name in names]
    fractions = np.column_stack(columns)
    bad = ~np.isfinite(fractions).all(1) | (fractions < 0).any(1) | (np.abs(fractions.sum(1) - 1) > 1e-3)
    if bad.any():
        first = str(sample.object_ids[rows[bad][0]])
        raise InputError(
            f"soft labels {names} must be fractions from 0 that sum to one for each labelled object, got "
            f"{int(bad.sum())} objects where they are not, first {first!r}: {fractions[bad][0].tolist()}; "
            f"mend them, or empty {experiment.label_column!r} there to leave the objects out"
        )
    return fractions

"""The parts of a Sample that a training uses, with their class numbers."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from labkit.errors import InputError
from labkit.experiment import Experiment
from labkit.learn.folds import fold_numbers, fold_parts
from labkit.learn.labels import label_codes, soft_fractions, text_column
from labkit.sample import Sample

logger = logging.getLogger(__name__)


def named_bands_of(sample: Sample, experiment: Experiment) -> Sample:
    """The bands that an experiment uses, in its order."""
    for band in experiment.named_bands:
        if band not in sample.bands:
            raise InputError(
                f"bands must include {band!r}, got {sample.bands}; add it to the Sample "
                f"or choose an experiment on other bands than {experiment.named_bands}"
            )
    return sample.select(bands=experiment.named_bands)


@dataclass(frozen=True)
class Part:
    """Objects of one part of a Sample.

    Shapes: rows (n,), codes (n,), soft (n, classes).
    """

    rows: np.ndarray
    codes: np.ndarray
    soft: np.ndarray | None = None


def split_for_training(experiment: Experiment, sample: Sample, *, fold: int = -1) -> dict[str, Part]:
    """Training and validation objects of a Sample, by the experiment's split column or by folds.

    Objects whose label takes no part in the experiment's scheme are left out; their number is
    logged.
    """
    named_bands_of(sample, experiment)
    codes = label_codes(experiment, sample)
    if experiment.folds:
        if not 0 <= fold < experiment.folds:
            raise InputError(f"fold must lie in 0 to {experiment.folds - 1}, got {fold}")
        numbers = fold_numbers(experiment, sample)
        split = fold_parts(numbers, fold=fold, folds=experiment.folds)
    elif fold != -1:
        raise InputError(f"fold must be -1 for the experiment {experiment.name!r} without folds, got {fold}")
    else:
        split = text_column(sample, experiment.split_column, use="'train' and 'validation'")
    names = ("train", "validation", "test") if experiment.folds else ("train", "validation")
    return {name: _part(experiment, sample, codes, split == name, name) for name in names}


def _part(experiment: Experiment, sample: Sample, codes: np.ndarray, here: np.ndarray, name: str) -> Part:
    scheme = experiment.class_scheme
    if left_out := int((here & (codes < 0)).sum()):
        logger.info("%d %s objects have a label that scheme %r leaves out", left_out, name, scheme.name)
    rows = np.flatnonzero(here & (codes >= 0))
    counts = np.bincount(codes[rows], minlength=len(scheme.classes))
    if empty := [scheme.classes[i] for i in np.flatnonzero(counts == 0)]:
        raise InputError(
            f"split {name!r} must have objects of every class of scheme {scheme.name!r}, "
            f"got none of {empty}; move objects of that class into it or choose another scheme"
        )
    soft = soft_fractions(experiment, sample, rows) if experiment.soft_labels else None
    return Part(rows, codes[rows], soft)


def parts_digest(sample: Sample, parts: Mapping[str, Part]) -> str:
    """Short hash of which objects are in which part, with their labels: equal for equal trainings."""
    digest = hashlib.sha256()
    ids = sample.object_ids
    for name, part in parts.items():
        digest.update(f"{name}\n{chr(10).join(ids[part.rows])}\n".encode())
        digest.update(part.codes.astype("<i8").tobytes())
        if part.soft is not None:
            digest.update(part.soft.astype("<f8").tobytes())
    return digest.hexdigest()[:12]

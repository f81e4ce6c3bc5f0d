"""The parts of a Sample that a training uses, with their class numbers."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from labkit.errors import InputError
from labkit.experiment import Experiment
from labkit.sample import Sample

__all__ = ["Part", "named_bands_of", "split_for_training"]

logger = logging.getLogger(__name__)


def named_bands_of(sample: Sample, experiment: Experiment) -> Sample:
    """The bands that an experiment uses, in its order.

    Raises
    ------
    InputError
        If the Sample lacks one.
    """
    for band in experiment.named_bands:
        if band not in sample.bands:
            raise InputError(
                f"bands must include {band!r}, got {sample.bands}; add it to the Sample "
                f"or choose an experiment on other bands than {experiment.named_bands}"
            )
    return sample.select(bands=experiment.named_bands)


@dataclass(frozen=True)
class Part:
    """Objects of one split.

    Parameters
    ----------
    sample : Sample
        The objects, in the experiment's bands.
    codes : ndarray of int64, shape (n,)
        Class number of each.
    """

    sample: Sample
    codes: np.ndarray


def split_for_training(experiment: Experiment, sample: Sample) -> dict[str, Part]:
    """Training and validation objects of a Sample, by its catalogue's column ``split``.

    Objects whose label takes no part in the experiment's scheme are left out; their number is
    logged.

    Parameters
    ----------
    experiment : Experiment
        Gives bands and scheme.
    sample : Sample
        Normalised images with labels and splits.

    Returns
    -------
    dict of str to Part
        ``"train"`` and ``"validation"``.

    Raises
    ------
    InputError
        If there is no such column, a label or band is unknown, or a class is empty in a split.
    """
    if "split" not in sample.catalogue.colnames:
        raise InputError(
            "sample must have a column 'split' with 'train' and 'validation', "
            f"got {sample.catalogue.colnames}; add it"
        )
    chosen = named_bands_of(sample, experiment)
    scheme = experiment.class_scheme
    codes = scheme.encode(sample.labels)
    split = np.asarray(sample.catalogue["split"], dtype=str)
    parts = {}
    for name in ("train", "validation"):
        here = split == name
        if left_out := int((here & (codes < 0)).sum()):
            logger.info("%d %s objects have a label that scheme %r leaves out", left_out, name, scheme.name)
        rows = np.flatnonzero(here & (codes >= 0))
        counts = np.bincount(codes[rows], minlength=len(scheme.classes))
        if empty := [scheme.classes[i] for i in np.flatnonzero(counts == 0)]:
            raise InputError(
                f"split {name!r} must have objects of every class of scheme {scheme.name!r}, "
                f"got none of {empty}; move objects of that class into it or choose another scheme"
            )
        parts[name] = Part(chosen.select(rows), codes[rows])
    return parts

"""What lies behind the cells of a confusion matrix: which objects to show, and their pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from astropy.table import Table
from numpy.typing import ArrayLike

from labkit.errors import InputError
from labkit.predictions import Predictions
from labkit.sample import Sample
from labkit.views.scaling import grey_levels, limits_of, overlay, png_uri, smoothed

__all__ = ["cell_cutouts", "cell_examples", "cutouts_of"]


def cell_examples(true: ArrayLike, decided: ArrayLike, order: ArrayLike, *, limit: int = 6) -> np.ndarray:
    """A few objects of each cell of a confusion matrix: those that come last in some order.

    Parameters
    ----------
    true, decided : array_like, shape (n,)
        True and predicted class of each object.
    order : array_like of float, shape (n,)
        The highest are taken, such as the probability of the predicted class.
    limit : int
        Objects a cell.

    Returns
    -------
    ndarray of int64, shape (m,)
        Rows of the objects, cell by cell, the highest first.

    Raises
    ------
    InputError
        If lengths differ or `limit` is below 1.
    """
    one, two, rank = np.asarray(true), np.asarray(decided), np.asarray(order, dtype=float)
    if not one.shape == two.shape == rank.shape or limit < 1:
        raise InputError(
            f"true, decided and order must be of one length and limit at least 1, got {one.shape}, "
            f"{two.shape}, {rank.shape} and {limit}"
        )
    rows = np.lexsort((-rank, two, one))
    new = np.append(True, (one[rows][1:] != one[rows][:-1]) | (two[rows][1:] != two[rows][:-1]))[: len(rows)]
    starts = np.maximum.accumulate(np.where(new, np.arange(len(rows)), 0))
    return rows[np.arange(len(rows)) - starts < limit]


def cell_cutouts(
    true: Sequence[str] | np.ndarray,
    predicted: Sequence[str] | np.ndarray,
    titles: Sequence[str],
    *,
    optical: ArrayLike,
    xray: ArrayLike,
    sigma_px: float = 2.0,
    size_px: int = 96,
) -> Table:
    """Small pictures of objects, X-rays as a glow on the optical image, with their classes.

    Parameters
    ----------
    true, predicted : sequence of str
        Class names of each object.
    titles : sequence of str
        Text above each picture.
    optical, xray : array_like, shape (n, y, x)
        Cut-outs, bright on dark.
    sigma_px : float
        Gaussian smoothing of the X-ray image, in pixels.
    size_px : int
        Width and height of a picture; each takes some 10 kB of the page.

    Returns
    -------
    Table
        ``true``, ``predicted``, ``picture`` (PNG data URI) and ``title``, for
        `labkit.views.matrices.confusion_gallery`.

    Raises
    ------
    InputError
        If there is not one of each for every object.
    """
    lengths = [len(np.asarray(values)) for values in (true, predicted, titles, optical, xray)]
    if len(set(lengths)) != 1:
        raise InputError(f"true, predicted, titles, optical and xray must be of one length, got {lengths}")
    pictures = []
    for plate, photons in zip(np.asarray(optical), smoothed(xray, sigma_px=sigma_px), strict=True):
        emission = grey_levels(photons, limits=limits_of(photons, lower=60, upper=99.9), stretch="sqrt")
        pictures.append(png_uri(overlay(grey_levels(plate, stretch="linear"), emission), size_px=size_px))
    names = {"true": np.asarray(true, dtype=str), "predicted": np.asarray(predicted, dtype=str)}
    return Table(names | {"picture": pictures, "title": [str(title) for title in titles]})


def cutouts_of(
    predictions: Predictions,
    sample: Sample,
    *,
    limit: int = 6,
    bands: tuple[str, str] = ("optical", "xray"),
    white_sky: bool = True,
    size_px: int = 96,
) -> Table:
    """Pictures of the surest objects of each cell of one run's confusion matrix.

    Parameters
    ----------
    predictions : Predictions
        One run; all objects of known class.
    sample : Sample
        Normalised images; only those of the objects shown are read.
    limit : int
        Objects a cell.
    bands : tuple of str
        The Sample's optical and X-ray band.
    white_sky : bool
        Whether empty sky is white (255) in the Sample, as XAmin's images have it.
    size_px : int
        Width and height of a picture.

    Returns
    -------
    Table
        From `cell_cutouts`, with the probability of the predicted class as title.

    Raises
    ------
    InputError
        If the Sample lacks an object or a band.
    """
    sure = predictions.probabilities.max(axis=1)
    rows = cell_examples(predictions.true_codes, predictions.probabilities.argmax(axis=1), sure, limit=limit)
    chosen = sample.select(predictions.table["object_id"][rows].tolist())
    optical, xray = (255 - chosen.band(name) if white_sky else chosen.band(name) for name in bands)
    return cell_cutouts(
        predictions.table["true"][rows],
        predictions.decided[rows],
        [f"p = {p:.2f}" for p in sure[rows]],
        optical=optical,
        xray=xray,
        size_px=size_px,
    )

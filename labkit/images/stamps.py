"""The middle of each cut-out as numbers, and a number as one more band of it."""

from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable

from labkit.errors import InputError
from labkit.images.sky import fixed_record
from labkit.images.stretches import from_fixed_asinh
from labkit.sample import Sample
from labkit.tables import need_columns, numbers


def stamp_photometry(sample: Sample, *, diameter: u.Quantity = 1 * u.arcsec) -> QTable:
    """Measure the round middle of each cut-out in its grey levels, which is all that a network sees.

    Parameters
    ----------
    sample : Sample
        Cut-outs normalised by "fixed-asinh".
    diameter : Quantity
        Of the aperture about the middle, an angle.

    Returns
    -------
    `~astropy.table.QTable`
        One row per object: ``object_id`` and for each band ``level_<band>``, the mean grey level (0 to 255),
        and ``mag_<band>``, the magnitude of the flux that the levels stand for, AB where the Sample has zero
        points; NaN where it is not positive. Neighbours are not taken out, and levels at their ends hide what
        lies beyond.

    Raises
    ------
    InputError
        If the Sample was not normalised so, or the aperture holds no pixel or is wider than the cut-outs.
    """
    record, (ny, nx) = fixed_record(sample), sample.shape[2:]
    y, x = np.indices((ny, nx)) - (np.array([ny, nx])[:, None, None] - 1) / 2
    radius = (diameter / sample.pixel_scale).to_value(1) / 2
    inside = np.hypot(x, y) <= radius
    if not inside.any() or 2 * radius > min(ny, nx):
        raise InputError(
            f"diameter must be of one pixel to the cut-outs' width, {ny} px, got {2 * radius:.3g} px"
        )
    limits = {name: record[name] for name in ("low", "softening", "high")}
    scales = [record["scales"][band] for band in sample.bands]
    levels, flux = np.empty((2, *sample.shape[:2]))
    for rows, images in sample.batches():
        pixels = np.asarray(images)[:, :, None, inside]  # (n, band, 1, pixel)
        levels[rows] = pixels.mean((-2, -1))
        flux[rows] = from_fixed_asinh(pixels, scale=scales, **limits).sum((-2, -1))
    zero = sample.zero_points | record.get("zero_points", {})
    table = QTable({"object_id": sample.object_ids})
    with np.errstate(invalid="ignore", divide="ignore"):
        magnitudes = np.where(flux > 0, -2.5 * np.log10(flux), np.nan)
    for number, band in enumerate(sample.bands):
        table[f"level_{band}"] = levels[:, number]
        table[f"mag_{band}"] = (magnitudes[:, number] + zero.get(band, 0.0)) * u.mag
    return table


def with_number_band(sample: Sample, column: str, *, limits: tuple[float, float] = (0.0, 1.0)) -> Sample:
    """Add a band in which an image has one grey level: a number that a network is to know of each object.

    The cluster's redshift, say, tells a network of members where the red sequence lies. Models of such a band
    judge normalised Samples to which it was added with the same limits.

    Parameters
    ----------
    sample : Sample
        Normalised images (uint8).
    column : str
        Numbers of the catalogue; the new band's name, too.
    limits : tuple of float
        Numbers that become the levels 0 and 255, in the column's unit.

    Returns
    -------
    Sample
        The same objects in memory, with the band as the last.

    Raises
    ------
    InputError
        If the Sample is not normalised, has such a band, lacks the column, or a number is not within limits.
    """
    need_columns(sample.catalogue, [column], "sample")
    if sample.dtype != np.uint8 or column in sample.bands:
        raise InputError(f"sample must hold grey levels and no band {column!r} yet, got {sample!r}")
    low, high = limits
    share = (numbers(sample.catalogue[column]) - low) / (high - low)
    if not ((share >= 0) & (share <= 1)).all():
        raise InputError(
            f"{column} must lie in {low} to {high} for each object; give other limits, or drop objects"
        )
    levels = np.rint(255 * share).astype(np.uint8)[:, None, None, None]
    images = np.concatenate(
        [sample.images, np.broadcast_to(levels, (len(sample), 1, *sample.shape[2:]))], axis=1
    )
    about: dict[str, Any] = {"pixel_scale": sample.pixel_scale, "provenance": sample.provenance}
    return Sample(images, sample.catalogue, bands=(*sample.bands, column), **about)

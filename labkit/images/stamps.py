"""What the middle of each cut-out shows in every band: a mean grey level and a magnitude."""

import astropy.units as u
import numpy as np
from astropy.table import QTable

from labkit.errors import InputError
from labkit.images.sky import fixed_record
from labkit.images.stretches import from_fixed_asinh
from labkit.sample import Sample


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

"""Sources and magnitudes of a field, straight from its mosaics."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import astropy.units as u
from astropy.table import QTable

from labkit.errors import InputError
from labkit.photometry import extract
from labkit.sources.mosaics.mosaics import Mosaics
from labkit.sources.mosaics.registration import registered

logger = logging.getLogger(__name__)


def extract_mosaics(
    mosaics: Mosaics,
    *,
    zero_points: Mapping[str, float] | None = None,
    pixel_scale: u.Quantity | None = None,
    blank: float | None = 0.0,
    **options: Any,
) -> QTable:
    """Find the sources of a field and measure them in all of its bands.

    Mosaics on different grids are regridded first. Zero points, electrons in a unit and the widths of the
    PSFs come from the headers: colours compare bands at one PSF where every header says its width.

    Parameters
    ----------
    mosaics : Mosaics
        The bands.
    zero_points : mapping of str to float, optional
        AB magnitude of one unit, instead of the headers'.
    pixel_scale : Quantity, optional
        Side of a pixel, needed where the mosaics' differ.
    blank : float or None
        Value of pixels without data, besides NaN.
    **options
        Of `~labkit.photometry.extract`: ``detect_on``, ``threshold``, ``deblend_contrast``, ``gain``,
        ``psf_fwhm_arcsec`` (None: bands as they are) and others.

    Returns
    -------
    `~astropy.table.QTable`
        As `~labkit.photometry.extract` gives it; empty where there is nothing.

    Raises
    ------
    InputError
        If a band has no zero point, or as for `~labkit.photometry.extract`.
    """
    headers = {one.band: one.zero_point for one in mosaics.mosaics if one.zero_point is not None}
    known = headers | dict(zero_points or {})
    if missing := [band for band in mosaics.bands if band not in known]:
        raise InputError(
            f"every band must have a zero point, got none in the headers of {missing}; give their AB "
            "magnitudes of one unit by zero_points="
        )
    options.setdefault("gain", {one.band: one.gain for one in mosaics.mosaics if one.gain is not None})
    psf = {one.band: one.psf_fwhm_arcsec for one in mosaics.mosaics}
    options.setdefault("psf_fwhm_arcsec", None if None in psf.values() else psf)
    if options["psf_fwhm_arcsec"] is None:
        logger.info("bands are compared as they are, without matching their point-spread functions")
    there = registered(mosaics, pixel_scale=pixel_scale, blank=blank)
    images = {one.band: one.data for one in there.mosaics}
    return extract(
        images, wcs=there.mosaics[0].wcs, zeropoints={band: known[band] for band in images}, **options
    )

"""Annuli around a position, and how much of them mosaics cover."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS

from labkit.errors import InputError
from labkit.sources.mosaics import Mosaics, annulus_shares

CENTRE = SkyCoord(181.55, -8.8, unit="deg")


def square(side: int, *, blank: float = np.nan, half: bool = False) -> Mosaics:
    """A mosaic of 1 arcsec pixels about the centre, data everywhere or in its western half."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [CENTRE.ra.deg, CENTRE.dec.deg]
    wcs.wcs.crpix, wcs.wcs.cdelt = [(side + 1) / 2] * 2, [-1 / 3600, 1 / 3600]
    data = np.ones((side, side), dtype=np.float32)
    if half:
        data[:, : side // 2] = blank
    return Mosaics.from_arrays({"F814": data}, wcs)


def test_a_square_covers_what_geometry_says():
    shares = annulus_shares(square(100), CENTRE, [0, 20, 48, 70, 72, 90] * u.arcsec)
    assert shares[:2].tolist() == [1.0, 1.0]
    r = np.sqrt(np.linspace(48**2, 70**2, 2000))
    inside = 1 - 4 * np.where(r > 50, np.arccos(np.minimum(50 / r, 1)), 0) / np.pi
    assert shares[2] == pytest.approx(np.clip(inside, 0, 1).mean(), abs=0.02)
    assert shares[4] == 0


@pytest.mark.parametrize("blank", [np.nan, 0.0])
def test_pixels_without_data_do_not_count(blank):
    shares = annulus_shares(square(100, blank=blank, half=True), CENTRE, [10, 20, 40] * u.arcsec)
    np.testing.assert_allclose(shares, 0.5, atol=0.02)


def test_zeros_are_data_where_they_are_said_to_be():
    half = square(100, blank=0.0, half=True)
    assert annulus_shares(half, CENTRE, [10, 20] * u.arcsec, blank=None)[0] == 1


def test_a_margin_shrinks_the_image():
    edges = [0, 40, 48] * u.arcsec
    assert annulus_shares(square(100), CENTRE, edges)[1] == 1
    narrow = annulus_shares(square(100), CENTRE, edges, margin=8 * u.arcsec)
    assert narrow[0] == 1
    assert narrow[1] < 0.9


def test_all_bands_must_be_there():
    both = Mosaics((*square(100).mosaics, *(m.__class__("F140", m.data, m.wcs) for m in square(40).mosaics)))
    shares = annulus_shares(both, CENTRE, [0, 15, 29, 45] * u.arcsec)
    assert shares[0] == 1
    assert 0 < shares[1] < 1
    assert shares[2] == 0


def test_edges_must_rise():
    for edges in ([3, 2] * u.arcsec, [1] * u.arcsec, [-1, 2] * u.arcsec):
        with pytest.raises(InputError, match="edges must rise from 0 or more"):
            annulus_shares(square(10), CENTRE, edges)

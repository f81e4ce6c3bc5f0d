"""Bands: the point-spread function is as wide as it says, the noise as low as the depth says."""

from __future__ import annotations

import numpy as np
import pytest

from labkit.simulate.hst.bands import (
    ACS_BANDS,
    BANDS,
    FRONTIER_BANDS,
    IR_BANDS,
    MIXED_BANDS,
    PIXEL_SCALE_ARCSEC,
    band_names,
)


@pytest.mark.parametrize("band", BANDS.values(), ids=BANDS)
def test_psf_has_the_width_that_is_stated(band):
    weights, sigmas = band.psf()
    radius = np.linspace(0, 0.2, 2001)
    surface = (weights / sigmas**2 * np.exp(-(radius[:, None] ** 2) / (2 * sigmas**2))).sum(axis=1)
    assert weights.sum() == pytest.approx(1)
    assert 2 * np.interp(-surface[0] / 2, -surface, radius) == pytest.approx(band.fwhm_arcsec, rel=0.03)


@pytest.mark.parametrize("name", ["F435", "F814", "F160"])
def test_a_source_at_the_depth_is_at_five_sigma(name):
    band = BANDS[name]
    rng = np.random.default_rng(1)
    axis = PIXEL_SCALE_ARCSEC * (np.arange(41) - 20)
    radius = np.hypot(*np.meshgrid(axis, axis))
    weights, sigmas = band.psf()
    gauss = weights / (2 * np.pi * sigmas**2) * np.exp(-(radius[..., None] ** 2) / (2 * sigmas**2))
    inside = radius < 0.2
    signal = band.flux(band.depth) * PIXEL_SCALE_ARCSEC**2 * gauss.sum(axis=-1)[inside].sum()
    noise = rng.normal(0, band.sky_sigma(), (4000, inside.sum())).sum(axis=1).std()
    assert signal / noise == pytest.approx(5, rel=0.08)


def test_frontier_fields_are_deeper_in_their_bands_alone():
    for name, band in BANDS.items():
        ratio = band.sky_sigma() / band.sky_sigma(frontier=True)
        assert ratio == pytest.approx(10**0.4 if name in FRONTIER_BANDS else 1)
        assert band.exposure(frontier=True) >= band.exposure()


def test_cameras_and_configurations():
    assert (len(ACS_BANDS), len(IR_BANDS)) == (7, 5)
    assert set(MIXED_BANDS) <= set(FRONTIER_BANDS)
    assert max(BANDS[b].fwhm_arcsec for b in ACS_BANDS) < min(BANDS[b].fwhm_arcsec for b in IR_BANDS)


def test_band_names_are_checked_and_ordered():
    assert band_names(None) == tuple(BANDS)
    assert band_names(["F160", "F435"]) == ("F435", "F160")

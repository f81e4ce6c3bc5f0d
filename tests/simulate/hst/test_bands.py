"""Bands: width of the point spread, depth, and colours against kcorrect's own integration."""

import gc
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import fftconvolve

from labkit.simulate.hst import bands
from labkit.simulate.hst.bands import (
    ACS_BANDS,
    BANDS,
    FRONTIER_BANDS,
    IR_BANDS,
    MIXED_BANDS,
    PIXEL_SCALE_ARCSEC,
    band_names,
    drizzle_kernel,
    magnitudes,
    star_colours,
)

NAMES = list(BANDS)
OLD, INTERMEDIATE, YOUNG = np.eye(3)


def colour(z: float, light, blue: str, red: str, **options) -> float:
    found = magnitudes(np.array([z]), np.array([light]), **options)[0]
    return float(found[NAMES.index(blue)] - found[NAMES.index(red)])


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
    axis = PIXEL_SCALE_ARCSEC * (np.arange(41) - 20)
    radius = np.hypot(*np.meshgrid(axis, axis))
    weights, sigmas = band.psf()
    gauss = weights / (2 * np.pi * sigmas**2) * np.exp(-(radius[..., None] ** 2) / (2 * sigmas**2))
    inside = radius < 0.2
    signal = band.flux(band.depth) * PIXEL_SCALE_ARCSEC**2 * gauss.sum(axis=-1)[inside].sum()
    kernel = band.noise_kernel()
    seen = fftconvolve(inside.astype(float), np.outer(kernel, kernel))
    assert signal / (band.sky_sigma() * np.sqrt(np.sum(seen**2))) == pytest.approx(5, rel=0.08)
    assert signal / (band.pixel_sigma() * np.sqrt(inside.sum())) > 5.8, (
        "pixels alone look deeper than they are"
    )


@given(r=st.floats(0.1, 3.5))
def test_drizzled_noise_has_the_variance_of_casertano_and_keeps_its_sum(r):
    taps = drizzle_kernel(r, pixfrac=1.0, scale_arcsec=1.0)
    variance = 1 - r / 3 if r < 1 else (1 - 1 / (3 * r)) / r
    assert taps.sum() == pytest.approx(1)
    assert np.sum(taps**2) == pytest.approx(variance, rel=1e-3)


@pytest.mark.parametrize(
    ("native", "scale", "measured"),
    [(0.05, 0.03, (0.33, 0.51)), (0.128, 0.06, (0.44, 0.56))],
    ids=["ACS", "IR"],
)
def test_drizzled_noise_is_as_correlated_as_in_candels(native, scale, measured):
    """Lag-1 correlations of the blank sky of cut-outs of GOODS-S, least and largest, both axes."""
    taps = drizzle_kernel(native, pixfrac=0.8, scale_arcsec=scale)
    lags = np.correlate(taps, taps, "full")[len(taps) - 1 :] / np.sum(taps**2)
    assert measured[0] < lags[1] < measured[1]
    assert np.abs(lags[2:]).max(initial=0) < 0.09


def test_frontier_fields_are_deeper_in_their_bands_alone():
    for name, band in BANDS.items():
        ratio = band.sky_sigma() / band.sky_sigma(frontier=True)
        assert ratio == pytest.approx(10**0.4 if name in FRONTIER_BANDS else 1)
        assert band.exposure(frontier=True) >= band.exposure()


def test_cameras_and_configurations():
    assert (len(ACS_BANDS), len(IR_BANDS)) == (7, 5)
    assert set(MIXED_BANDS) <= set(FRONTIER_BANDS)
    assert max(BANDS[b].fwhm_arcsec for b in ACS_BANDS) < min(BANDS[b].fwhm_arcsec for b in IR_BANDS)
    assert band_names(None) == tuple(BANDS)
    assert band_names(["F160", "F435"]) == ("F435", "F160")


def test_colours_are_those_of_kcorrect():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # kcorrect leaves files open
        import kcorrect.response
        import kcorrect.template

        folder = bands._kcorrect() / "templates"
        spectrum = kcorrect.template.Template(filename=str(folder / "kcorrect-lrg1-v4.fits"))
        responses = kcorrect.response.ResponseDict()
        for z in (0.19, 0.4, 0.55):
            spectrum.set_redshift(redshift=z)
            spectrum.set_interp()
            flux = []
            for name in ("F606", "F814"):
                responses.load_response(BANDS[name].response)
                flux.append(responses[BANDS[name].response].project(sed=spectrum))
            expected = float(-2.5 * np.log10(flux[0] / flux[1]))
            assert colour(z, OLD, "F606", "F814") == pytest.approx(expected, abs=0.02)
        gc.collect()


def test_the_break_moves_through_the_bands():
    optical = [colour(z, OLD, "F606", "F814") for z in (0.19, 0.3, 0.4, 0.5, 0.59)]
    assert (np.diff(optical) > 0.05).all()
    assert optical[2] == pytest.approx(1.05, abs=0.1)  # as clusters at 0.4 have it
    assert colour(0.4, YOUNG, "F606", "F814") < colour(0.4, INTERMEDIATE, "F606", "F814") < optical[2] - 0.3
    # Distant galaxies drop out of the blue bands.
    assert abs(colour(2.0, YOUNG, "F435", "F814")) < 1
    assert colour(5.0, YOUNG, "F435", "F814") > 3


def test_tilt_makes_bluer_and_more_so_over_a_longer_baseline():
    short, long = (
        colour(0.4, OLD, "F435", red) - colour(0.4, OLD, "F435", red, tilt=0.3) for red in ("F814", "F160")
    )
    assert 0 < short < long == pytest.approx(2.5 * 0.3 * np.log10(1.5369 / 0.4330), rel=1e-6)


def test_cool_stars_are_red():
    cool, hot = star_colours(np.array([3200.0, 6000.0]))
    assert cool[NAMES.index("F814")] == 0
    assert cool[NAMES.index("F606")] > hot[NAMES.index("F606")] > -0.2

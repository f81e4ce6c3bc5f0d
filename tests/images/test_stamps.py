"""Photometry of the middle of cut-outs, from grey levels alone."""

import astropy.units as u
import numpy as np
import pytest

from labkit.errors import InputError
from labkit.images import normalise, stamp_photometry, with_number_band
from labkit.photometry import colours


@pytest.fixture
def grey(member_sample, member_scales):
    return normalise(member_sample, method="fixed-asinh", scales=member_scales)


def test_magnitudes_and_colours_are_those_of_the_raw_pixels(member_sample, grey, member_scales):
    found = stamp_photometry(grey, diameter=1 * u.arcsec)
    y, x = np.indices(member_sample.shape[2:]) - (member_sample.shape[2] - 1) / 2
    inside = np.hypot(x, y) * 0.065 <= 0.5
    flux = member_sample.images[:, :3, inside].sum(-1)
    bright = (flux > 100 * np.array([0.009, 0.013, 0.007])).all(1)
    assert bright.sum() > 10
    measured = np.column_stack([found[f"mag_{band}"].to_value(u.mag) for band in grey.bands[:3]])
    np.testing.assert_allclose(measured[bright], -2.5 * np.log10(flux[bright]), atol=0.02)
    hues = colours(found, bands=grey.bands[:3])
    expected = -2.5 * np.log10(flux[:, 0] / flux[:, 1])
    np.testing.assert_allclose(np.asarray(hues["F435-F606"])[bright], expected[bright], atol=0.02)
    np.testing.assert_allclose(found["level_F606"], grey.images[:, 1, inside].mean(-1))


def test_bands_without_light_have_no_magnitude(grey):
    found = stamp_photometry(grey)
    assert (found["level_F160"][-6:] == grey.provenance["normalisation"]["no_emission"]).all()
    assert (
        np.isnan(found["mag_F160"][-6:]).all() or (found["mag_F160"][-6:] > found["mag_F160"][:6].max()).all()
    )


def test_what_cannot_be_measured_is_refused(member_sample, grey):
    with pytest.raises(InputError, match="sample must be normalised by 'fixed-asinh', got None"):
        stamp_photometry(member_sample)
    with pytest.raises(
        InputError, match=r"diameter must be of one pixel to the cut-outs' width, 48 px, got 61.5"
    ):
        stamp_photometry(grey, diameter=4 * u.arcsec)
    with pytest.raises(InputError, match="diameter must be of one pixel"):
        stamp_photometry(grey, diameter=0.01 * u.arcsec)


def test_a_number_becomes_a_band_of_one_level_each(grey):
    grey.catalogue["cluster_redshift"] = np.linspace(0.2, 0.6, len(grey))
    found = with_number_band(grey, "cluster_redshift")
    assert found.bands == (*grey.bands, "cluster_redshift")
    np.testing.assert_array_equal(found.images[:, :-1], grey.images)
    last = found.images[:, -1]
    assert (last == last[:, :1, :1]).all()
    np.testing.assert_allclose(last[:, 0, 0] / 255, grey.catalogue["cluster_redshift"], atol=0.5 / 255)
    with pytest.raises(InputError, match="sample must hold grey levels and no band 'cluster_redshift' yet"):
        with_number_band(found, "cluster_redshift")
    with pytest.raises(InputError, match="cluster_redshift must lie in 0.3 to 1 for each object; give other"):
        with_number_band(grey, "cluster_redshift", limits=(0.3, 1))

"""Flux scales by headers: AB zero points worked out by hand from each keyword's definition, and gains."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from mosaic_images import noise, tangent, write_mosaic

from labkit.errors import InputError
from labkit.sources.fluxscale import flux_scale
from labkit.sources.mosaics import on_one_scale, read_mosaics

# ACS, F814W: -2.5 log 7.03e-20 = 47.8826, -5 log 8059.9 = -19.5316, -2.408.
ACS, ACS_AB = {"PHOTFLAM": 7.03e-20, "PHOTPLAM": 8059.9}, 25.943
VISTA = {"INSTRUME": "VIRCAM", "FILTER": "Ks", "MAGZPT": 23.0, "EXPTIME": 10.0}


@pytest.mark.parametrize(
    ("cards", "right", "origin"),
    [
        (ACS, ACS_AB, "PHOTFLAM"),
        (ACS | {"BUNIT": "ELECTRONS/S", "EXPTIME": 8000.0}, ACS_AB, "PHOTFLAM"),
        (ACS | {"BUNIT": "COUNTS/S"}, ACS_AB, "PHOTFLAM"),
        (ACS | {"BUNIT": "ELECTRONS", "EXPTIME": 8000.0}, ACS_AB + 9.758, "PHOTFLAM"),  # 2.5 log 8000
        (ACS | {"BUNIT": "COUNTS", "EXPTIME": 100.0}, ACS_AB + 5.0, "PHOTFLAM"),
        (ACS | {"BUNIT": "ELECTRONS"}, None, "PHOTFLAM: pixels are totals, but there is no EXPTIME"),
        ({"PHOTFLAM": 7.03e-20}, None, "PHOTFLAM: there is no PHOTPLAM"),
        ({"PHOTZP": "25.9"}, 25.9, "PHOTZP"),
        ({"PHOTZP": "unknown"}, None, "no keyword of its header"),
        ({"PHOTZP": -999.0}, None, "no keyword of its header"),
        ({"PHOTZP": 23.0, "PHOTSYS": "VEGA"}, None, "PHOTZP: a Vega magnitude; add AB - Vega of the filter"),
        (
            {"PHOTZP": (25.1, "Vega zero point")},
            None,
            "PHOTZP: a Vega magnitude; add AB - Vega of the filter",
        ),
        ({"MAGZERO": 30.0}, 30.0, "MAGZERO"),
        ({"MZP_AB": 30, "MZP_VEGA": 29.875}, 30.0, "MZP_AB"),
        ({"HIERARCH FPA.ZP": 25.0, "EXPTIME": 1000.0}, 25.0 + 7.5, "FPA.ZP"),  # a stack of Pan-STARRS
        ({"HIERARCH FPA.ZP": 25.0, "BUNIT": "DN/s"}, 25.0, "FPA.ZP"),
        ({"HIERARCH FPA.ZP": 25.0}, None, "FPA.ZP: pixels are totals, but there is no EXPTIME"),
        (VISTA, 23.0 + 1.827 + 2.5, "MAGZPT"),
        (VISTA | {"INSTRUME": "WFCAM", "FILTER": "K", "BUNIT": "adu/s"}, 23.0 + 1.9, "MAGZPT"),
        (VISTA | {"INSTRUME": "WFC"}, None, "MAGZPT: a Vega magnitude; add AB - Vega of the filter"),
        (VISTA | {"INSTRUME": "WFC", "MAGZPT": (23.0, "[mag] (AB)")}, 23.0 + 2.5, "MAGZPT"),
        ({"FLUXMAG0": 63095734448.0194}, 27.0, "FLUXMAG0"),
        ({"BUNIT": "nanomaggy"}, 22.5, "BUNIT"),
        ({"BUNIT": "nJy"}, 31.4, "BUNIT"),
        ({"BUNIT": "10.0*nanoJansky"}, 28.9, "BUNIT"),
        ({"BUNIT": "Jy/pixel"}, 8.9, "BUNIT"),
        ({"BUNIT": "MJy/sr", "PIXAR_SR": 1e-13}, 8.9 - 15.0 + 32.5, "BUNIT"),
        ({"BUNIT": "MJy/sr", "PIXAR_A2": 9.0e-4}, 8.9 - 15.0 + 34.186, "BUNIT"),  # 2.115e-14 sr
        ({"BUNIT": "MJy/sr"}, None, "BUNIT: MJy/sr without PIXAR_SR"),
        ({"BUNIT": "furlong"}, None, "no keyword of its header"),
        ({}, None, "no keyword of its header"),
    ],
)
def test_zero_points_of_headers(cards, right, origin):
    header = fits.Header()
    header.update(cards)
    found = flux_scale(header, band="F814W")
    assert found.origin == origin
    assert found.zero_point == (right if right is None else pytest.approx(right, abs=2e-3))


def test_a_source_has_one_magnitude_in_every_unit():
    """Counts of a source of 20 microjansky, 20.65 AB mag, in each unit."""
    magnitude = (20 * u.uJy).to_value(u.ABmag)
    rate = 20e-29 * 299792458e10 / 8059.9**2 / 7.03e-20  # F_nu c / lambda^2 over PHOTFLAM, erg/s/cm2/A
    for cards, pixel in (
        ({"BUNIT": "nJy"}, 20e3),
        ({"BUNIT": "MJy/sr", "PIXAR_SR": 2e-14}, 20e-12 / 2e-14),
        ({"BUNIT": "nanomaggy"}, 20 / 3.631),
        (ACS | {"BUNIT": "electrons/s"}, rate),
        (ACS | {"BUNIT": "electrons", "EXPTIME": 500.0}, rate * 500),
    ):
        zero_point = flux_scale(fits.Header(cards)).zero_point
        assert zero_point - 2.5 * np.log10(pixel) == pytest.approx(magnitude, abs=2e-3), cards


def test_a_flux_unit_goes_before_keywords_and_contradictions_are_told(caplog):
    assert flux_scale(fits.Header({"BUNIT": "nJy", "PHOTZP": 31.4})).zero_point == pytest.approx(
        31.4, abs=1e-3
    )
    assert not caplog.text
    found = flux_scale(fits.Header(ACS | {"BUNIT": "nJy"}), where="a.fits")
    assert (found.origin, found.gain) == ("BUNIT", None)
    assert "a.fits: zero point 31.400 by BUNIT, not 25.943 by PHOTFLAM" in caplog.text


@pytest.mark.parametrize(
    ("cards", "right"),
    [
        ({"BUNIT": "electrons/s", "EXPTIME": 500.0}, 500.0),
        ({"BUNIT": "ELECTRONS", "GAIN": 2.0}, 1.0),
        ({"BUNIT": "adu", "GAIN": 1.5}, 1.5),
        ({"BUNIT": "DN/s", "GAIN": 1.5, "EXPTIME": 100.0}, 150.0),
        ({"GAIN": 66.6, "EXPTIME": 2501.3}, 66.6),  # a stack of TERAPIX: the effective gain
        ({"BUNIT": "counts/s", "EXPTIME": 500.0}, None),
        ({"BUNIT": "nJy", "GAIN": 1.5}, None),
        ({"BUNIT": "adu", "GAIN": -1.0}, None),
    ],
)
def test_electrons_in_a_unit(cards, right):
    assert flux_scale(fits.Header(cards)).gain == right


def test_a_scaled_mosaic_has_its_electrons_in_the_new_unit(tmp_path):
    for name, zero in (("a", 25.0), ("b", 30.0)):
        write_mosaic(tmp_path / name / "x_R.fits", noise(), PHOTZP=zero, BUNIT="adu", GAIN=3.0)
    _, second = on_one_scale([read_mosaics(tmp_path / name) for name in "ab"])
    assert second["R"].gain == pytest.approx(300.0)  # a hundred of its own units are one of the first's


def test_what_an_extension_lacks_is_in_the_primary_header(tmp_path):
    first = fits.PrimaryHDU()
    first.header.update({**ACS, "EXPTIME": 5000.0, "TELESCOP": "HST", "ORIGIN": "here", "BUNIT": "other"})
    first.header["HIERARCH FPA.ZP"] = (25.943, "AB")
    science = fits.ImageHDU(noise(), tangent().to_header(), name="SCI")
    science.header["BUNIT"] = "ELECTRONS/S"
    fits.HDUList([first, science]).writeto(tmp_path / "a_F814W.fits")
    one = read_mosaics(tmp_path)["F814W"]
    assert (one.exposure_s, one.gain, one.unit) == (5000, 5000, "ELECTRONS/S")
    assert (one.origin, one.telescope) == ("here", "HST")
    assert (one.zero_point, one.zero_point_from) == (25.943, "FPA.ZP")


def test_pixels_on_an_asinh_scale_are_refused(tmp_path):
    write_mosaic(tmp_path / "a_r.fits", noise(), BSOFTEN=95.4, BOFFSET=2.2)
    with pytest.raises(
        InputError, match=r"'a_r.fits' must be linear in flux, got an asinh scale \(BSOFTEN\); write"
    ):
        read_mosaics(tmp_path)


def test_real_cfhtls_stacks_say_their_scale(real):
    mosaics = read_mosaics(real / "cfhtls", pattern="lens_field_{band}.fits.gz")
    assert [(one.zero_point, one.zero_point_from) for one in mosaics.mosaics] == [(30.0, "MZP_AB")] * 3
    assert [round(one.gain, 2) for one in mosaics.mosaics] == [66.65, 42.23, 38.94]

"""Sky to pixel and back: any frame, any order of axes, any distortion, NaN where there is none."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from labkit.images import coverage, cutouts
from labkit.images.coordinates import (
    pixel_scale_arcsec,
    pixel_to_sky,
    pixels_at,
    sky_to_pixel,
    tangent_plane,
)

X, Y = np.meshgrid(np.linspace(0, 199, 5), np.linspace(0, 150, 4))


def header(ctype=("RA---TAN", "DEC--TAN"), crval=(150.0, 2.0), step=(-1.0, 1.0), side=200, **cards):
    found = fits.Header()
    for axis in (0, 1):
        found[f"CTYPE{axis + 1}"], found[f"CRVAL{axis + 1}"] = ctype[axis], crval[axis]
        found[f"CRPIX{axis + 1}"], found[f"CDELT{axis + 1}"] = (side + 1) / 2, step[axis] / 3600
        found[f"CUNIT{axis + 1}"] = "deg"
    found.update(cards)
    return found


def distorted():
    sip = {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 2e-4, "B_0_2": -1e-4, "A_0_2": 3e-4, "B_2_0": 1e-4}
    return WCS(header(("RA---TAN-SIP", "DEC--TAN-SIP"), **sip))


def looked_up():
    first = header(side=64, step=(-0.05, 0.05))
    table = np.full((8, 8), 0.3, dtype=np.float32)
    tables = [fits.ImageHDU(table, name="WCSDVARR", ver=version) for version in (1, 2)]
    for axis, one in enumerate(tables, start=1):
        first[f"CPDIS{axis}"], first[f"CPERR{axis}"] = "Lookup", 0.01
        first[f"DP{axis}"] = f"EXTVER: {axis}"
        for card in ("NAXES: 2", "AXIS.1: 1", "AXIS.2: 2"):
            first.append((f"DP{axis}", card))
        for other in (1, 2):
            one.header[f"CRPIX{other}"], one.header[f"CRVAL{other}"], one.header[f"CDELT{other}"] = 1, 1, 8
    return WCS(first, fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(None, first), *tables]))


FRAMES = {
    "equatorial": WCS(header(RADESYS="ICRS")),
    "declination first": WCS(header(("DEC--TAN", "RA---TAN"), (2.0, 150.0), (1.0, -1.0))),
    "galactic": WCS(header(("GLON-TAN", "GLAT-TAN"), (120.0, 40.0))),
    "FK4": WCS(header(RADESYS="FK4", EQUINOX=1950.0)),
    "FK5": WCS(header(RADESYS="FK5", EQUINOX=2000.0)),
    "all sky": WCS(header(("RA---CAR", "DEC--CAR"), (150.0, 0.0), (-360.0, 360.0))),
    "SIP": distorted(),
    "look-up table": looked_up(),
    "cube": WCS(header(NAXIS=3, CTYPE3="FREQ", CRVAL3=1e9, CDELT3=1.0, CRPIX3=1.0)),
}


@pytest.mark.parametrize("name", FRAMES)
def test_sky_is_icrs_and_comes_back_to_its_pixel(name):
    wcs = FRAMES[name]
    ra, dec = pixel_to_sky(wcs, X, Y)
    right = wcs.celestial.pixel_to_world(X, Y).icrs
    assert ra.shape == X.shape
    assert SkyCoord(ra, dec, unit="deg").separation(right).max() < 1e-6 * u.arcsec
    np.testing.assert_allclose(sky_to_pixel(wcs, ra, dec), [X, Y], atol=1e-4)
    np.testing.assert_allclose(sky_to_pixel(wcs, ra * u.deg, (dec * u.deg).to(u.rad)), [X, Y], atol=1e-4)


def test_positions_without_a_solution_are_nan_and_stop_no_other():
    wcs = distorted()
    ra, dec = [150, 150.02, 150, 330, 20, np.nan, 150], [2, 2.02, 60, -2, -80, 2, 95]
    x, y = sky_to_pixel(wcs, ra, dec)
    np.testing.assert_array_equal(np.isnan(x), [0, 0, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(np.isnan(x), np.isnan(y))
    np.testing.assert_allclose(pixel_to_sky(wcs, x[:2], y[:2]), [ra[:2], dec[:2]], atol=1e-8)
    positions = SkyCoord(ra[:5], dec[:5], unit="deg")
    shares = coverage(np.ones((200, 200)), wcs, positions[[0, 2, 3, 4]], size=1 * u.arcmin)
    np.testing.assert_array_equal(shares, [1, 0, 0, 0])


def test_a_cutout_is_the_same_with_declination_first():
    centre, star = SkyCoord(150, 2, unit="deg"), SkyCoord(150 + 20 / 3600, 2 + 20 / 3600, unit="deg")
    cuts = []
    for wcs in (FRAMES["equatorial"], FRAMES["declination first"]):
        x, y = np.meshgrid(np.arange(200), np.arange(200))
        sky = SkyCoord(*pixel_to_sky(wcs, x, y), unit="deg")
        image = 100 * np.exp(-((sky.separation(star).arcsec / 6) ** 2) / 2)
        cuts.append(cutouts(image, wcs, centre.reshape(1), size=2 * u.arcmin, pixels=61)[0])
    y, x = np.mgrid[:61, :61]
    shift = 20 / (120 / 61)
    for cut in cuts:
        assert (cut * x).sum() / cut.sum() == pytest.approx(30 - shift, abs=0.02)
        assert (cut * y).sum() / cut.sum() == pytest.approx(30 + shift, abs=0.02)


def test_a_window_of_an_image_is_cut_as_the_image():
    wcs, image = distorted(), np.random.default_rng(1).random((200, 200))
    centre = SkyCoord(*pixel_to_sky(wcs, 120.0, 90.0), unit="deg").reshape(1)
    options = {"size": 20 * u.arcsec, "pixels": 15}
    window = cutouts(image[60:130, 80:170], wcs, centre, first=(80, 60), **options)
    np.testing.assert_allclose(window, cutouts(image, wcs, centre, **options), rtol=1e-5)


def test_known_places_and_none():
    ra, dec = pixel_to_sky(FRAMES["galactic"], 99.5, 99.5)
    north = SkyCoord(l=120 * u.deg, b=40 * u.deg, frame="galactic").icrs
    assert (float(ra), float(dec)) == pytest.approx((north.ra.deg, north.dec.deg), abs=1e-9)
    # a shift of 0.3 pixels of 0.05 arcsec, and 21.5 from the centre
    assert pixel_to_sky(looked_up(), 10, 10)[1] == pytest.approx(2 - (21.5 - 0.3) * 0.05 / 3600, abs=1e-8)
    wcs = tangent_plane(150.0, 2.0, 0.5, (101, 201))
    assert pixel_scale_arcsec(wcs) == pytest.approx(0.5)
    np.testing.assert_allclose(sky_to_pixel(wcs, 150, 2), [100, 50], atol=1e-9)
    assert pixel_to_sky(wcs, 99, 50)[0] > 150  # east is left
    assert [axis.shape for axis in sky_to_pixel(FRAMES["SIP"], [], [])] == [(0,), (0,)]
    assert [axis.shape for axis in pixel_to_sky(FRAMES["FK4"], np.ones((0, 2)), 1)] == [(0, 2), (0, 2)]


def test_the_pixel_that_each_place_lies_in():
    x, y = np.array([0, 3.4, 1.6, -0.6, 3.6, 1, np.nan]), np.array([0, 2, 0.6, 0, 0, 2.6, 1])
    values, inside = pixels_at(np.arange(12.0).reshape(3, 4), x, y)
    assert inside.tolist() == [True] * 3 + [False] * 4
    assert values[:3].tolist() == [0, 11, 6]

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from labkit.errors import InputError
from labkit.images.coordinates import tangent_plane
from labkit.images.xamin import xamin_optical
from labkit.sources.plates import cut_plates, read_plates


def write_plate(path, ra, *, value=5000.0, side=600, scale=1.0):
    """A plate of sky noise with a star at its centre, 10 arcmin wide."""
    wcs = tangent_plane(ra, 10, scale, (side, side))
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    data = np.random.default_rng(1).normal(value, 50, (side, side)) + 9000 * np.exp(-(x**2 + y**2) / 18)
    fits.PrimaryHDU(data.astype(np.float32), wcs.to_header()).writeto(path)
    return path


@pytest.fixture
def plates(tmp_path):
    return read_plates([write_plate(tmp_path / f"{ra}.fits", ra, value=5000 + 10 * ra) for ra in (20, 21)])


def test_an_object_comes_from_the_plate_that_covers_it(plates):
    result = cut_plates(plates, SkyCoord([20.0, 21.0, 20.02] * u.deg, [10.0, 10.0, 10.0] * u.deg), pixels=90)
    assert list(result.plate) == ["20.fits", "21.fits", "20.fits"]
    assert result.complete.all()
    np.testing.assert_allclose(np.median(result.images, axis=(1, 2)), [5200, 5210, 5200], atol=5)
    for image in result.images[:2]:
        assert np.unravel_index(image.argmax(), image.shape)[0] in (44, 45)


def test_off_the_plates_is_unknown_not_zero(plates):
    result = cut_plates(plates, SkyCoord([20.07, 30.0] * u.deg, [10.0, 10.0] * u.deg), pixels=60)
    assert not result.complete.any()
    assert 0.5 < result.coverage[0] < 0.95
    assert np.isnan(result.images[0]).any()
    assert np.nanmin(result.images[0]) > 4000
    assert list(result.plate) == ["20.fits", ""]
    assert np.isnan(result.images[1]).all()


def test_plates_must_be_named():
    with pytest.raises(InputError, match="paths must name at least one plate"):
        read_plates([])


def test_the_plate_solution_of_a_real_plate(real):
    (plate,) = read_plates(real / "dss2" / "horsehead_poss2_red.fits.gz")
    with fits.open(plate.path) as hdus:
        header = hdus[0].header
    linear = WCS(naxis=2)
    linear.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    linear.wcs.crval = [header["CRVAL1"], header["CRVAL2"]]
    linear.wcs.crpix = [header["CRPIX1"], header["CRPIX2"]]
    linear.wcs.cd = [[header["CD1_1"], header["CD1_2"]], [header["CD2_1"], header["CD2_2"]]]
    x, y = np.meshgrid([50, 445, 840], [50, 446, 840])
    separation = plate.wcs.pixel_to_world(x, y).separation(linear.pixel_to_world(x, y))
    assert separation.max() < 2 * u.arcsec


def test_cutouts_of_a_real_plate(real):
    (plate,) = read_plates(real / "dss2" / "horsehead_poss2_red.fits.gz")
    inner = plate.data[300:600, 300:600]
    y, x = np.unravel_index(inner.argmax(), inner.shape)
    positions = plate.wcs.pixel_to_world([x + 300, 445], [y + 300, 446]).icrs
    result = cut_plates([plate], positions)
    assert result.complete.all()
    assert np.nanmax(result.images[0][86:92, 86:92]) > 0.9 * inner.max()
    native = plate.data[446 - 208 : 446 + 208, 445 - 208 : 445 + 208]
    assert np.median(result.images[1]) == pytest.approx(np.median(native), rel=0.01)
    assert 20 < np.median(xamin_optical(result.images[1])) < 240

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.wcs import WCS

from labkit.errors import InputError, MissingDataError
from labkit.sources.regions import read_regions


@pytest.fixture
def wcs():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = [150, -11], [256.5, 256.5], [-0.001, 0.001]
    return wcs


def write(tmp_path, text):
    path = tmp_path / "sources.reg"
    path.write_text(text)
    return path


def test_image_coordinates_count_from_one_and_colours_are_kept(tmp_path, wcs):
    text = "global color=red\nimage ; ellipse(256.5,256.5,10.0,5.0,548.975)\n"
    text += "image ; ellipse(100,200,2.5,3,-238.947) # color=green\n"
    table = read_regions(write(tmp_path, text), wcs)
    assert list(table["region_colour"]) == ["red", "green"]
    assert list(table["region_shape"]) == ["ellipse", "ellipse"]
    assert table["ra"][0].to_value(u.deg) == pytest.approx(150, abs=1e-9)
    assert table["dec"][0].to_value(u.deg) == pytest.approx(-11, abs=1e-9)
    sky = wcs.pixel_to_world(99, 199)
    assert table["ra"][1].to_value(u.deg) == pytest.approx(sky.ra.deg, abs=1e-9)
    np.testing.assert_allclose(table["region_radius"].to_value(u.arcsec), [36, 10.8], rtol=1e-3)


@pytest.mark.parametrize("frame", ["fk5", "icrs"])
def test_sky_coordinates_circles_and_points(tmp_path, wcs, frame):
    text = f'{frame}\ncircle(9:58:22.0,-11:03:49,30")\npoint(150.1,-11.2) # point=x\n'
    text += 'ellipse(150.2,-11.1,20",40",30)\n'
    table = read_regions(write(tmp_path, text), wcs)
    assert list(table["region_shape"]) == ["circle", "point", "ellipse"]
    np.testing.assert_allclose(table["ra"].to_value(u.deg), [149.591667, 150.1, 150.2], atol=1e-5)
    np.testing.assert_allclose(table["dec"].to_value(u.deg), [-11.063611, -11.2, -11.1], atol=1e-5)
    np.testing.assert_allclose(table["region_radius"].to_value(u.arcsec), [30, 0, 40])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image; box(1,2,3,4,0)\n", r"must hold only ellipse, circle, point regions, got \['rectangle'\]"),
        ("image; blob(1,2,3)\n", "must be a DS9 region file"),
        ("image; ellipse(1,two,3,4,5)\n", "must be a DS9 region file"),
        ("physical; circle(100,100,20)\n", "must be a DS9 region file"),
        ("# Region file format: DS9\nglobal color=red\n", "must hold at least one region, got none"),
        ("", "must hold at least one region, got none"),
    ],
)
def test_other_files_are_refused(tmp_path, wcs, text, message):
    with pytest.raises(InputError, match=rf"'sources\.reg' {message}"):
        read_regions(write(tmp_path, text), wcs)


def test_a_missing_file_is_named(tmp_path, wcs):
    with pytest.raises(MissingDataError, match=r"there is no region file .*none\.reg"):
        read_regions(tmp_path / "none.reg", wcs)

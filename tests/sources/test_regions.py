from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from astropy.wcs import WCS

from labkit.errors import InputError, MissingDataError
from labkit.sources.candidates import read_candidates, read_regions, write_regions


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
    ("text", "ids", "left"),
    [
        ('fk5\ncircle(150,-11,10")\n-circle(150.1,-11.1,10")\n', [""], "1 excluded"),
        ('fk5\n# text(150,-11) text={A907}\ncircle(150,-11,10") # text={B}\n', ["B"], "1 text"),
        ('fk5\ncircle(150,-11,10") # text={0042}\nbox(150,-11,10",10",0)\n', ["0042"], "1 rectangle"),
        ("image\ncircle(1,2,3) # text={X} color=red\nblob(1,2,3)\n", ["X"], "1 not readable"),
        ('\ufefffk5\r\ncircle(150,-11,10") # text={caf\u00e9}\r\n', ["caf\u00e9"], ""),
        ("fk5\npoint(150,-11) # text={A}\npoint(150.1,-11) # text={A}\n", ["", ""], ""),
    ],
)
def test_what_is_no_candidate_is_left_out_and_counted(text, ids, left, tmp_path, wcs, caplog):
    (tmp_path / "sources.REG").write_bytes(text.encode())
    table = read_regions(tmp_path / "sources.REG", wcs)
    assert table["object_id"].tolist() == ids
    assert left in caplog.text
    assert bool(left) == ("left out" in caplog.text)


@pytest.mark.parametrize(
    "name",
    ["0042", "A{1}", "a;b", "x # color=blue", "caf\u00e9", "two words", 'q"u', "br}ace", " lead", "#hash"],
)
def test_ids_come_back(name, tmp_path, wcs):
    table = QTable({"object_id": [name, "B"], "ra": [150.0, 150.1] * u.deg, "dec": [-11.0, -11.1] * u.deg})
    found = read_candidates(write_regions(table, tmp_path / "o.reg"), wcs=wcs)
    assert found["object_id"].tolist() == [name, "B"]
    np.testing.assert_allclose(found["ra"].to_value(u.deg), [150, 150.1], atol=1e-7)
    np.testing.assert_allclose(found["region_radius"].to_value(u.arcsec), [12, 12], atol=1e-3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image; box(1,2,3,4,0)\n", r"must hold at least one ellipse, circle, point .* \(1 rectangle\)"),
        ("image; ellipse(1,two,3,4,5)\n", "must be a DS9 region file"),
        ("physical; circle(100,100,20)\n", r"got none .*physical. frame or shape is not supported"),
        ("circle(100,100,10)\n", "got none .*A coordinate frame was not found"),
        ("# Region file format: DS9\nglobal color=red\n", r"got none \(an empty file\)"),
        ("", r"got none \(an empty file\)"),
    ],
)
def test_other_files_are_refused(tmp_path, wcs, text, message):
    with pytest.raises(InputError, match=rf"'sources\.reg' .*{message}"):
        read_regions(write(tmp_path, text), wcs)


def test_ids_that_no_quotes_hold_are_refused(tmp_path):
    table = QTable({"object_id": ["a\nb"], "ra": [150.0] * u.deg, "dec": [-11.0] * u.deg})
    with pytest.raises(InputError, match="object_id must be one line without both quotes and braces"):
        write_regions(table, tmp_path / "o.reg")
    assert list(tmp_path.iterdir()) == []


def test_a_text_that_does_not_end_is_taken_as_it_is(tmp_path, wcs):
    path = tmp_path / "a.reg"
    path.write_text('fk5\ncircle(150.0,2.0,3") # text={C1\ncircle(150.1,2.0,3") # text={C2}\n')
    assert len(read_regions(path, wcs)) == 2


def test_a_missing_file_is_named(tmp_path, wcs):
    with pytest.raises(MissingDataError, match=r"there is no region file .*none\.reg"):
        read_regions(tmp_path / "none.reg", wcs)

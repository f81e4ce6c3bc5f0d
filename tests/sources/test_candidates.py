import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable, Table
from astropy.wcs import WCS

from labkit.errors import InputError, MissingDataError
from labkit.images.coordinates import tangent_plane
from labkit.sources.candidates import read_candidates, read_regions, write_regions
from labkit.sources.positions import position_names

WCS_ = WCS(naxis=2)


def test_columns_have_names_of_their_own_and_others_are_kept():
    table = Table({"name": ["a", "b"], "RA": [10.5, 200.0], "DEC": [-5.0, 70.0], "ml": [12.0, 30.0]})
    found = read_candidates(table, wcs=WCS_, ra="RA", dec="DEC", object_id="name")
    assert found.colnames == ["object_id", "ra", "dec", "ml"]
    assert list(found["object_id"]) == ["a", "b"]
    np.testing.assert_allclose(found["ra"].to_value(u.deg), [10.5, 200])
    np.testing.assert_allclose(found["dec"].to_value(u.deg), [-5, 70])
    np.testing.assert_allclose(found["ml"], [12, 30])


def test_units_are_respected():
    rows = QTable({"ra": [1, 2] * u.hourangle, "dec": [60, 120] * u.arcmin})
    found = read_candidates(rows, wcs=WCS_)
    np.testing.assert_allclose(found["ra"].to_value(u.deg), [15, 30])
    np.testing.assert_allclose(found["dec"].to_value(u.deg), [1, 2])


def test_positions_become_names_that_are_truncated_and_different():
    found = read_candidates(SkyCoord([149.5917, 0.0] * u.deg, [-11.0636, 0.5] * u.deg), wcs=WCS_)
    assert list(found["object_id"]) == ["J095822.0-110348", "J000000.0+003000"]
    positions = SkyCoord([15.0, 15.0, 359.99999] * u.deg, [-0.0001, -0.0001, 89.99999] * u.deg)
    names = position_names(positions)
    assert list(names) == ["J010000.0-000000", "J010000.0-000000_2", "J235959.9+895959"]


TWICE = {"ra": [1.0, 2], "dec": [9.0, 8], "object_id": ["a", "a"]}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"ra": [], "dec": []}, "candidates must hold at least one row"),
        ({"ra": [1.0, np.nan], "dec": [2.0, 3]}, r"'dec'\) must be finite.*\[nan, 3.0\] in row 2 and 0"),
        ({"ra": [1.0], "dec": [95.0]}, "declinations between -90 and 90 deg, got .* in row 1 and 0 more"),
        ({"ra": ["x"], "dec": [9.0]}, "column 'ra' must hold numbers, got 'x' in row 1"),
        ({"ra": [1.0] * u.kpc, "dec": [9.0]}, "column 'ra' must hold angles, got the unit kpc"),
        (TWICE, r"candidates must have unique ids, got \['a'\] more than once"),
        ({"RA": [1.0], "DE": [1.0]}, r"'dec'\], got \['RA', 'DE'\] without \['dec'\]; .* ra=, dec="),
    ],
)
def test_broken_lists_are_refused(columns, message):
    with pytest.raises((InputError, MissingDataError), match=message):
        read_candidates(Table(columns), wcs=WCS_)


@pytest.mark.parametrize(
    ("name", "content", "ids"),
    [
        ("t.csv", "object_id,ra,dec\n0042,150,2\n1e5,150.01,2\n", ["0042", "1e5"]),
        ("bom.CSV", "\ufeffOBJECT_ID,RA,DEC\r\nA,150,2\r\nB,150.01,2\r\n", ["A", "B"]),
        ("blank.csv", 'object_id,ra,dec\n7,150,2\n"  ",150.01,2\n', ["7", "J100002.4+020000"]),
        ("hms.txt", "object_id ra dec\nA 10:00:00.0 +02:00:00\nB 10:00:02.4 +02:00:00\n", ["A", "B"]),
        ("words.csv", "object_id,ra,dec\nA,10h00m00s,2d00m00s\nB,10 00 02.4,+2 00 00\n", ["A", "B"]),
        ("negative.csv", "object_id,ra,dec\nA,-210,2\nB,510.01,2\n", ["A", "B"]),
    ],
)
def test_lists_of_any_program(name, content, ids, tmp_path):
    (tmp_path / name).write_bytes(content.encode())
    found = read_candidates(tmp_path / name, wcs=WCS_)
    assert found["object_id"].tolist() == ids
    np.testing.assert_allclose(found["ra"].to_value(u.deg), [150, 150.01], atol=1e-9)
    np.testing.assert_allclose(found["dec"].to_value(u.deg), [2, 2], atol=1e-9)


def test_masked_ids_are_made_and_masked_labels_unknown():
    rows = Table({"ra": [150.0, 150.01] * u.deg, "dec": [2.0, 2.0]})
    rows["object_id"] = MaskedColumn([11, 12], mask=[0, 1])
    rows["label"] = MaskedColumn(["low-z cluster", "hidden"], mask=[0, 1])
    found = read_candidates(rows, wcs=WCS_)
    assert found["object_id"].tolist() == ["11", "J100002.4+020000"]
    assert found["label"].tolist() == ["low-z cluster", ""]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,RAJ,DEJ\nA,150,2\nB,150,-99\n", r"\('RAJ', 'DEJ'\) .* \[150.0, -99.0\] in row 2"),
        ("name,RAJ,DEJ\nA,150,2\nB,150,\n", r"\('RAJ', 'DEJ'\) must be finite.*\[150.0, nan\] in row 2"),
        ("name,RAJ,DEJ\nA,10:00:00,2:00\nB,10:77:00,2:00\n", "must hold angles, got '10:77:00' in row 2"),
    ],
)  # fmt: skip
def test_places_that_are_none_are_refused_whatever_the_columns_name(content, message, tmp_path):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        read_candidates(tmp_path / "t.csv", wcs=WCS_, ra="RAJ", dec="DEJ", object_id="name")


# Region files


@pytest.fixture
def wcs():
    return tangent_plane(150, -11, 3.6, (512, 512))


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


def test_ids_come_back(tmp_path, wcs):
    names = [
        "0042",
        "A{1}",
        "a;b",
        "x # color=blue",
        "caf\u00e9",
        "two words",
        'q"u',
        "br}ace",
        " lead",
        "#hash",
    ]
    ra = np.linspace(150, 150.1, len(names)) * u.deg
    table = QTable({"object_id": names, "ra": ra, "dec": ra - 161 * u.deg})
    found = read_candidates(write_regions(table, tmp_path / "o.reg"), wcs=wcs)
    assert found["object_id"].tolist() == names
    np.testing.assert_allclose(found["ra"].to_value(u.deg), ra.value, atol=1e-7)
    np.testing.assert_allclose(found["region_radius"].to_value(u.arcsec), 12, atol=1e-3)
    table["object_id"] = [f"a\nb{i}" for i in range(len(names))]
    with pytest.raises(InputError, match="object_id must be one line without both quotes and braces"):
        write_regions(table, tmp_path / "p.reg")
    assert [path.name for path in tmp_path.iterdir()] == ["o.reg"]


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


def test_a_text_that_does_not_end_is_taken_as_it_is_and_a_missing_file_named(tmp_path, wcs):
    path = write(tmp_path, 'fk5\ncircle(150.0,2.0,3") # text={C1\ncircle(150.1,2.0,3") # text={C2}\n')
    assert len(read_regions(path, wcs)) == 2
    with pytest.raises(MissingDataError, match=r"there is no region file .*none\.reg"):
        read_regions(tmp_path / "none.reg", wcs)

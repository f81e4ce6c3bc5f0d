from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable, Table
from astropy.wcs import WCS

from labkit.errors import InputError, MissingDataError
from labkit.sources.candidates import read_candidates
from labkit.sources.positions import position_names
from labkit.tables import write_table

WCS_ = WCS(naxis=2)


def table():
    return Table({"name": ["a", "b"], "RA": [10.5, 200.0], "DEC": [-5.0, 70.0], "ml": [12.0, 30.0]})


@pytest.mark.parametrize("suffix", [".fits", ".ecsv", ".csv", ".vot", ".parquet"])
def test_table_files_with_own_column_names(tmp_path, suffix):
    path = tmp_path / f"list{suffix}"
    options = {".csv": {"format": "ascii.csv"}, ".vot": {"format": "votable"}}.get(suffix, {})
    if suffix == ".parquet":
        write_table(table(), path)
    else:
        table().write(path, **options)
    found = read_candidates(path, wcs=WCS_, ra="RA", dec="DEC", object_id="name")
    assert list(found["object_id"]) == ["a", "b"]
    np.testing.assert_allclose(found["ra"].to_value(u.deg), [10.5, 200])
    np.testing.assert_allclose(found["dec"].to_value(u.deg), [-5, 70])
    np.testing.assert_allclose(found["ml"], [12, 30])


def test_units_are_respected():
    rows = QTable({"ra": [1, 2] * u.hourangle, "dec": [60, 120] * u.arcmin})
    found = read_candidates(rows, wcs=WCS_)
    np.testing.assert_allclose(found["ra"].to_value(u.deg), [15, 30])
    np.testing.assert_allclose(found["dec"].to_value(u.deg), [1, 2])


def test_positions_become_names():
    found = read_candidates(SkyCoord([149.5917, 0.0] * u.deg, [-11.0636, 0.5] * u.deg), wcs=WCS_)
    assert list(found["object_id"]) == ["J095822.0-110348", "J000000.0+003000"]


def test_names_are_truncated_and_different():
    positions = SkyCoord([15.0, 15.0, 359.99999] * u.deg, [-0.0001, -0.0001, 89.99999] * u.deg)
    names = position_names(positions)
    assert list(names) == ["J010000.0-000000", "J010000.0-000000_2", "J235959.9+895959"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (Table({"ra": [], "dec": []}), "candidates must hold at least one row"),
        (
            Table({"ra": [1.0, np.nan], "dec": [2.0, 3]}),
            r"column 'ra' must be finite, got nan in row 2 and 0 more",
        ),
        (Table({"ra": [1.0], "dec": [95.0]}), "column 'dec' must lie between -90 and 90 deg"),
        (Table({"ra": ["x"], "dec": [9.0]}), "column 'ra' must hold numbers, got 'x' in row 1"),
        (Table({"ra": [1.0] * u.kpc, "dec": [9.0]}), "column 'ra' must hold angles, got the unit kpc"),
        (
            Table({"ra": [1.0, 2], "dec": [9.0, 8], "object_id": ["a", "a"]}),
            r"candidates must have unique ids, got \['a'\] more than once",
        ),
    ],
)
def test_broken_lists_are_refused(rows, message):
    with pytest.raises(InputError, match=message):
        read_candidates(rows, wcs=WCS_)


def test_missing_columns_are_named():
    with pytest.raises(MissingDataError, match=r"got \['name', 'RA', 'DEC', 'ml'\] without \['ALPHA'\]"):
        read_candidates(table(), wcs=WCS_, ra="ALPHA")


def test_missing_and_unreadable_files_are_named(tmp_path):
    with pytest.raises(MissingDataError, match=r"table .*none\.csv' does not exist"):
        read_candidates(tmp_path / "none.csv", wcs=WCS_)
    (tmp_path / "list.fits").write_text("ra dec")
    with pytest.raises(InputError, match=r"list\.fits' cannot be read as \.fits"):
        read_candidates(tmp_path / "list.fits", wcs=WCS_)
    (tmp_path / "list.xyz").write_text("ra dec")
    with pytest.raises(InputError, match=r"a table must end in one of .*list\.xyz"):
        read_candidates(tmp_path / "list.xyz", wcs=WCS_)


@pytest.mark.parametrize(
    ("name", "content", "ids"),
    [
        ("t.csv", "object_id,ra,dec\n0042,150,2\n1e5,150.01,2\n", ["0042", "1e5"]),
        ("bom.CSV", "\ufeffOBJECT_ID,RA,DEC\r\nA,150,2\r\nB,150.01,2\r\n", ["A", "B"]),
        ("blank.csv", "object_id,ra,dec\n7,150,2\n,150.01,2\n", ["7", "J100002.4+020000"]),
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
    rows = Table(
        {
            "object_id": MaskedColumn([11, 12], mask=[0, 1]),
            "ra": [150.0, 150.01] * u.deg,
            "dec": [2.0, 2.0],
            "label": MaskedColumn(["low-z cluster", "hidden"], mask=[0, 1]),
        }
    )
    found = read_candidates(rows, wcs=WCS_)
    assert found["object_id"].tolist() == ["11", "J100002.4+020000"]
    assert found["label"].tolist() == ["low-z cluster", ""]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,RAJ,DEJ\nA,150,2\nB,150,-99\n", "'DEJ' must lie between -90 and 90 deg, got -99.0 in row 2"),
        ("name,RAJ,DEJ\nA,150,2\nB,150,\n", "column 'DEJ' must lie between -90 and 90 deg, got nan in row 2"),
        ("name,RAJ,DEJ\nA,10:00:00,2:00\nB,10:77:00,2:00\n", "must hold angles, got '10:77:00' in row 2"),
    ],
)  # fmt: skip
def test_places_that_are_none_are_refused_whatever_the_columns_name(content, message, tmp_path):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        read_candidates(tmp_path / "t.csv", wcs=WCS_, ra="RAJ", dec="DEJ", object_id="name")

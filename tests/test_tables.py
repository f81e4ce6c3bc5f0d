import astropy.units as u
import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.table import MaskedColumn, QTable

from labkit.errors import InputError, MissingDataError
from labkit.tables import TableWriter, read_table, write_catalogue, write_table


@pytest.fixture
def table() -> QTable:
    return QTable(
        {
            "name": ["a", "b", "cé"],
            "flux": [1.0, np.nan, 3.0] * u.Unit("erg s-1 cm-2"),
            "count": np.array([1, 2, 3], dtype=np.int32),
            "good": [True, False, True],
            "maybe": MaskedColumn([1.5, 0.0, 2.5], mask=[False, True, False]),
        },
        meta={"source": "test"},
    )


def test_units_types_masks_and_meta_survive(table, tmp_path):
    write_table(table, tmp_path / "t.parquet")
    back = read_table(tmp_path / "t.parquet")
    assert back["flux"].unit == table["flux"].unit
    np.testing.assert_array_equal(back["flux"].value, table["flux"].value)
    assert back["name"].tolist() == ["a", "b", "cé"]
    assert back["count"].dtype == np.int32
    assert back["good"].dtype == bool
    assert back["maybe"].mask.tolist() == [False, True, False]
    assert back.meta == {"source": "test"}


def test_unit_is_visible_to_any_parquet_reader(table, tmp_path):
    write_table(table, tmp_path / "t.parquet")
    assert pq.read_schema(tmp_path / "t.parquet").field("flux").metadata == {b"unit": b"erg / (s cm2)"}


def test_columns_are_read_alone_and_pieces_joined(table, tmp_path):
    with TableWriter(tmp_path / "t.parquet") as writer:
        writer.append(table)
        writer.append(table[["maybe", "good", "count", "flux", "name"]])
        with pytest.raises(InputError, match="every piece must have the columns"):
            writer.append(table[["name"]])
    back = read_table(tmp_path / "t.parquet", columns=["count"])
    assert back.colnames == ["count"]
    assert back["count"].tolist() == [1, 2, 3, 1, 2, 3]


def test_big_endian_columns_of_fits_are_written(tmp_path):
    write_table(QTable({"x": np.array([1.5, 2.5], dtype=">f8")}), tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet")["x"].tolist() == [1.5, 2.5]


def test_errors_name_file_and_remedy(table, tmp_path):
    with pytest.raises(MissingDataError, match="does not exist; check the path"):
        read_table(tmp_path / "no.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"not parquet at all")
    with pytest.raises(InputError, match="is not a readable Parquet file"):
        read_table(tmp_path / "bad.parquet")
    write_table(table, tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"lacks the columns \['mass'\]"):
        read_table(tmp_path / "t.parquet", columns=["mass"])
    with pytest.raises(InputError, match="must hold one value a row"):
        write_table(QTable({"x": np.ones((2, 2))}), tmp_path / "u.parquet")


@pytest.mark.parametrize("ending", [".ecsv", ".csv", ".fits", ".parquet"])
def test_catalogues_are_written_by_ending(table, tmp_path, ending):
    plain = table[["flux", "count"]]
    path = write_catalogue(plain, tmp_path / f"c{ending}")
    back = read_table(path) if ending == ".parquet" else QTable.read(path)
    np.testing.assert_allclose(np.asarray(back["flux"], dtype=float), plain["flux"].value)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    with pytest.raises(InputError, match="path must end in one of .ecsv"):
        write_catalogue(plain, tmp_path / "c.xls")

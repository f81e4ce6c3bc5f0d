"""Tables in and out of files: formats, what stays text, what is missing, and what is refused."""

import contextlib
import gzip

import astropy.units as u
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, QTable, Table
from astropy.time import Time

from labkit.errors import InputError, MissingDataError
from labkit.tables import (
    TableWriter,
    find_column,
    magnitudes,
    need_columns,
    numbers,
    read_catalogue,
    rows_of,
    text,
    write_table,
)

IDS = ["café", "a,b", 'q"q', "tab\tx", "line\nbreak", "=1+1", "#hash", " lead", "x" * 300, "", "0042", "1e5"]


def written(path, content):
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# Columns


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (MaskedColumn(["low-z", "hidden"], mask=[0, 1]), ["low-z", ""]),
        (MaskedColumn([11, 12], mask=[0, 1]), ["11", ""]),
        (np.array([2584290278794471937, 7]), ["2584290278794471937", "7"]),
        (np.array([7.0, 1e16 + 2, 2.5, np.nan]), ["7", "10000000000000002", "2.5", ""]),
        (np.array([b"a", "é".encode(), b"caf\xe9"]), ["a", "é", "café"]),
        (np.array(["a", None, b"b", np.nan], dtype=object), ["a", "", "b", ""]),
        (np.array([["x"], ["y"]]), ["x", "y"]),
        (np.array([True, False]), ["True", "False"]),
        ([" a"], [" a"]),
    ],
)
def test_text_shows_what_is_there_and_nothing_else(column, words):
    assert text(column).tolist() == words
    assert text(column).dtype.kind == "U"


@pytest.mark.parametrize(
    ("column", "unit", "values"),
    [
        (MaskedColumn([1, 999999], mask=[0, 1]), None, [1, np.nan]),
        (np.ma.array([1.5, 2.0], mask=[1, 0]), None, [np.nan, 2]),
        ([1, 2] * u.deg, None, [1, 2]),
        ([1, 2] * u.deg, "arcmin", [60, 120]),
        ([1, 2], u.arcsec, [1, 2]),
        (QTable({"x": MaskedColumn([1.0, 2.0], mask=[0, 1], unit="deg")})["x"], u.arcmin, [60, np.nan]),
        (np.array([1, 2], dtype=">i4"), None, [1, 2]),
        (np.array([[1.5], [2.5]]), None, [1.5, 2.5]),
        ([" 0.4", "", "n/a", "-1e3"], None, [0.4, np.nan, np.nan, -1000]),
        ([True, False], None, [1, 0]),
    ],
)
def test_numbers_are_plain_floats(column, unit, values):
    np.testing.assert_array_equal(numbers(column, unit), values)


def test_magnitudes_of_99_are_unknown(caplog):
    with caplog.at_level("INFO"):
        values = np.array([20.5, 99, -99, 98.9, 9.99], dtype="f4")
        column = MaskedColumn(values, mask=[0, 0, 0, 0, 1], name="mag_R")
        np.testing.assert_allclose(magnitudes(column), [20.5, np.nan, np.nan, 98.9, np.nan], rtol=1e-6)
    assert "column 'mag_R': 2 magnitudes of +-99 are unknown" in caplog.text
    assert magnitudes([20.5, 21] * u.ABmag).tolist() == [20.5, 21]
    assert magnitudes([20.5] * u.mag).tolist() == [20.5]


def test_rows_are_found_by_id():
    assert rows_of(MaskedColumn([3, 1, 2]), ["2", "9", "3"]).tolist() == [2, -1, 0]
    assert rows_of([], ["a"]).tolist() == [-1]
    need_columns(QTable({"ra": [1]}), ["ra", "ra"], "targets")
    assert find_column(["RA", "dec", "DEC"], "ra") == "RA"
    assert find_column(["RA", "dec", "DEC"], "dec") == "dec"
    assert find_column(["RA"], "z") is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: numbers(["1", "0,5"]), "must hold numbers, got '0,5' in row 2; correct it"),
        (lambda: numbers([1] * u.deg, u.s), "must be convertible to s, got the unit deg"),
        (lambda: numbers(np.array(["2020-01-01"], dtype="M8[D]")), "must hold numbers, got datetime64"),
        (lambda: numbers(np.ones((2, 2))), r"must hold one value per row, got the shape \(2, 2\)"),
        (lambda: rows_of(["a", "b", "a"], ["a"]), r"ids must be unique, got 1 repeated, first \['a'\]"),
        (lambda: find_column(["RA", "Ra"], "ra"), r"column 'ra' must be one of \['RA', 'Ra'\]"),
        (
            lambda: need_columns(QTable({"ra": [1]}), ["ra", "dec"], "targets"),
            r"targets must have the columns \['ra', 'dec'\], \['dec'\] missing; it has \['ra'\]",
        ),
    ],
)
def test_columns_that_do_not_fit_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


# Files there and back


def test_pieces_of_parquet_are_joined_and_columns_read_alone(tmp_path):
    table = QTable({"n": np.array([1, 2], dtype=np.int32), "flux": [1.0, np.nan] * u.Unit("erg s-1 cm-2")})
    with contextlib.closing(TableWriter(tmp_path / "t.parquet")) as writer:
        writer.append(table)
        writer.append(table[["flux", "n"]])
        with pytest.raises(InputError, match="every piece must have the columns"):
            writer.append(table[["n"]])
    back = read_catalogue(tmp_path / "t.parquet", columns=["n"])
    assert (back.colnames, back["n"].tolist(), back["n"].dtype) == (["n"], [1, 2, 1, 2], np.int32)
    assert pq.read_schema(tmp_path / "t.parquet").field("flux").metadata == {b"unit": b"erg / (s cm2)"}


@pytest.mark.parametrize("ending", [".csv", ".ecsv", ".fits", ".vot", ".parquet", ".CSV", ".FITS"])
def test_any_text_any_mask_and_the_meta_come_back(ending, tmp_path, caplog):
    n = len(IDS)
    table = QTable(
        {
            "object_id": IDS,
            "ra": np.arange(n, dtype=">f8") * u.deg,
            "flag": [True] * n,
            "z": np.ma.array(np.arange(n) + 0.5, mask=[True] + [False] * (n - 1)),
            "rank": np.ma.array(np.arange(n), mask=[True] + [False] * (n - 1)),
            "column": np.ones((n, 1)),
        },
        meta={"classes": ["a", "b"], "deep": {"x": [1, 2]}},
    )
    path = write_table(table, tmp_path / f"t{ending}")
    back = read_catalogue(path)
    fits_only = ending.lower() == ".fits"
    assert text(back["object_id"]).tolist() == ["cafe" if fits_only else "café", *IDS[1:]]
    assert ("1 values of column 'object_id'" in caplog.text) == fits_only
    np.testing.assert_array_equal(numbers(back["ra"]), np.arange(n))
    np.testing.assert_array_equal(numbers(back["z"]), [np.nan, *np.arange(1, n) + 0.5])
    np.testing.assert_array_equal(numbers(back["rank"]), [np.nan, *range(1, n)])
    np.testing.assert_array_equal(numbers(back["column"]), np.ones(n))
    assert back["flag"].dtype == bool
    assert ("CSV holds no units; lost are those of ra (deg)" in caplog.text) == (ending.lower() == ".csv")
    if ending.lower() != ".csv":
        assert back["ra"].unit == u.deg
        assert back.meta["classes"] == ["a", "b"]
        assert back.meta["deep"] == {"x": [1, 2]}
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


# What others write


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "object_id,ra\n0042,150.5\n1e5,2\n"),
        ("t.CSV", b"\xef\xbb\xbfobject_id,ra\r\n0042,150.5\r\n1e5,2\r\n"),
        ("cr.csv", "object_id,ra\r0042,150.5\r1e5,2\r"),
        ("utf16.csv", "object_id,ra\n0042,150.5\n1e5,2\n".encode("utf-16")),
        ("blanks.csv", "object_id, ra \n 0042, 150.5\n\n1e5, 2 \n"),
        ("comment.csv", "# made by hand\nobject_id,ra\n0042,150.5\n# end\n1e5,2\n"),
        ("topcat.csv", "#object_id,ra\n0042,150.5\n1e5,2\n"),
        ("semi.csv", "object_id;ra\n0042;150,5\n1e5;2\n"),
        ("trailing.csv", "object_id,ra\n0042,150.5,\n1e5,2,\n"),
        ("t.tsv", "object_id\tra\n0042\t150.5\n1e5\t2\n"),
        ("t.txt", "object_id  ra\n0042  150.5\n1e5   2\n"),
        ("t.dat", "# a survey\n# object_id ra\n0042 150.5\n1e5 2\n"),
        ("units.txt", "# made from 0042 maps\n# object_id ra\n# - deg\n0042 150.5\n1e5 2\n"),
        ("short.txt", "#object_id  ra\n###        deg\n0042  150.5\n1e5  2\n"),
        ("quote.txt", "# don't use\" it\n# object_id ra\n# deg deg\n0042 150.5\n1e5 2\n"),
        ("bar.txt", "object_id|ra\n0042|150.5\n1e5|2\n"),
        ("ecsv.txt", "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: object_id, datatype: string}\n"
         "# - {name: ra, datatype: float64}\nobject_id ra\n0042 150.5\n1e5 2\n"),
    ],
)  # fmt: skip
def test_text_tables_of_all_kinds(name, content, tmp_path):
    back = read_catalogue(written(tmp_path / name, content))
    assert back.colnames == ["object_id", "ra"]
    assert back["object_id"].tolist() == ["0042", "1e5"]
    assert numbers(back["ra"]).tolist() == [150.5, 2.0]
    packed = read_catalogue(written(tmp_path / f"{name}.gz", gzip.compress((tmp_path / name).read_bytes())))
    assert packed["object_id"].tolist() == ["0042", "1e5"]


def test_columns_of_text_tables_are_what_they_look_like(tmp_path):
    path = written(
        tmp_path / "t.csv",
        "target,n,z,flag,code,big,note,hms\n"
        "007,1,0.5,True,017,99999999999999999999,,10:00:00\n"
        "8,,n/a,False,4,1,,10:00:01\n",
    )
    table = read_catalogue(path, as_text=["Target"])
    assert table["target"].tolist() == ["007", "8"]
    assert table["n"].dtype == np.int64
    assert table["n"].mask.tolist() == [False, True]
    np.testing.assert_array_equal(numbers(table["z"]), [0.5, np.nan])
    assert table["flag"].tolist() == [True, False]
    assert table["code"].tolist() == ["017", "4"]
    assert table["big"].tolist() == ["99999999999999999999", "1"]
    assert np.isnan(numbers(table["note"])).all()
    assert table["hms"].tolist() == ["10:00:00", "10:00:01"]
    assert read_catalogue(path, ["z"]).colnames == ["z"]


def test_names_of_columns_are_made_different(tmp_path, caplog):
    table = read_catalogue(written(tmp_path / "t.csv", ",x,x\n0,1,2\n"))
    assert table.colnames == ["column_1", "x", "x_3"]
    assert "column 'x' comes twice" in caplog.text


def test_broken_lines_are_refused_or_counted(tmp_path, caplog):
    path = written(tmp_path / "t.csv", "object_id,label\na,b\nc\n")
    with pytest.raises(InputError, match=r"row 2: must have 2 fields as .* has, got 1 \(\['c'\]\)"):
        read_catalogue(path)
    assert len(read_catalogue(path, broken_lines="skip")) == 1
    assert "1 incomplete lines" in caplog.text


def test_latin_letters_are_read_with_a_word(tmp_path, caplog):
    table = read_catalogue(written(tmp_path / "t.csv", "object_id,x\ncaf\u00e9,1\n".encode("latin-1")))
    assert table["object_id"].tolist() == ["café"]
    assert "not UTF-8" in caplog.text


@pytest.mark.parametrize(
    ("array", "words", "masked"),
    [
        (pa.array(["low-z", None]).dictionary_encode(), ["low-z", ""], [False, True]),
        (pa.array([b"a", None]), ["a", ""], [False, True]),
        (pa.array(["a", "b"], pa.string_view()), ["a", "b"], None),
        (pa.array([2584290278794471937, None]), ["2584290278794471937", ""], [False, True]),
        (pa.array([True, None]), ["True", ""], [False, True]),
        (pa.array([1, 2]).cast(pa.decimal128(24, 2)), ["1", "2"], None),
        (pa.array([None, None]), ["", ""], [True, True]),
        (pa.array([0, None], pa.timestamp("s")), ["1970-01-01 00:00:00.000", ""], [False, True]),
    ],
)
def test_parquet_of_other_programs(array, words, masked, tmp_path):
    pq.write_table(pa.table({"x": array, "wide": pa.array([[1], [2, 3]])}), tmp_path / "t.parquet")
    back = read_catalogue(tmp_path / "t.parquet")
    assert back.colnames == ["x"]
    assert text(back["x"]).tolist() == words
    assert (back["x"].mask.tolist() if hasattr(back["x"], "mask") else None) == masked


def test_fits_tables_of_other_programs(tmp_path):
    columns = [
        fits.Column("ID", "6A", array=[b"a  ", b"caf\xe9"]),
        fits.Column("SMALL", "B", array=np.array([3, 255], dtype="u1")),
        fits.Column("NULL", "J", null=-9, array=[3, -9]),
        fits.Column("ONE", "1D", unit="deg", array=[1.5, np.nan]),
        fits.Column("FLAG", "L", array=[True, False]),
        fits.Column("WIDE", "3E", array=np.ones((2, 3))),
        fits.Column("LIST", "PJ()", array=np.array([[1], [2, 3]], dtype=object)),
    ]
    hdu = fits.BinTableHDU.from_columns(columns)
    hdu.header["TNULL2"] = -99  # what the type cannot hold
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / "t.FIT")
    with fits.open(tmp_path / "t.FIT", mode="update") as hdus:
        np.asarray(hdus[1].data)["FLAG"][1] = 0  # a truth value that is not known
    table = read_catalogue(tmp_path / "t.FIT")
    assert table.colnames == ["ID", "SMALL", "NULL", "ONE", "FLAG"]
    assert text(table["FLAG"]).tolist() == ["True", ""]
    assert table["ID"].tolist() == ["a", "café"]
    assert table["SMALL"].tolist() == [3, 255]
    np.testing.assert_array_equal(numbers(table["NULL"]), [3, np.nan])
    np.testing.assert_array_equal(table["ONE"], [1.5, np.nan] * u.deg)
    assert table["ONE"].dtype.isnative


def test_votables_and_times(tmp_path):
    Table({"source_id": ["0042", "7"], "t": [1, 2]}).write(tmp_path / "t.VOT", format="votable")
    assert read_catalogue(tmp_path / "t.VOT")["source_id"].tolist() == ["0042", "7"]
    QTable({"x": [1], "when": Time(["2020-01-01"])}).write(tmp_path / "t.ecsv")
    assert read_catalogue(tmp_path / "t.ecsv")["when"].tolist() == ["2020-01-01T00:00:00.000"]


# What is refused


def bomb(path):
    return written(path, gzip.compress(b"x" * 80_000_000))


def claim(path, nrows="1000000000", arraysize="3"):
    text = (
        f'<?xml version="1.0"?><VOTABLE version="1.3"><RESOURCE><TABLE nrows="{nrows}">'
        f'<FIELD name="x" datatype="double" arraysize="{arraysize}"/>'
        "<DATA><TABLEDATA><TR><TD>1 2 3</TD></TR></TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
    )
    return written(path, text)


def image(path):
    fits.PrimaryHDU(np.ones((2, 2))).writeto(path)
    return path


def claim_columns(path):
    path = write_table(QTable({"x": [1.0]}), path)
    card = b"TFIELDS =                    1"
    assert card in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(card, b"TFIELDS =            999999999"))


def double(path):
    pq.write_table(pa.table([[1], [2]], names=["x", "x"]), path)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("t.xls", lambda p: written(p, "x"), r"a table must end in one of \.csv, .* got"),
        ("t.parquet", lambda p: written(p, "PAR1garbagePAR1"), r"cannot be read as \.parquet \(ArrowInvalid"),
        ("t.ecsv", lambda p: written(p, "x y\n1 2\n"), r"cannot be read as \.ecsv"),
        ("t.csv", lambda p: written(p, ""), "must have a line of column names, got none"),
        ("q.csv", lambda p: written(p, 'a,b\n1,"2\n3,4\n'), "row 2 or the one after: unexpected end"),
        ("h.csv", lambda p: written(p, 'a,b\n1,"' + "x" * 140_000 + '"\n'), r"field larger than field limit"),
        ("w.csv", lambda p: written(p, "a," * 20_000 + "\n1,2\n"), "at most 10000 columns, got 20001"),
        ("b.csv.gz", bomb, "must unpack to at most 50 times its size; unpack it yourself"),
        ("t.vot", claim, "claims 1000000000 rows"),
        ("a.vot", lambda p: claim(p, "1", "900000000"), "claims 900000000 rows"),
        ("c.fits", claim_columns, "must have at most 999 TFIELDS, got 999999999"),
        ("t.fits", image, "must hold a table, got images only"),
        ("d.parquet", double, "must have different columns"),
    ],
)  # fmt: skip
def test_files_that_are_not_what_they_say(name, make, message, tmp_path):
    make(tmp_path / name)
    with pytest.raises(InputError, match=message):
        read_catalogue(tmp_path / name)


def test_missing_files_columns_and_other_endings_are_named(tmp_path):
    with pytest.raises(MissingDataError, match="does not exist; check the path"):
        read_catalogue(tmp_path / "no.parquet")
    path = write_table(QTable({"x": [1]}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"lacks the columns \['mass'\]"):
        read_catalogue(path, columns=["mass"])
    with pytest.raises(InputError, match="must hold one value per row"):
        write_table(QTable({"x": np.ones((2, 2))}), tmp_path / "u.parquet")
    with pytest.raises(InputError, match="path must end in one of .ecsv"):
        write_table(QTable({"x": [1]}), tmp_path / "c.xls")


def test_damaged_files_are_refused_or_read_but_nothing_else(tmp_path):
    table = QTable({"object_id": IDS, "ra": np.arange(12) * u.deg, "n": range(12)}, meta={"a": 1})
    rng = np.random.default_rng(0)
    for ending in (".csv", ".ecsv", ".fits", ".parquet"):
        whole = write_table(table, tmp_path / f"t{ending}").read_bytes()
        for _ in range(40):
            content = bytearray(whole)
            for _ in range(rng.integers(1, 6)):
                place = int(rng.integers(len(content)))
                content[place : place + int(rng.integers(0, 20))] = rng.bytes(int(rng.integers(1, 8)))
            with contextlib.suppress(InputError):
                read_catalogue(written(tmp_path / f"bad{ending}", bytes(content)))

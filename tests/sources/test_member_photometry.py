"""Sources found on mosaics: photometry of a Sample's objects, and whole fields for a run set."""

import json
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable, Table, vstack
from mosaic_images import noise, painted, sources_at, tangent, write_mosaic

from labkit.errors import InputError, MissingDataError
from labkit.sample import Sample, concatenate
from labkit.simulate.hst import simulate_fields
from labkit.sources import fields_sample, measure_fields, members_sample, read_mosaics
from labkit.sources.members import field_catalogue, field_sources
from labkit.sources.members.fields import ListedField, read_fields, write_fields
from labkit.sources.mosaics import Mosaics, extract_mosaics
from labkit.tables import read_catalogue, text, write_table

SHAPE, ZERO_POINT = (180, 190), 26.0
#: x, y (px), magnitude in I and standard deviation (px) of round Gaussian sources; R is a magnitude fainter.
BODIES = [
    (40.3, 35.7, 20.0, 2.0),
    (140.0, 45.2, 21.0, 3.0),
    (55.0, 140.0, 22.0, 0.8),
    (135.4, 140.9, 21.5, 2.5),
]


def field(bodies=BODIES):
    """Mosaics R and I on one grid, in electrons/s above white noise; sources a magnitude redder than flat."""
    images = {}
    for seed, (band, fainter) in enumerate({"R": 1.0, "I": 0.0}.items(), start=1):
        lights = [(x, y, 10 ** (-0.4 * (m + fainter - ZERO_POINT)), s * 0.065) for x, y, m, s in bodies]
        images[band] = painted(lights, tangent(), SHAPE) + 0.01 * noise(SHAPE, seed)
    return Mosaics.from_arrays(images, tangent(), zero_points=dict.fromkeys(images, ZERO_POINT))


def write_field(folder, mosaics, **cards):
    cards = {"PHOTZP": ZERO_POINT, "BUNIT": "electrons/s"} | cards
    for one in mosaics.mosaics:
        write_mosaic(folder / f"x_{one.band}.fits", one.data, one.wcs, **cards)
    return folder


def sky(bodies=BODIES, **columns):
    places = [body[:2] for body in bodies]
    table = sources_at(places, z_spec=np.resize([0.4, 0.5], len(bodies)), **columns)
    table.remove_column("source_id")
    return table


def place_of(table, body):
    """Row of the source nearest to a body."""
    there = tangent().pixel_to_world(*body[:2])
    away = SkyCoord(table["ra"], table["dec"]).separation(there).arcsec
    assert away.min() < 0.1
    return int(away.argmin())


# Extraction


def test_zero_points_gains_and_widths_come_from_the_headers(tmp_path):
    folder = write_field(tmp_path / "a", field(), EXPTIME=1000.0, PSFFWHM=0.11)
    mosaics = read_mosaics(folder)
    assert [(one.gain, one.psf_fwhm_arcsec) for one in mosaics.mosaics] == [(1000.0, 0.11)] * 2
    table = extract_mosaics(mosaics)
    assert len(table) == len(BODIES)
    for body in BODIES:
        row = table[place_of(table, body)]
        assert row["mag_I"].value == pytest.approx(body[2], abs=0.06)
        assert (row["aper_R"] - row["aper_I"]).value == pytest.approx(1.0, abs=0.02)
    noiseless = extract_mosaics(mosaics, gain={})
    assert (table["mag_I_err"] > noiseless["mag_I_err"]).all()
    brighter = extract_mosaics(mosaics.with_zero_points({"I": ZERO_POINT + 1}))
    np.testing.assert_allclose((brighter["mag_I"] - table["mag_I"]).value, 1, atol=1e-3)
    message = (
        r"zero point of every band, got none of R \(nothing given\), I .*; give .*--zero-point F814=25.9"
    )
    with pytest.raises(InputError, match=message):
        extract_mosaics(Mosaics.from_arrays({"R": mosaics["R"].data, "I": mosaics["I"].data}, tangent()))


# Photometry of a Sample's objects


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """Two small simulated fields, one with fewer bands, and their member Sample."""
    out = tmp_path_factory.mktemp("fields")
    about = {"bands": ("F475", "F606", "F814"), "size_arcsec": 32.0, "scale": 0.03, "seed": 5}
    table = simulate_fields(out, clusters=["A383", "A370"], **about)
    sample = fields_sample(table, bands=("F475", "F606", "F814"), needed=("F814",))
    assert len(sample) > 60
    return table, sample


def test_objects_of_a_sample_are_measured_in_their_order(simulated):
    table, sample = simulated
    order = np.random.default_rng(0).permutation(len(sample))
    shuffled = sample.select(order)
    phot = measure_fields(table, shuffled, detect_on=("F606", "F814", "F850"))
    assert phot["object_id"].tolist() == shuffled.object_ids.tolist()
    got = np.asarray(phot["measured"])
    assert got.mean() > 0.6
    assert phot.meta["measured"].keys() == {"A383", "A370"}
    assert phot.meta["data"] == "simulated"
    truth = {}
    for row in table:
        one = QTable.read(f"{row['folder']}/truth.fits")
        truth |= dict(zip(one["source_id"].tolist(), one["mag_F814"].tolist(), strict=True))
    true = np.array([truth[name] for name in phot["object_id"]])
    bright = got & (true < 25)
    error = (phot["mag_F814"].value - true)[bright]
    assert abs(np.nanmedian(error)) < 0.2
    assert np.isfinite(error).mean() > 0.95
    assert np.isnan(phot["mag_F814"][~got]).all()
    frontier = np.asarray(phot["cluster"]) == "A370"
    assert np.isnan(phot["mag_F475"][frontier]).all()
    assert np.isfinite(phot["mag_F475"][got & ~frontier]).any()
    assert (np.asarray(phot["flags"])[~got] == -1).all()
    assert (phot["separation"][got] < 0.5 * u.arcsec).all()
    again = measure_fields(table, sample.catalogue, detect_on=("F606", "F814", "F850"), n_jobs=2)
    for name in ("mag_F475", "aper_F606_err", "half_light", "flags", "radius_r200"):
        np.testing.assert_array_equal(again[name][order], phot[name])


def test_radii_are_those_of_the_clusters_and_survive_a_file(simulated, tmp_path):
    table, sample = simulated
    one = sample.select(np.flatnonzero(sample.catalogue["cluster"] == "A383")[:4])
    about = json.loads((Path(str(table["folder"][0])) / "cluster.json").read_text())
    phot = measure_fields(table, one, detect_on="F814")
    centre = SkyCoord(about["ra_deg"] * u.deg, about["dec_deg"] * u.deg)
    away = SkyCoord(one.catalogue["ra"], one.catalogue["dec"]).separation(centre)
    np.testing.assert_allclose(phot["radius"].to_value(u.arcsec), away.arcsec)
    # 1 arcsec is 3.14 kpc at z = 0.188 (H0 = 70, Om = 0.3)
    np.testing.assert_allclose(phot["radius_r200"], away.arcsec * 3.143e-3 / about["r200_mpc"], rtol=2e-3)
    write_table(phot, tmp_path / "phot.parquet")
    read = read_catalogue(tmp_path / "phot.parquet")
    assert read["mag_F814"].unit == u.mag
    assert read.meta == phot.meta
    moved = QTable(table[:1])
    moved["ra"], moved["dec"], moved["r200"] = [10.0], [20.0], [2.0]
    far = measure_fields(moved, one, detect_on="F814")
    assert (far["radius"] > 30 * u.deg).all()


def test_what_is_not_known_of_a_field_is_nan(tmp_path):
    write_field(tmp_path / "a", field())
    write_table(Table({"cluster": ["A1"], "redshift": [0.4], "folder": ["a"]}), tmp_path / "fields.ecsv")
    objects = sky(object_id=["p", "q", "r", "s"], cluster=["A1"] * 4)
    phot = measure_fields(tmp_path / "fields.ecsv", objects)
    assert phot["measured"].all()
    assert np.isnan(phot["radius"]).all()
    assert np.isnan(phot["radius_r200"]).all()
    assert phot.meta["data"] == "real"
    np.testing.assert_allclose(phot["mag_I"].value, [body[2] for body in BODIES], atol=0.06)


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"cluster": ["A1", "B", "B", "B"]}, {}, r"every cluster of the sample, got none for \['B'\]"),
        ({}, {}, r"sample must have the columns .*\['cluster'\] missing"),
        ({"cluster": ["A1"] * 4}, {"n_jobs": 0}, "n_jobs must be at least 1, got 0"),
        ({"cluster": ["A1"] * 4}, {"detect_on": "H"}, r"name a band of A1, \('R', 'I'\), got \['H'\]"),
    ],
)
def test_what_cannot_be_measured_is_named(tmp_path, columns, options, message):
    write_field(tmp_path / "a", field([]))
    listed = Table({"cluster": ["A1"], "redshift": [0.4], "folder": [str(tmp_path / "a")]})
    with pytest.raises(InputError, match=message):
        measure_fields(listed, sky(object_id=list("pqrs"), **columns), **options)


def test_a_list_of_fields_moves_without_losing_its_folders(tmp_path):
    columns = {"short": ["A1", "B2"], "redshift": [0.4, 0.5], "folder": ["mosaics/a", "/far/b"]}
    (tmp_path / "mine").mkdir()
    first = write_table(Table(columns), tmp_path / "mine" / "list.ecsv")
    moved = write_fields(first, tmp_path / "fields.ecsv")
    assert read_catalogue(moved)["cluster"].tolist() == ["A1", "B2"]
    a, b = read_fields(moved)
    assert a.folder == tmp_path / "mine" / "mosaics" / "a"
    assert b.folder.resolve() == Path("/far/b")
    assert a.truth == a.folder / "truth.fits"
    assert [one.cluster for one in read_fields(moved, clusters=["B2"])] == ["B2"]
    with pytest.raises(InputError, match=r"clusters must be of \['A1', 'B2'\], got \['C'\]"):
        read_fields(moved, clusters=["A1", "C"])
    table = read_catalogue(first)
    with pytest.raises(InputError, match=r"fields must list each cluster once, got \['A1'\] more often"):
        read_fields(vstack([table[:1]] * 2))
    with pytest.raises(InputError, match="fields must hold at least one row, got none"):
        read_fields(table[:0])


def test_names_of_a_lists_columns_are_in_any_case_and_its_catalogues_stand_together(tmp_path):
    columns = {"CLUSTER": ["A", "B"], "Redshift": [0.4, 0.5], "FOLDER": ["a", "b"]}
    columns |= {
        "CATALOGUE": ["1.ecsv"] * 2,
        "RA": ["10:00:00", "10:00:24"],
        "DEC": [2.0, 2.0],
        "R200": [1.0, 2.0] * u.Mpc,
    }
    first, second = read_fields(QTable(columns))
    assert (second.cluster, second.redshift, second.catalogue) == ("B", 0.5, Path("b/1.ecsv"))
    assert second.centre.ra.deg == pytest.approx(150.1)
    assert second.r200_angle > first.r200_angle
    for number in range(2):
        table = QTable({"ra": [1.0, 2.0] * u.deg, "mag_F814": [20.0, 20.0 + number], "other": ["x", "y"]})
        table.write(tmp_path / f"{number}.ecsv")
    fields = [ListedField(str(n), 0.4, tmp_path, tmp_path / f"{n}.ecsv", None, None) for n in range(2)]
    sources = field_sources(fields, ["ra", "mag_F814"])
    assert sources.colnames == ["ra", "mag_F814"]
    assert sources["mag_F814"].tolist() == [20, 20, 20, 21]


# Whole fields


def test_all_sources_of_a_field_with_each_spectrum_used_once():
    spectra = sky(q=[3, 1, 2, 9])
    spectra["ra"][1] = spectra["ra"][0] + 0.2 * u.arcsec  # a second spectrum of the first source
    spectra["dec"][1] = spectra["dec"][0]
    spectra["z_spec"][2] = -99.0
    table = field_catalogue(field(), spectra, quality="q")
    assert table.meta == {"detected": 4, "spectra": 3, "spectra_matched": 2}
    assert len(table) == 5
    assert table["source_id"].tolist() == [f"{row:05d}" for row in range(5)]
    assert np.sort(table["spectrum"]).tolist() == [-1, -1, 0, 1, 3]
    first = table[place_of(table[:4], BODIES[0])]
    assert (first["spectrum"], first["z_spec"], first["z_quality"]) == (0, 0.4, 3)
    assert np.isnan(table["z_spec"][place_of(table, BODIES[2])])
    extra = table[4]
    assert (bool(extra["detected"]), int(extra["spectrum"]), int(extra["flags"])) == (False, 1, -1)
    assert np.isnan(extra["mag_I"])
    assert "z_quality" not in field_catalogue(field(), spectra).colnames
    bare = field_catalogue(field())
    assert np.isnan(bare["z_spec"]).all()
    np.testing.assert_allclose(np.sort(bare["mag_I"].value), sorted(b[2] for b in BODIES), atol=0.06)
    for body in BODIES:  # the half-light radius of a Gaussian
        half_light = bare["half_light"][place_of(bare, body)].value
        assert half_light == pytest.approx(1.1774 * body[3] * 0.065, rel=0.12)


def test_point_like_sources_are_marked():
    psf = dict.fromkeys("RI", 0.8 * 2.3548 * 0.065)  # of the third body
    marked = field_catalogue(field(), psf_fwhm_arcsec=psf)
    star = place_of(marked, BODIES[2])
    assert np.flatnonzero(marked["point_like"]).tolist() == [star]
    assert "point_like" not in field_catalogue(field()).colnames


@pytest.mark.parametrize(
    ("qualities", "words"),
    [
        (np.array([3, 2], dtype="u1"), ["3", "2", ""]),
        (["A", "B"], ["A", "B", ""]),
        ([b"A", b"B"], ["A", "B", ""]),
        (MaskedColumn([3, 2], mask=[0, 1]), ["3", "", ""]),
        ([3.5, 2.0], ["3.5", "2", ""]),
    ],
)
def test_qualities_of_any_kind_are_masked_where_there_is_none(qualities, words):
    spectra = QTable(sky()[:1])
    far = sky([(300.0, 300.0, 20.0, 2.0)])
    table = vstack([spectra, far])
    table["q"] = qualities
    found = field_catalogue(field(), table, quality="q")
    first, alone, other = (np.flatnonzero(found["spectrum"] == row)[0] for row in (0, 1, -1))
    assert text(found["z_quality"][[first, alone, other]]).tolist() == words
    assert found["detected"][[first, alone, other]].tolist() == [True, False, True]


def test_fields_that_give_nothing_and_wrong_columns_are_named():
    with pytest.raises(InputError, match="no source was found on R, I; lower threshold="):
        field_catalogue(field([]), threshold=8.0)
    blank = Mosaics.from_arrays({"R": np.zeros((40, 40))}, tangent(), zero_points={"R": 25.0})
    with pytest.raises(InputError, match=r"detect_on must name a band with pixels, got only NaN in \['R'\]"):
        field_catalogue(blank)
    with pytest.raises(MissingDataError, match=r"must have the columns \['X', 'dec', 'z_spec'\]"):
        field_catalogue(field(), sky(), ra="X")


def test_a_run_set_is_cut_out_with_sources_at_border_and_gaps_counted():
    bodies = [*BODIES, (4.0, 95.0, 21.0, 2.0), (95.0, 93.0, 20.5, 2.0)]
    mosaics = field(bodies)
    mosaics["R"].data[75:115, 96:120] = np.nan  # the last body lies on the edge of a gap in one band
    about = {"cluster": "A1", "redshift": 0.4, "size_px": 32}
    found = field_catalogue(mosaics, sky(q=[3, 3, 1, 3]), quality="q")
    assert len(found) == 6
    sample = members_sample(mosaics, found, **about, quality="z_quality", accepted=(3,))
    record = sample.provenance["fields"][0]
    assert (record["counts"]["kept"], record["counts"]["incomplete"]) == (4, 2)
    assert sample.labels[np.argsort(sample.catalogue["spectrum"])].tolist() == [
        *("member", "non-member", "", "non-member")
    ]
    direct = members_sample(
        mosaics, sky(q=[3, 3, 1, 3]), **about, quality="q", accepted=(3,), extract={"threshold": 2.5}
    )
    assert direct.content_hash == sample.content_hash
    assert direct.provenance["fields"][0]["extracted"]["spectra_matched"] == 4
    assert members_sample(mosaics, **about, extract={}).labels.tolist() == [""] * 4
    with pytest.raises(InputError, match="catalogue must be given, got none; or find the sources"):
        members_sample(mosaics, **about)
    with pytest.raises(InputError, match=r"that the catalogue does not name, got also \['member'\]"):
        members_sample(mosaics, **about, extract={}, member="flag")


def test_run_sets_of_several_fields_and_by_the_verb(tmp_path, run_verb):
    for name in ("A1", "B2"):
        folder = write_field(tmp_path / name, field())
        write_table(sky(q=[3, 3, 1, 3]), folder / "catalogue.fits")
    table = Table({"cluster": ["A1", "B2"], "redshift": [0.4, 0.5], "folder": ["A1", "B2"]})
    write_table(table, tmp_path / "fields.ecsv")
    options = {"size_px": 16, "quality": "q", "accepted": (3,)}
    detection = {"detect_on": ("I",)}
    both = fields_sample(tmp_path / "fields.ecsv", **options, extract=detection)
    parts = []
    for row in table:
        folder, about = tmp_path / row["cluster"], {"cluster": row["cluster"], "redshift": row["redshift"]}
        about |= options | {"extract": detection}
        parts.append(members_sample(read_mosaics(folder), folder / "catalogue.fits", **about))
    assert both.content_hash == concatenate(parts).content_hash
    words = ("--size-px", 16, "--quality", "q", "--accepted", "3", "--extract", "--detect-on", "I")
    one = ("--mosaics", tmp_path / "A1", "--cluster", "A1", "--redshift", 0.4)
    assert run_verb("members", tmp_path / "o1", "--fields", tmp_path / "fields.ecsv", *words)[0] == 0
    assert Sample.load(tmp_path / "o1").labels.tolist() == both.labels.tolist()
    assert run_verb("members", tmp_path / "o2", *one, "--extract")[0] == 0
    assert set(Sample.load(tmp_path / "o2").labels) == {""}
    spectra = ("--catalogue", tmp_path / "A1" / "catalogue.fits")
    assert run_verb("members", tmp_path / "o3", *one, *spectra, *words)[0] == 0
    columns = Sample.load(tmp_path / "o3").catalogue.colnames
    assert {"mag_I", "aper_R_err", "point_like"} - set(columns) == {"point_like"}
    code, _, error = run_verb("members", tmp_path / "o4", *one, "--extract", "--member", "flag")
    assert (code, "--detect-on belongs to --extract, and --member does not" in error) == (2, True)


# Real mosaics


def test_sources_of_real_cfhtls_images(real):
    mosaics = read_mosaics(real / "cfhtls", pattern="lens_field_{band}.fits.gz", bands=tuple("gri"))
    table = field_catalogue(mosaics, aperture_arcsec=2.0)
    assert 60 < len(table) < 130
    places = SkyCoord(table["ra"], table["dec"])
    alone = places.match_to_catalog_sky(places, 2)[1] > 5 * u.arcsec
    clean = table[alone & (table["flags"] == 0) & (table["mag_i"] < 23 * u.mag)]
    assert len(clean) >= 3
    yy, xx = np.mgrid[:440, :440]
    for row in clean:
        x, y = mosaics["i"].wcs.world_to_pixel(SkyCoord(row["ra"], row["dec"]))
        away = np.hypot(xx - x, yy - y) * 0.186
        image = mosaics["i"].data
        sky_level = np.median(image[(away > 4) & (away < 8)])
        direct = 30 - 2.5 * np.log10((image - sky_level)[away < 1.0].sum())
        assert row["aper_i"].value == pytest.approx(direct, abs=0.12)
    run_set = members_sample(mosaics, table, cluster="CFHTLS", redshift=0.4, size_px=32)
    counted = run_set.provenance["fields"][0]["counts"]
    assert counted["kept"] + counted["incomplete"] == len(table)
    assert counted["incomplete"] > 0  # sources within 16 px of the border

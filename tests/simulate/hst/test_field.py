"""Whole fields: the numbers of Table 1, files, determinism, and nothing that gives the labels away."""

import json

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.stats import mad_std
from astropy.table import QTable
from astropy.wcs import WCS
from sklearn.metrics import roc_auc_score

from labkit.errors import InputError
from labkit.simulate.hst import BANDS
from labkit.simulate.hst import field as fields_module
from labkit.simulate.hst.clusters import CUTOUT_HALF_PX, draw_zones, pick_clusters
from labkit.simulate.hst.field import simulate_field, simulate_fields
from labkit.simulate.hst.population import (
    QUALITIES,
    detect,
    is_member,
    populate,
    take_spectra,
    wanted_spectra,
)

SMALL = {"size_arcsec": 45.0, "scale": 0.08}


@pytest.fixture(scope="module")
def field():
    """A corner of the largest field in three bands."""
    made = simulate_field("M0416", seed=11, bands=("F606", "F814", "F105", "F160"), **SMALL)
    assert tuple(made.mosaics) == ("F606", "F814", "F105", "F160")
    assert made.mosaics["F814"].shape == (692, 692)
    return made


@pytest.fixture(scope="module")
def spectra():
    """Sources with spectra of four whole fields, not painted: cluster, bodies, zone, spectra."""
    found = []
    for row in pick_clusters(["R2248", "M0416", "A370", "M2129"]):
        rng = np.random.default_rng(8)
        zones = draw_zones(rng, row, size_px=2000)
        table = populate(rng, row, zones, scale=1.0)
        seen = detect(rng, table, sky_sigma=BANDS["F814"].sky_sigma(frontier=bool(row["frontier"])))
        zone = zones.zone(seen.x / 0.065, seen.y / 0.065)
        taken = take_spectra(rng, table, row, zone=zone, found=seen.found, scale=1.0)
        found.append((row, table, seen, zone, taken))
    return found


def test_numbers_of_spectra_are_those_of_table_1(spectra):
    for row, _, _, zone, taken in spectra:
        counted = taken.quality >= 2
        member = is_member(taken.redshift, row["redshift"]) & counted
        groups = (("mixed", 1),) if row["frontier_only"] else (("acs", 0), ("mixed", 1), ("all", 2))
        for name, least in groups:
            inside = zone >= least
            assert np.sum(member & inside) == row[f"{name}_members"], (row["short"], name)
            assert np.sum(counted & ~member & inside) == row[f"{name}_non_members"], (row["short"], name)
        assert not (counted & (zone < 0)).any()


def test_wanted_numbers_are_nested_and_scale():
    row = pick_clusters(["R2248"])[0]
    assert wanted_spectra(row, scale=1.0).tolist() == [[54, 72], [26, 14], [86, 117]]
    assert wanted_spectra(row, scale=0.2).sum(axis=0).tolist() == [33, 41]
    for scale in (0.01, 0.13, 0.5):
        assert (wanted_spectra(row, scale=scale) >= 0).all()


def test_spectra_are_of_bright_sources_and_members_brighter(spectra):
    for row, table, _, _, taken in spectra:
        counted = taken.quality >= 2
        member = is_member(taken.redshift, row["redshift"]) & counted
        faint = table["magnitude"] > 25
        assert faint[member].mean() < 0.08
        assert 0.1 < faint[counted & ~member].mean() < 0.6
        bright = (table["magnitude"] < 23) & (table["kind"] != "star") & (table["kind"] != "icl")
        assert counted[bright].mean() > 4 * counted[faint].mean()


def test_redshifts_are_measured_and_few_are_wrong(spectra):
    for _, table, _, _, taken in spectra:
        assert set(np.unique(taken.quality)) <= set(QUALITIES)
        assert np.isnan(taken.redshift[taken.quality == 0]).all()
        off = np.abs(taken.redshift - table["redshift"]) / (1 + table["redshift"]) > 0.005
        assert not off[taken.quality == 3].any()
        assert off[taken.quality >= 2].mean() < 0.03
        insecure = taken.quality == 1
        assert 0.02 < insecure.sum() / (taken.quality > 1).sum() < 0.08
        measured = taken.quality > 0
        assert not (taken.redshift[measured] == table["redshift"][measured]).any()


def test_too_dense_a_request_is_refused():
    with pytest.raises(InputError, match="scale must be between 0 and 0.* for M0416 at 45 arcsec, got 1"):
        simulate_field("M0416", seed=1, size_arcsec=45.0)
    row = pick_clusters(["A383"])[0]
    rng = np.random.default_rng(1)
    zones = draw_zones(rng, row, size_px=700)
    table = populate(rng, row, zones, scale=0.1)
    nothing = np.zeros(len(table), dtype=bool)
    match = "scale must leave a source for each spectrum, got 0.5 and 0 non-members"
    with pytest.raises(InputError, match=match):
        take_spectra(rng, table, row, zone=np.zeros(len(table), int), found=nothing, scale=0.5)


def test_same_seed_same_pixels_whatever_else_is_asked_for(field):
    again = simulate_field("M0416", seed=11, bands=("F606",), **SMALL)
    assert np.array_equal(again.mosaics["F606"], field.mosaics["F606"])
    assert (again.catalogue["ra"] == field.catalogue["ra"]).all()
    other = simulate_field("M0416", seed=12, bands=("F606",), **SMALL)
    assert len(other.truth) != len(field.truth) or (other.truth["ra"] != field.truth["ra"]).any()


def test_infrared_bands_see_less_of_the_sky(field):
    covered = {band: np.isfinite(image).mean() for band, image in field.mosaics.items()}
    assert covered["F606"] == covered["F814"] == 1
    assert 0.5 < covered["F160"] < covered["F105"] < 1
    inner, outer = (np.isfinite(field.mosaics[name])[300:400, 300:400] for name in ("F160", "F105"))
    assert not (inner & ~outer).any()


def test_bands_are_those_in_which_a_cluster_was_observed():
    frontier = simulate_field("A370", seed=1, bands=("F435", "F475", "F606"), size_arcsec=25.0, scale=0.01)
    assert tuple(frontier.mosaics) == ("F435", "F606")
    whole = simulate_field("A383", seed=2, size_arcsec=20.0, scale=0.0)
    assert tuple(whole.mosaics) == tuple(BANDS)
    assert (whole.catalogue["z_quality"] == 0).all()


def test_noise_is_what_the_header_says(field):
    for band in ("F606", "F814"):
        image = field.mosaics[band]
        assert image.dtype == np.float32
        # The sky is crowded: the difference of neighbouring pixels, which share noise, is what it alone sets.
        taps = BANDS[band].noise_kernel()
        apart = 2 * (1 - np.sum(taps[1:] * taps[:-1]) / np.sum(taps**2))
        noise = mad_std(np.diff(image[:60], axis=1)) / np.sqrt(apart)
        header = field.header(band)
        assert noise == pytest.approx(header["SKYSIGMA"], rel=0.15)
        assert header["SKYWHITE"] > 1.2 * header["SKYSIGMA"]


def test_zero_points_err_and_the_description_says_by_how_much(field):
    errors = field.cluster["zero_point_errors"]
    assert tuple(errors) == tuple(field.mosaics)
    assert 0.0 < np.std(list(errors.values())) < 0.2
    assert field.header("F814")["PHOTZP"] == BANDS["F814"].zero_point


def test_a_few_members_are_interlopers_of_the_field(spectra, field):
    found = bound = 0
    for row, table, _, _, taken in spectra:
        member = is_member(taken.redshift, row["redshift"]) & (taken.quality >= 2)
        right = member & is_member(table["redshift"], row["redshift"])
        found += np.sum(right & (table["origin"] == "field"))
        bound += np.sum(right & (table["origin"] == "cluster"))
    assert 0.01 < found / (found + bound) < 0.09
    interloper = field.truth["interloper"]
    assert (field.truth["origin"][interloper] == "field").all()
    assert field.truth["member"][interloper].all()
    assert (field.truth["origin"][field.truth["member"] & ~interloper] == "cluster").all()


def test_sources_are_where_the_catalogue_says(field):
    image = field.mosaics["F814"]
    listed = field.catalogue[(field.catalogue["mag_F814"] < 24) & (field.catalogue["mag_F814"] > 20)]
    x, y = field.wcs.world_to_pixel(SkyCoord(listed["ra"], listed["dec"]))
    inside = (np.minimum(x, y) > 3) & (np.maximum(x, y) < len(image) - 4)
    peaks = [
        image[j - 2 : j + 3, i - 2 : i + 3].max()
        for i, j in zip(np.rint(x[inside]).astype(int), np.rint(y[inside]).astype(int), strict=True)
    ]
    assert np.mean(np.array(peaks) > 8 * field.header("F814")["SKYSIGMA"]) > 0.95


def test_measured_magnitudes_agree_with_the_mosaic(field):
    truth, image, off = field.truth, field.mosaics["F814"], []
    compact = (truth["re"].value < 0.4) & ~np.isin(truth["kind"], ("icl", "arc"))
    radius = np.hypot(*np.meshgrid(np.arange(-29, 30), np.arange(-29, 30)))
    for row in truth[compact & (truth["mag_F814"] < 23)]:
        x, y = (round(float(axis)) for axis in field.wcs.world_to_pixel(SkyCoord(row["ra"], row["dec"])))
        if min(x, y) < 30 or max(x, y) > len(image) - 30:
            continue
        box = image[y - 29 : y + 30, x - 29 : x + 30]
        light = box[radius < 20].sum() - np.median(box[(radius > 22) & (radius < 29)]) * np.sum(radius < 20)
        off.append(-2.5 * np.log10(max(light, 1e-3)) + BANDS["F814"].zero_point - row["mag_F814"])
    assert len(off) >= 3
    assert abs(np.median(off)) < 0.25


def test_catalogue_holds_what_a_user_would_hold(field):
    names = ["source_id", "ra", "dec", "mag_F814", "mag_F814_error", "z_spec", "z_quality"]
    assert field.catalogue.colnames == names
    assert len(set(field.catalogue["source_id"])) == len(field.catalogue)
    truth = field.truth[np.searchsorted(field.truth["source_id"], field.catalogue["source_id"])]
    assert (truth["source_id"] == field.catalogue["source_id"]).all()
    assert truth["detected"].all()
    assert "icl" not in set(truth["kind"])
    assert list(field.truth["source_id"]) == sorted(field.truth["source_id"])
    assert (np.diff(field.truth["dec"].value) >= 0).all()  # numbered from south to north
    measured = SkyCoord(field.catalogue["ra"], field.catalogue["dec"])
    away = SkyCoord(truth["ra"], truth["dec"]).separation(measured)
    assert (away > 0 * u.arcsec).all()
    bright = truth["mag_F814"] < 23
    assert np.median(away[bright]) < np.median(away[~bright]) < 0.15 * u.arcsec
    faint = field.truth["mag_F814"] > 28
    bright = (field.truth["mag_F814"] < 25) & (field.truth["kind"] != "icl")
    assert field.truth["detected"][faint].mean() < 0.7 < 0.85 < field.truth["detected"][bright].mean()


def test_nothing_but_the_sky_tells_the_label(spectra):
    """Order, error bars and zone do not separate members from others beyond magnitude and place."""
    for row, table, seen, _, taken in spectra[:2]:
        chosen = np.flatnonzero((taken.quality >= 2) & (seen.magnitude > 21) & (seen.magnitude < 24))
        member = is_member(taken.redshift[chosen], row["redshift"])
        assert 0.38 < roc_auc_score(member, chosen) < 0.62
        offset = np.hypot(*(getattr(seen, k)[chosen] - table[f"{k}_arcsec"][chosen] for k in ("x", "y")))
        relative = offset / np.hypot(table["re_arcsec"][chosen], 0.05)
        assert 0.3 < roc_auc_score(member, relative) < 0.7


def test_spectra_have_whole_cut_outs_in_the_optical(field):
    counted = field.catalogue[field.catalogue["z_quality"] >= 2]
    x, y = field.wcs.world_to_pixel(SkyCoord(counted["ra"], counted["dec"]))
    size = field.mosaics["F814"].shape[0]
    assert min(x.min(), y.min()) > CUTOUT_HALF_PX - 1
    assert max(x.max(), y.max()) < size - CUTOUT_HALF_PX
    assert len(counted) == wanted_spectra(pick_clusters(["M0416"])[0], scale=SMALL["scale"]).sum()


def test_files_hold_the_field(field, tmp_path):
    folder = field.write(tmp_path / "M0416")
    names = {f"M0416_{band}.fits" for band in field.mosaics} | {
        "catalogue.fits",
        "truth.fits",
        "cluster.json",
    }
    assert {path.name for path in folder.iterdir()} == names
    with fits.open(folder / "M0416_F105.fits") as hdus:
        assert np.array_equal(hdus[0].data, field.mosaics["F105"], equal_nan=True)
        header = hdus[0].header
        assert (header["FILTER"], header["INSTRUME"], header["BUNIT"]) == ("F105W", "WFC3-IR", "electrons/s")
        assert header["PHOTZP"] == 26.27
        assert header["TELESCOP"] == "HST"
        assert "simulated" in header["ORIGIN"]
        wcs = WCS(header)
    scales = [scale.to_value(u.arcsec) for scale in wcs.proj_plane_pixel_scales()]
    np.testing.assert_allclose(scales, 0.065)
    centre = wcs.pixel_to_world(345.5, 345.5)
    assert centre.ra.deg == pytest.approx(field.cluster["ra_deg"])
    assert wcs.pixel_to_world(345.5, 400).dec > centre.dec
    assert wcs.pixel_to_world(300, 345.5).ra > centre.ra
    about = json.loads((folder / "cluster.json").read_text())
    assert about == field.cluster
    assert about["r200_mpc"] > 1
    back = QTable.read(folder / "catalogue.fits")
    assert list(back["source_id"]) == list(field.catalogue["source_id"])
    assert QTable.read(folder / "truth.fits")["member"].sum() == field.truth["member"].sum()


def test_fields_on_disk_are_made_once_and_go_on_where_they_were(tmp_path, monkeypatch):
    options = {"seed": 3, "bands": ["F814"], "size_arcsec": 30.0, "scale": 0.02}
    made, original = [], fields_module.simulate_field

    def counted(short, **numbers):
        made.append(short)
        return original(short, **numbers)

    monkeypatch.setattr(fields_module, "simulate_field", counted)
    first = simulate_fields(tmp_path, clusters=["A383"], **options)
    both = simulate_fields(tmp_path, clusters=["A383", "R2129"], **options)
    assert made == ["A383", "R2129"]
    assert list(both["short"]) == ["A383", "R2129"]
    assert both["n_members"][0] == first["n_members"][0] == 2
    assert both["bands"][0] == "F814"
    with pytest.raises(InputError, match="out must hold no other data.*'seed': 3.*overwrite=True"):
        simulate_fields(tmp_path, clusters=["A383"], **(options | {"seed": 4}))
    simulate_fields(tmp_path, clusters=["A383"], overwrite=True, **(options | {"seed": 4}))
    assert made[2:] == ["A383"]
    (tmp_path / "M0329").mkdir()
    with pytest.raises(InputError, match="no simulated field"):
        simulate_fields(tmp_path, clusters=["M0329"], **options)


def test_processes_make_the_same_fields(tmp_path):
    options = {"seed": 3, "clusters": ["A383", "M1311"], "bands": ["F814"]}
    options |= {"size_arcsec": 25.0, "scale": 0.02}
    one = simulate_fields(tmp_path / "one", **options)
    two = simulate_fields(tmp_path / "two", n_jobs=2, **options)
    assert (one["n_sources"] == two["n_sources"]).all()
    for short in options["clusters"]:
        pixels = [fits.getdata(tmp_path / out / short / f"{short}_F814.fits") for out in ("one", "two")]
        assert np.array_equal(*pixels)

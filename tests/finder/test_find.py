"""The finder on small simulated fields, bad ones, and on real observations of Abell 907."""

from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import QTable
from astropy.wcs import WCS

from labkit.cli import main
from labkit.errors import InputError, MissingDataError
from labkit.finder import compare, find_candidates, search
from labkit.finder import fits as finder_fits
from labkit.instruments import PointSpread, Templates
from labkit.sources import Observation, candidates_sample, read_observation, write_regions
from labkit.sources.candidates import read_regions
from labkit.tables import write_table

SIZE, PIXEL, EXPOSURE, BACKGROUND = 128, 4.35, 1e4, 0.12
#: x, y, counts, extent of what is in the field.
CLUSTER, BRIGHT, FAINT = (84.0, 70.0, 900.0, 22.0), (40.0, 45.0, 700.0, 0.0), (50.0, 100.0, 60.0, 0.0)


def observation(*sources, seed: int = 0, dead: bool = False, background: float = BACKGROUND) -> Observation:
    """Counts of sources on a round field of view, half of it dead if wanted."""
    y, x = np.indices((SIZE, SIZE))
    inside = np.hypot(x - 64, y - 64) < 60
    if dead:
        inside &= x > 62
    exposure = EXPOSURE * inside
    templates = Templates((SIZE, SIZE), pixel_arcsec=PIXEL, spread=PointSpread(2.0))
    expected = background * inside
    for px, py, counts, extent in sources:
        expected = expected + counts * templates.image(px, py, extent) * inside
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [150.0, -11.0], [64.5, 64.5]
    wcs.wcs.cdelt = [-PIXEL / 3600, PIXEL / 3600]
    counts = np.random.default_rng(seed).poisson(np.maximum(expected, 0)).astype(np.float32)
    return Observation(counts, wcs, exposure.astype(np.float32), SkyCoord(150, -11, unit="deg"), {})


@pytest.fixture(scope="module")
def found():
    result = search(observation(CLUSTER, BRIGHT, FAINT))
    assert result.expected.shape == (SIZE, SIZE)
    return result


def nearest(table, x, y):
    distance = np.hypot(table["x"].value - x, table["y"].value - y) * PIXEL
    return table[int(distance.argmin())], float(distance.min())


def test_cluster_and_points_are_found_as_what_they_are(found):
    table = found.candidates
    for (x, y, counts, _), kind in ((CLUSTER, "extended"), (BRIGHT, "point"), (FAINT, "point")):
        row, distance = nearest(table, x, y)
        assert distance < 8
        assert row["class"] == kind
        assert row["counts"].to_value(u.ct) == pytest.approx(counts, rel=0.35)
        assert row["rate"].to_value(u.ct / u.s) == pytest.approx(counts / EXPOSURE, rel=0.35)
        assert distance < 5 * row["position_error"].to_value(u.arcsec)
        assert np.sqrt(counts) < row["counts_error"].to_value(u.ct) < 3 * np.sqrt(counts)
    assert table["c1"].tolist() == [True] + [False] * (len(table) - 1)
    assert table["extent"][0].to_value(u.arcsec) == pytest.approx(22, rel=0.3)
    assert table.meta["search"]["not converged"] == 0


def test_positions_on_the_sky_are_those_of_the_pixels_and_the_residual_is_noise(found):
    table, wcs = found.candidates, observation().wcs
    x, y = SkyCoord(table["ra"], table["dec"]).to_pixel(wcs)
    assert x == pytest.approx(table["x"].value, abs=1e-6)
    assert y == pytest.approx(table["y"].value, abs=1e-6)
    assert len(set(table["object_id"])) == len(table)
    expected = found.expected
    pull = found.residual[expected > 0] / np.sqrt(expected[expected > 0])
    assert pull.mean() == pytest.approx(0, abs=0.05)
    assert pull.std() == pytest.approx(1, abs=0.1)


def test_the_catalogue_goes_into_files_and_a_sample(found, tmp_path):
    seen = observation(CLUSTER, BRIGHT, FAINT)
    write_table(found.candidates, tmp_path / "found.ecsv")
    sample = candidates_sample(seen, tmp_path / "found.ecsv", pixels=24)
    assert sample.catalogue["object_id"].tolist() == found.candidates["object_id"].tolist()
    again = candidates_sample(seen, found.candidates, pixels=24)
    assert np.array_equal(again.images[:], sample.images[:])
    regions = read_regions(write_regions(found.candidates, tmp_path / "found.reg"), seen.wcs)
    assert regions["ra"].to_value(u.deg) == pytest.approx(found.candidates["ra"].to_value(u.deg), abs=1e-5)
    assert regions["region_colour"][0] == "green"
    ratio = regions["region_radius"][0] / found.candidates["extent"][0]
    assert ratio.to_value(u.one) == pytest.approx(2, rel=1e-3)


def test_comparison_names_what_is_recovered_and_what_is_extra(found):
    table = found.candidates
    shifted = table["ra", "dec"][:2]
    shifted["dec"] = shifted["dec"] + [5, 20] * u.arcsec
    result = compare(table, shifted)
    assert result.recovered == 1
    assert result.listed["found"].tolist() == [table["object_id"][0], ""]
    assert result.listed["separation"].to_value(u.arcsec) == pytest.approx([5, 20], abs=0.01)
    assert result.extra["object_id"].tolist() == table["object_id"][1:].tolist()
    assert compare(table[:0], shifted).recovered == 0
    assert len(compare(table, shifted[:0]).extra) == len(table)
    with pytest.raises(InputError, match="radius must be a positive angle, got 0"):
        compare(table, shifted, radius=0 * u.arcsec)


def test_background_alone_holds_hardly_any_source_and_nothing_none(found):
    tables = [find_candidates(observation(seed=seed)) for seed in (1, 2)]
    assert sum(len(table) for table in tables) <= 2
    assert not any(table["c1"].any() for table in tables)
    empty = find_candidates(observation(background=0.0))
    assert len(empty) == 0
    assert empty.colnames == found.candidates.colnames


def test_one_huge_source_is_one_source():
    table = find_candidates(observation((64.0, 64.0, 20000.0, 60.0), seed=3))
    extended = ["extended" in kind for kind in table["class"]]
    assert sum(extended) == 1
    assert nearest(table[extended], 64, 64)[1] < 15
    assert table["extent"][extended][0].to_value(u.arcsec) == pytest.approx(60, rel=0.3)


def test_what_lies_within_a_brighter_extended_source_says_so():
    table = find_candidates(observation((64.0, 64.0, 9000.0, 40.0), (80.0, 64.0, 900.0, 0.0), FAINT, seed=8))
    cluster, (point, _), (far, _) = (
        nearest(table, 64, 64)[0],
        nearest(table, 80, 64),
        nearest(table, *FAINT[:2]),
    )
    assert (cluster["class"], point["class"]) == ("extended", "point")
    assert point["within"] == cluster["object_id"]
    assert point["within_distance"].to_value(u.arcsec) == pytest.approx(16 * PIXEL, abs=4)
    assert (cluster["within"], far["within"]) == ("", "")
    assert np.isnan(far["within_distance"])


def test_fluxes_are_rates_over_the_conversion_factor_in_the_band_given():
    seen = observation(BRIGHT, seed=5)
    table = find_candidates(seen, ecf=2.0, energy=(0.5, 2.0))
    ratio = table["rate"][0].to_value(u.ct / u.s) / table["flux"][0].to_value(u.erg / u.s / u.cm**2)
    assert ratio == pytest.approx(2e11)
    flux, rate = (table[f"{name}_error"][0] / table[name][0] for name in ("flux", "rate"))
    assert flux.to_value("") == pytest.approx(rate.to_value(""))
    assert table.meta["flux"] == {"ecf": 2.0, "ecf_unit": "1e+11 cm2 ct / erg", "energy_kev": [0.5, 2.0]}
    assert table.meta["selection"]["extension_likelihood"] == 33
    areas = replace(seen, about={"exposure_unit": "cm2 s"})
    for one, options, message in (
        (seen, {"ecf": 2.0}, "ecf and energy must be given together"),
        (seen, {"ecf": -2.0, "energy": (0.5, 2.0)}, "ecf must be a positive number of 1e"),
        (seen, {"ecf": 2.0, "energy": (2.0, 0.5)}, "energy must be two energies in keV, the lower one first"),
        (areas, {"ecf": 2.0, "energy": (0.5, 2.0)}, "needs exposure maps in seconds, got cm2 s"),
    ):
        with pytest.raises(InputError, match=message):
            find_candidates(one, **options)


def test_a_dead_chip_makes_no_sources():
    table = find_candidates(observation(CLUSTER, dead=True, seed=4))
    assert nearest(table, *CLUSTER[:2])[1] < 8
    assert len(table) <= 3
    assert table["c1"].sum() == 1


def test_fits_that_do_not_converge_are_rows_without_numbers(monkeypatch):
    fit = finder_fits.fit_sources
    monkeypatch.setattr(finder_fits, "fit_sources", lambda *args: replace(fit(*args), converged=False))
    table = find_candidates(observation(BRIGHT, seed=5))
    row, distance = nearest(table, *BRIGHT[:2])
    assert distance < 8
    assert not row["converged"]
    assert not row["c1"]
    assert np.isnan(row["detection_likelihood"])
    assert table.meta["search"]["not converged"] == len(table)


def test_an_exposure_map_is_needed():
    with pytest.raises(MissingDataError, match=r"observation must have an exposure map.*read_observation"):
        find_candidates(replace(observation(), exposure=None))


def write_fits(seen: Observation, folder) -> tuple[str, str]:
    paths = str(folder / "image.fits"), str(folder / "exposure.fits")
    for path, data in zip(paths, (seen.image, seen.exposure), strict=True):
        fits.PrimaryHDU(data, seen.wcs.to_header()).writeto(path)
    return paths


def test_the_verb_writes_catalogue_and_regions(tmp_path, capsys):
    image, exposure = write_fits(observation(CLUSTER, seed=6), tmp_path)
    out, regions = tmp_path / "found.ecsv", tmp_path / "found.reg"
    verb = ["find", image, "--exposure", exposure, "--out", str(out), "--regions", str(regions)]
    verb += ["--ecf", "2", "--energy", "0.5-2"]
    with pytest.raises(SystemExit) as end:
        main(verb)
    assert end.value.code == 0
    assert "1 of them C1" in capsys.readouterr().out
    table = QTable.read(out)
    assert table["c1"].sum() == 1
    assert table["flux"].unit == u.erg / u.s / u.cm**2
    assert [name for name in table.colnames if name.endswith("_error") and not table[name].unit] == []
    for words in (["--ecf", "2"], ["--ecf", "2", "--energy", "soft"]):
        with pytest.raises(SystemExit) as end:
            main(["find", image, "--exposure", exposure, "--out", str(out), *words])
        assert end.value.code == 65
        assert "--energy must be" in capsys.readouterr().err.replace("--ecf and ", "")
    assert regions.read_text().count("circle(") == len(QTable.read(out))


def test_the_verb_refuses_an_ending_before_it_works(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(["find", "none.fits", "--exposure", "none.fits", "--out", str(tmp_path / "found.txt")])
    assert end.value.code == 2
    assert "must end in one of" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a907_0201903501", "a907_0404910601"])
def test_abell_907_is_found_once_and_the_bright_agn_is_a_point(real, name):
    folder = real / "xmm" / name
    band = "0.5-2.0keV"
    seen = read_observation(folder / f"epic_{band}_image.fits.gz", folder / f"epic_{band}_exposure.fits.gz")
    listed = read_regions(folder / "xapa_sources.reg", seen.wcs)
    table = find_candidates(seen)
    cluster, distance = nearest(table, 256, 276)
    assert distance < 15
    assert cluster["c1"]
    near = np.hypot(table["x"].value - 256, table["y"].value - 276) * PIXEL < 300
    assert sum("extended" in kind for kind in table["class"][near]) == 1
    agn, distance = nearest(table, 190, 267)
    assert distance < 12
    assert agn["class"] == "point"
    x, y = SkyCoord(listed["ra"], listed["dec"]).to_pixel(seen.wcs)
    apart = np.hypot(x[:, None] - table["x"].value, y[:, None] - table["y"].value) * PIXEL
    assert (apart.min(axis=1) >= 12).sum() <= 3
    assert (apart.min(axis=0) >= 12).sum() <= 9

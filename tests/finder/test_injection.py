"""Injected clusters on a small simulated field: what comes back, resumed, whole or near, and refusals."""

from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table, vstack

from labkit.cli import main
from labkit.errors import InputError
from labkit.finder import Selection, inject, injection, search
from labkit.finder.injection import Target, match, search_copy
from labkit.images.coordinates import tangent_plane
from labkit.instruments import PointSpread, Templates
from labkit.instruments.epic import CAMERAS, MOS1, summed_exposure
from labkit.simulate import ECF, cluster_grid
from labkit.sources import Observation
from labkit.sources.xmm import EPIC

SIZE, PIXEL = 160, 4.35
RNG = np.random.default_rng
OPTIONS = {"seed": 1, "per_copy": 3}


def observed() -> Observation:
    """A round field with a bright point at (40, 80) and a cluster at (80, 125), by three cameras."""
    y, x = np.indices((SIZE, SIZE))
    exposure = np.where(np.hypot(x - 80, y - 80) < 75, 2e4, 0.0)
    templates = Templates((SIZE, SIZE), pixel_arcsec=PIXEL, spread=PointSpread(2.0))
    expected = exposure * (3e-6 + 0.03 * templates.image(40, 80) + 0.06 * templates.image(80, 125, 20.0))
    counts = np.stack([RNG(7 + n).poisson(np.maximum(expected, 0) * c.share / MOS1.share / 3)
                       for n, c in enumerate(CAMERAS)]).astype(np.float32)  # fmt: skip
    exposures = np.stack([exposure] * 3).astype(np.float32)
    wcs = tangent_plane(150.0, -11.0, PIXEL, (SIZE, SIZE))
    about = {
        "telescope": "XMM-Newton",
        "instrument": ", ".join(EPIC),
        "exposure_unit": "s",
        "target": "a field",
    }
    pointing = SkyCoord(150, -11, unit="deg")
    return Observation(
        counts.sum(axis=0), wcs, summed_exposure(exposures), pointing, about, (counts, exposures)
    )


OBSERVATION = observed()
MASKED = Table({"ra": [150.0], "dec": [-11.0 + 45 * PIXEL / 3600], "radius": [1.5]})  # the cluster


@pytest.fixture(scope="module")
def injected(tmp_path_factory):
    clusters = cluster_grid([2e-15, 4e-13], [15, 30], each=3, rng=RNG(0), axis_ratio=0.8)
    path = tmp_path_factory.mktemp("injected") / "found.parquet"
    return inject(OBSERVATION, clusters, path, masked=MASKED, **OPTIONS), clusters, path


def test_bright_clusters_come_back_as_they_went_in_and_faint_ones_do_not(injected):
    table, clusters, _ = injected
    assert len(table) == len(clusters)
    bright = table["flux"].value > 1e-13
    assert table["detected"][bright].all()
    assert table["c1"][bright].mean() > 0.7
    assert not table["c1"][~bright].any()
    seen = table[bright & table["c1"]]
    assert np.median(seen["fitted_counts"].value / seen["injected_counts"].value) == pytest.approx(
        1, abs=0.12
    )
    assert np.median(seen["fitted_extent"].value / seen["extent"].value) == pytest.approx(1, abs=0.2)
    assert (seen["separation"].value < 12).all()
    assert np.isnan(table["fitted_counts"][~table["detected"]]).all()
    # counts that went in: flux x ECF x exposure of the sum, and nearly all of the profile within the field
    expected = table["flux"].value * ECF * 1e11 * table["exposure"].value
    assert np.median(table["injected_counts"].value[bright] / expected[bright]) == pytest.approx(
        0.95, abs=0.1
    )
    assert table.meta["injected"] == "simulated clusters in the images of a field"


def test_places_are_exposed_apart_and_not_masked(injected):
    table, *_ = injected
    x, y = table["x"].value, table["y"].value
    assert (np.hypot(x - 80, y - 80) < 76).all()
    assert (np.hypot(x - 80, y - 125) * PIXEL > 80).all()
    apart = np.hypot(*(axis[:, None] - axis for axis in (x, y))) * PIXEL
    same = (table["copy"][:, None] == table["copy"]) & ~np.eye(len(table), dtype=bool)
    assert apart[same].min() >= 180
    assert np.bincount(table["copy"]).max() <= 3
    nearest = np.minimum(np.hypot(x - 40, y - 80), np.hypot(x - 80, y - 125)) * PIXEL / 60
    assert table["distance"].value == pytest.approx(nearest, abs=0.1)
    pixels = np.pi * 75**2 - np.pi * (90 / PIXEL) ** 2
    assert table.meta["area"] == pytest.approx(pixels * (PIXEL / 3600) ** 2, rel=0.02)


def test_a_run_that_was_stopped_resumes_to_the_same_table(injected, tmp_path, monkeypatch):
    table, clusters, _ = injected
    work, done = injection._search_into, []

    def stopped(target, rows, *others):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(rows[0]["copy"])
        work(target, rows, *others)

    monkeypatch.setattr(injection, "_search_into", stopped)
    path = tmp_path / "found.parquet"
    with pytest.raises(KeyboardInterrupt):
        inject(OBSERVATION, clusters, path, masked=MASKED, **OPTIONS)
    assert not path.exists()
    monkeypatch.setattr(injection, "_search_into", work)
    again = inject(OBSERVATION, clusters, path, masked=MASKED, **OPTIONS)
    assert len(set(table["copy"])) > len(done)
    for name in table.colnames:
        assert np.array_equal(table[name], again[name], equal_nan=table[name].dtype.kind == "f"), name
    assert [one.name for one in tmp_path.iterdir()] == ["found.parquet"]
    monkeypatch.setattr(injection, "search", None)  # which a finished table needs no more
    assert len(inject(OBSERVATION, clusters, path, masked=MASKED, **OPTIONS)) == len(table)
    with pytest.raises(InputError, match="path must hold these injections"):
        inject(OBSERVATION, clusters, path, masked=MASKED, seed=2)


def test_a_copy_searched_near_its_clusters_gives_what_the_whole_search_gives():
    selection = Selection()
    target = Target(OBSERVATION, CAMERAS, search(OBSERVATION, selection=selection), selection, ECF)
    shape = {"axis_ratio": 0.8, "angle": 20.0}
    clusters = [{"x": 110.0, "y": 60.0, "flux": 1.5e-13, "extent": 20.0} | shape,
                {"x": 60.0, "y": 40.0, "flux": 6e-14, "extent": 15.0} | shape]  # fmt: skip
    counts = np.sum([target.counts(RNG(3), one) for one in clusters], axis=0)
    near, whole = (search_copy(target, clusters, counts, whole=all_of_it) for all_of_it in (False, True))
    assert len(near) < len(whole)
    for one in clusters:
        mine, theirs = near[match(target, one, near)], whole[match(target, one, whole)]
        assert (mine["class"], mine["c1"]) == (theirs["class"], theirs["c1"])
        for name in ("counts", "extent", "x", "y"):
            assert mine[name].value == pytest.approx(theirs[name].value, rel=0.03)
    # on a source that was there before, a faint cluster is not taken for found
    faint = {"x": 40.5, "y": 80.0, "flux": 1e-15, "extent": 15.0} | shape
    assert match(target, faint, target.before.candidates) == -1


def test_what_comes_back_does_not_depend_on_how_many_share_a_copy(injected, tmp_path):
    _, clusters, _ = injected
    bright = clusters[clusters["flux"].value > 1e-13][:4]
    alone = inject(OBSERVATION, bright, tmp_path / "alone.parquet", masked=MASKED, seed=1, per_copy=1)
    assert alone.meta["copies"] == 4
    assert alone["detected"].all()
    assert np.median(alone["fitted_counts"].value / alone["injected_counts"].value) == pytest.approx(
        1, abs=0.15
    )


def test_given_places_are_kept_and_those_outside_are_refused(tmp_path):
    clusters = cluster_grid([4e-13], [20], each=2, rng=RNG(0))
    clusters["ra"], clusters["dec"] = [150.0, 150.0 + 50 * PIXEL / 3600], [-11.0, -11.0]
    path = tmp_path / "found.parquet"
    table = inject(OBSERVATION, clusters, path, seed=1)
    assert sorted(table["x"].value) == pytest.approx([30, 79.5], abs=1)
    assert "area" not in table.meta
    clusters["ra"] = [150.0, 151.0]
    with pytest.raises(
        InputError, match="exposed pixels outside what is masked, got 1 of 2 .* first row 1 at 151"
    ):
        inject(OBSERVATION, clusters, tmp_path / "other.parquet", seed=1)


def refused(message: str, path, *, observation=OBSERVATION, clusters=None, **options) -> None:
    clusters = cluster_grid([1e-13], [20], each=1, rng=RNG(0)) if clusters is None else clusters
    with pytest.raises(InputError, match=message):
        inject(observation, clusters, path, **({"seed": 1} | options))


def test_what_cannot_be_injected_into_is_refused_before_work_starts(tmp_path, monkeypatch):
    path = tmp_path / "found.parquet"
    everywhere = Table({"ra": [150.0], "dec": [-11.0], "radius": [30.0]})
    monkeypatch.setattr(injection, "search", None)
    refused("masked must leave an exposed pixel", path, masked=everywhere)
    refused("must end in .parquet", tmp_path / "found.csv")
    refused("per_copy and ecf must be", path, per_copy=0)
    refused(
        "images and exposure maps of EPN, EMOS1, EMOS2 apart",
        path,
        observation=replace(OBSERVATION, cameras=None),
    )
    about = OBSERVATION.about | {"exposure_unit": "cm2 s"}
    refused("must be in s, got cm2 s", path, observation=replace(OBSERVATION, about=about))
    refused("clusters must have the columns", path, clusters=Table({"flux": [1e-13]}))
    bad = cluster_grid([1e-13], [20], each=1, rng=RNG(0))
    bad["extent"] = [-1] * u.arcsec
    refused("extent of clusters must be positive, got -1", path, clusters=vstack([bad]))
    refused("masked must have positions and positive radii", path,
            masked=Table({"ra": [150.0], "dec": [-11.0], "radius": [0.0]}))  # fmt: skip
    assert not path.exists()


def test_the_command_injects_and_speaks_of_its_options(tmp_path, capsys):
    images, exposures = [], []
    for name, counts, seconds in zip(EPIC, *OBSERVATION.cameras, strict=True):
        header = OBSERVATION.wcs.to_header()
        header["INSTRUME"], header["OBJECT"] = name, "A FIELD"
        for kind, data, paths in (("image", counts, images), ("exposure", seconds, exposures)):
            paths.append(str(tmp_path / f"{name}_{kind}.fits"))
            fits.PrimaryHDU(data, header).writeto(paths[-1])
    words = ["inject", *images, *(word for path in exposures for word in ("--exposure", path))]
    words += ["--out", str(tmp_path / "found.parquet")]

    def ended(*more: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit_:
            main([*words, *more])
        return exit_.value.code or 0, *capsys.readouterr()

    grid = ("--flux", "4e-13", "--extent", "20", "--each", "1")
    code, out, _ = ended(*grid, "--mask", "150,-10.945625,1.5")
    assert code == 0
    assert "simulated clusters in the images of A FIELD: 1, copies 1, masked places 1; detected 1" in out
    for more, message in (
        ((), "--flux and --extent must be given, or --population"),
        ((*grid, "--threshold", "0.5"), "--threshold must stand with --run"),
        (("--flux", "1e-13,x", "--extent", "20"), "--flux must be numbers between commas, got '1e-13,x'"),
        ((*grid, "--mask", "150,-11"), "--mask must be ra,dec,radius"),
        ((*grid, "--axis-ratio", "2"), "--axis-ratio must lie in 0 to 1"),
        (grid, "--out must hold these injections"),
    ):
        code, out, err = ended(*more)
        assert (code, out) == (65, "")
        assert message in err, err
    (tmp_path / "found.parquet").unlink()
    assert "--mask must leave an exposed pixel" in ended(*grid, "--mask", "150,-11,60")[2]

"""Clusters at one physical scale: what is kept, filled, corrected, flagged and refused; and real ones."""

import json

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from astropy.wcs import WCS

from labkit.cosmology import COSMOLOGY
from labkit.errors import InputError
from labkit.images.coordinates import pixel_to_sky, tangent_plane
from labkit.images.morphology import morphology
from labkit.instruments import PointSpread, point_spread_image
from labkit.sample import Sample, concatenate
from labkit.simulate import simulate_cores
from labkit.sources import Observation, cores_sample, read_candidates, read_observation
from labkit.sources.cores import _mirrored

SIDE = 300
KPC = COSMOLOGY.kpc_proper_per_arcmin(0.1).to_value(u.kpc / u.arcsec)  # of an arcsec at redshift 0.1
SPREAD = 1.0 * u.arcsec


def wcs_of(scale: float, shape=(SIDE, SIDE)) -> WCS:
    return tangent_plane(150, 2, scale, shape)


def radii(scale: float, *, x: float = 0.0, y: float = 0.0, side: int = SIDE) -> np.ndarray:
    """Arcsec from a place that lies (x, y) arcsec from the middle."""
    axis = (np.arange(side) - (side - 1) / 2) * scale
    return np.hypot(axis - x, axis[:, None] - y)


def beta(scale: float, *, core_arcsec: float = 30.0, light: float = 1e5, side: int = SIDE) -> np.ndarray:
    image = (1 + (radii(scale, side=side) / core_arcsec) ** 2) ** -1.5
    return light * image / image.sum()


def observed(image, *, scale=3.0, exposure=None, telescope="CHANDRA") -> Observation:
    about = {"telescope": telescope, "target": "A1", "observation": "0123", "images": [], "exposures": []}
    return Observation(np.asarray(image, np.float32), wcs_of(scale, image.shape), exposure, None, about)


def cluster(redshift=0.1, *, ra=150.0, dec=2.0, **columns) -> QTable:
    about = {"object_id": ["A1"], "ra": [ra] * u.deg, "dec": [dec] * u.deg, "redshift": [redshift]}
    return QTable(about | {name: [value] for name, value in columns.items()})


def cut(image, clusters=None, *, scale=3.0, exposure=None, **options) -> Sample:
    options = {"fwhm": SPREAD, "pixels": 100} | options
    clusters = cluster(m500=5e14) if clusters is None else clusters
    return cores_sample(observed(image, scale=scale, exposure=exposure), clusters, **options)


def test_files_become_a_sample_at_one_scale(tmp_path):
    paths = []
    for seed, name in enumerate("ab"):
        data = np.random.default_rng(seed).poisson(beta(3.0)).astype(np.float32)
        header = wcs_of(3.0).to_header()
        header["TELESCOP"], header["OBJECT"], header["RA_PNT"], header["DEC_PNT"] = "XMM", "A1", 150.0, 2.0
        fits.PrimaryHDU(data, header).writeto(tmp_path / f"{name}.fits.gz")
        paths.append(tmp_path / f"{name}.fits.gz")
    observation = read_observation(paths)
    both = cores_sample(observation, cluster(0.1, m500=5e14), pixels=64, label="CC")
    row = both.catalogue[0]
    assert both.shape == (1, 1, 64, 64)
    assert row["kpc_per_pixel"].to_value(u.kpc) == pytest.approx(1000 / 64)
    half = round(500 / KPC / 3)
    middle = observation.image[150 - half : 150 + half, 150 - half : 150 + half]
    assert both.images.sum() == pytest.approx(middle.sum(), rel=0.02)
    assert row["counts"] == pytest.approx(both.images.sum(), rel=1e-5)
    assert (row["label"], row["coverage"], row["filled"], row["negative"]) == ("CC", 1, 0, 0)
    assert row["fwhm"].to_value(u.kpc) == pytest.approx(6.46 * KPC, rel=0.01)
    assert both.provenance["source"] == "XMM-Newton observation of A1"
    assert json.loads(json.dumps(both.provenance)) == both.provenance


def test_the_same_cluster_at_two_redshifts_and_pixel_scales_looks_the_same():
    near, far = cluster(0.1, m500=5e14), cluster(0.3, m500=5e14)
    ratio = KPC / COSMOLOGY.kpc_proper_per_arcmin(0.3).to_value(u.kpc / u.arcsec)
    one = cut(beta(3.0, core_arcsec=40, light=1e5), near)
    two = cut(beta(1.6, core_arcsec=40 * ratio, light=1e5, side=400), far, scale=1.6)
    np.testing.assert_allclose(two.images.sum(), one.images.sum(), rtol=0.05)
    ours, theirs = morphology(one)[0], morphology(two)[0]
    assert ours["concentration"] == pytest.approx(theirs["concentration"], rel=0.01)
    assert ours["cuspiness"] == pytest.approx(theirs["cuspiness"], rel=0.03)
    two.catalogue["object_id"] = ["A2"]
    assert len(concatenate([one, two])) == 2


def test_the_square_of_simulated_clusters_fits_their_models():
    simulated = simulate_cores(1, n_clusters=1, size_px=64, pixel_arcsec=15.6)
    real = cut(beta(3.0), size=64 * 15.6 * u.arcsec, pixels=64)
    assert real.pixel_scale.to_value(u.arcsec) == pytest.approx(15.6)
    assert len(concatenate([simulated, real])) == 2


def test_the_exposure_is_divided_out_and_the_sum_of_counts_stays():
    truth = beta(3.0, core_arcsec=100)
    slope = np.broadcast_to(np.linspace(0.4, 1.6, SIDE), (SIDE, SIDE)).astype(np.float32)
    flat = cut(truth)
    corrected = cut(truth * slope, exposure=1e4 * slope)
    uncorrected = cut(truth * slope)
    assert corrected.provenance["exposure_corrected"]
    assert corrected.images.sum() == pytest.approx(uncorrected.images.sum(), rel=1e-4)
    shape = corrected.images / corrected.images.sum() / (flat.images / flat.images.sum())
    np.testing.assert_allclose(shape, 1, atol=0.01)
    assert morphology(uncorrected)["asymmetry"][0] > 5 * morphology(corrected)["asymmetry"][0]


def test_gaps_and_point_sources_are_filled_as_their_surroundings_are(tmp_path):
    truth = beta(3.0, core_arcsec=60)
    point = 500 * np.exp(-(radii(3.0, x=-60, y=90) ** 2) / 2 / 4**2)
    exposure = np.full((SIDE, SIDE), 1e4, np.float32)
    exposure[:, 175:179] = 0
    seen = np.where(exposure > 0, truth + point, 0)
    regions = tmp_path / "points.reg"
    regions.write_text("image\ncircle(130.5,180.5,7) # color=red\npoint(150.5,150.5)\n")
    clean = cut(truth)
    filled = cut(seen, exposure=exposure, points=regions)
    assert filled.provenance["points_filled"] == 1
    assert 0.02 < filled.catalogue["filled"][0] < 0.06
    assert filled.catalogue["counts"][0] < 0.99 * clean.catalogue["counts"][0]
    assert filled.catalogue["core_resolved"][0]
    expected = clean.images * (filled.images.sum() / clean.images.sum())
    np.testing.assert_allclose(filled.images, expected, rtol=0.1)
    for name in ("concentration", "cuspiness"):
        assert morphology(filled)[name][0] == pytest.approx(morphology(clean)[name][0], rel=0.02)
    left = cut(seen, exposure=exposure)
    assert left.images.max() > 3 * filled.images.max()


def test_what_lies_off_the_image_is_filled_counted_and_warned_of():
    truth = beta(3.0, core_arcsec=60)
    part = observed(truth)
    shorter = Observation(part.image[:, :215], part.wcs, None, None, part.about)
    whole, sample = cut(truth), cores_sample(shorter, cluster(m500=5e14), fwhm=SPREAD, pixels=100)
    row = sample.catalogue[0]
    assert 0.8 < row["coverage"] < 0.95
    assert row["filled"] == pytest.approx(1 - row["coverage"], abs=0.01)
    assert row["partial"]
    assert "less than 95% of the square was exposed: A1" in sample.provenance["warnings"]
    np.testing.assert_allclose(sample.images, whole.images, rtol=0.1)


def test_a_filled_pixel_comes_from_as_far_beyond_the_edge():
    good = np.ones((1, 12), dtype=bool)
    good[0, 3:6] = False
    rows, columns = _mirrored(good)
    assert not rows.any()
    assert columns[0, [0, 2, 3, 5, 6, 11]].tolist() == [0, 2, 1, 7, 6, 11]
    assert columns[0, 4] in (0, 8)
    good[0, 1] = False  # where that is filled itself, the nearest
    assert _mirrored(good)[1][0, 3] == 2


def test_a_source_that_is_the_cluster_is_kept_and_said(caplog):
    points = cluster()["object_id", "ra", "dec"]
    assert cut(beta(3.0), points=points).catalogue["filled"][0] == 0
    assert "kept 1 point sources that hold the centre of a cluster: A1" in caplog.text


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        ({}, None),
        ({"fwhm": 10 * u.arcsec}, "point spread is wider"),
        ({"scale": 10.0}, "pixels of the image are wider"),
        ({"pixels": 60}, "pixels asked for are wider"),
        ({"hole": True}, "the core was filled"),
    ],
)
def test_what_hides_a_core_is_flagged_and_warned_of_and_never_refused(change, warning, caplog):
    scale, hole = change.pop("scale", 3.0), change.pop("hole", False)
    image = beta(scale)
    if hole:
        image[radii(scale) < 12] = np.nan
    sample = cut(image, cluster(0.1, m500=5e14), scale=scale, **change)
    row = sample.catalogue[0]
    assert row["core_radius"] == 0.012 * row["r500"]
    assert row["core_resolved"] == (warning is None)
    assert (warning or "") in caplog.text
    assert [warning in word for word in sample.provenance["warnings"]] == [True] * (warning is not None)


def test_r500_follows_from_what_is_given_or_a_mass_that_is_stated(caplog):
    table = cluster(r500=900 * u.kpc, m500=5e14, kt=5.0)
    rows = QTable({name: [table[name][0]] * 4 for name in table.colnames})
    rows["object_id"] = list("abcd")
    rows["r500"][1:], rows["m500"][2:], rows["kt"][3:] = np.nan, np.nan, np.nan
    found = cut(beta(3.0), rows).catalogue
    assert found["r500_from"].tolist() == ["r500", "m500", "kt", "assumed"]
    assert found["r500"].to_value(u.kpc) == pytest.approx([900, 1163, 1085, 1080], rel=0.02)
    assert "R500 is that of an assumed mass of 4e+14 Msun: d" in caplog.text


def test_negative_pixels_are_kept_and_counted():
    image = beta(3.0) - 0.2
    sample = cut(image)
    assert sample.catalogue["negative"][0] == (sample.images < 0).sum() > 0
    assert "negative pixels are kept: A1" in sample.provenance["warnings"]
    assert np.isfinite(morphology(sample)["concentration"]).all()


def test_the_verb_reads_a_chandra_image_and_says_what_to_know(tmp_path, run_verb):
    header = wcs_of(3.0).to_header()
    header["TELESCOP"], header["INSTRUME"] = "CHANDRA", "ACIS"
    fits.PrimaryHDU(beta(3.0).astype(np.float32), header).writeto(tmp_path / "image.fits")
    (tmp_path / "clusters.csv").write_text("object_id,ra,dec,redshift,kt\nA1,150,2,0.1,6\nA2,150.01,2,0.2,\n")
    words = ("--image", tmp_path / "image.fits", "--clusters", tmp_path / "clusters.csv", "--size-px", 64)
    code, _, error = run_verb("cores", tmp_path / "out", *words)
    assert (code, "got an image of 'CHANDRA'" in error) == (65, True)
    code, out, _ = run_verb("cores", tmp_path / "out", *words, "--fwhm", 0.8)
    assert code == 0
    assert "R500 is that of an assumed mass of 4e+14 Msun: A2" in out
    assert "the pixels asked for are wider than 0.012 R500: A1, A2" in out
    assert Sample.load(tmp_path / "out").catalogue["r500_from"].tolist() == ["kt", "assumed"]


REFUSED = {
    "no redshift column": (lambda: cut(beta(3.0), cluster()["object_id", "ra", "dec"]), "columns.*redshift"),
    "no redshift": (lambda: cut(beta(3.0), cluster(np.nan)), "redshift must be a positive .* 'A1'"),
    "off the image": (lambda: cut(beta(3.0), cluster(dec=3.0)), "centres of clusters must lie on the image"),
    "narrow": (lambda: cut(beta(3.0), cluster(0.04)), "must cover 80% .* got .*; ask for a smaller size"),
    "next door": (lambda: cut(beta(3.0), cluster(1e-5)), r"must cover 80% .* got 0% .* smaller size"),
    "mass": (lambda: cut(beta(3.0), cluster(m500=5.0)), "m500 must lie between .* got 5 .* unit"),
    "temperature": (lambda: cut(beta(3.0), cluster(kt=5000.0)), "kt must lie between 0.2 and 30 keV"),
    "no counts": (lambda: cut(beta(3.0) - 100), "must hold more than 0 counts, got .* 'A1'"),
    "size": (lambda: cut(beta(3.0), size=1 * u.s), "size must be one positive length or angle"),
    "pixels": (lambda: cut(beta(3.0), pixels=4), "pixels at least 8, got 0.05 and 4"),
    "fwhm": (lambda: cut(beta(3.0), fwhm=-1 * u.arcsec), "fwhm must be one positive angle"),
    "instrument": (lambda: cut(beta(3.0), fwhm=None), "fwhm must be given, .* got an image of 'CHANDRA'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    call, message = REFUSED[case]
    with pytest.raises(InputError, match=message):
        call()


def test_the_width_of_epics_point_spread_is_that_of_its_image():
    image = point_spread_image(81, pixel_arcsec=0.5, off_axis_arcmin=0.0)
    width = 0.5 * (image[40] >= image.max() / 2).sum()
    assert width == pytest.approx(PointSpread(0.0).fwhm_arcsec, abs=0.5)
    assert PointSpread(10.0).fwhm_arcsec > PointSpread(0.0).fwhm_arcsec


@pytest.fixture(scope="module")
def observed_clusters(real) -> Sample:
    """A1835 by MOS2, and A907 twice by all cameras, exposure-corrected, point sources filled."""
    folder = real / "xmm" / "a1835_mos2"
    a1835 = read_observation(folder / "mos2_image.fits.gz", folder / "mos2_exposure.fits.gz")
    x, y, radius = np.loadtxt(folder / "point_sources.txt").T
    ra, dec = pixel_to_sky(a1835.wcs, x - 1, y - 1)
    points = QTable({"ra": ra * u.deg, "dec": dec * u.deg, "radius": 4 * radius * u.arcsec})
    place = QTable({"object_id": ["A1835"], "ra": [210.2585], "dec": [2.879], "redshift": [0.253]})
    samples = [cores_sample(a1835, place, points=points)]
    for number in ("0201903501", "0404910601"):
        folder = real / "xmm" / f"a907_{number}"
        files = [
            [folder / f"{camera}_0.5-2.0keV_{kind}.fits.gz" for camera in ("pn", "mos1", "mos2")]
            for kind in ("image", "exposure")
        ]
        a907 = read_observation(*files)
        listed = read_candidates(folder / "xapa_sources.reg", wcs=a907.wcs)
        place = QTable({"object_id": [number], "ra": [149.5917], "dec": [-11.0642], "redshift": [0.153]})
        samples.append(cores_sample(a907, place, points=listed[listed["region_colour"] == "red"]))
    return concatenate(samples)


def test_real_clusters_are_concentrated_and_their_cores_not_resolved(observed_clusters):
    found = morphology(observed_clusters)
    a1835, quiet, flaring = found["concentration"]
    assert a1835 == pytest.approx(0.149, abs=0.01)  # XMM-Newton's point spread takes light out of 40 kpc
    assert quiet == pytest.approx(0.117, abs=0.01)
    assert flaring == pytest.approx(quiet, rel=0.05)  # another pointing, and five times the background
    assert found["cuspiness"] == pytest.approx([0.30, 0.30, 0.30], abs=0.03)
    rows = observed_clusters.catalogue
    assert rows["fwhm"].to_value(u.kpc) == pytest.approx([25.7, 17.3, 17.3], abs=0.1)
    assert rows["core_radius"].to_value(u.kpc) == pytest.approx([12.3, 12.7, 12.7], abs=0.2)
    assert not rows["core_resolved"].any()
    assert (rows["image_pixel"] > rows["core_radius"]).tolist() == [True, False, False]
    assert (rows["counts"] > 2e4).all()
    assert (rows["filled"] < 0.01).all()

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable

from labkit.errors import InputError
from labkit.finder import detect
from labkit.finder.detection import background_map, relative_exposure
from labkit.sources import read_observation
from labkit.sources.candidates import read_regions

PIXEL = 4.35
SIDE = 240
Y, X = np.mgrid[:SIDE, :SIDE].astype(float)
RADIUS = np.hypot(X - 119.5, Y - 119.5)


def camera(seconds=1e4, *, gap=None, rate=2.5e-5):
    """Exposure map and background of one camera with a round field of view and, maybe, a gap."""
    exposure = seconds * (1 - 0.004 * RADIUS) * (RADIUS < 110)
    if gap:
        exposure[:, gap[0] : gap[1]] = 0
    return exposure, 0.5 * rate * (exposure + seconds * (exposure > 0))


def beta_model(x, y, counts, core_arcsec):
    core = np.hypot(core_arcsec, 6.0) / PIXEL
    shape = (1 + ((X - x) ** 2 + (Y - y) ** 2) / core**2) ** -1.5
    return counts * shape / (2 * np.pi * core**2)


def observe(sources, *, seed=0, **options):
    """Counts and exposure with sources x, y, counts, core (arcsec)."""
    exposure, background = camera(**options)
    share = exposure / 1e4
    mean = background + share * sum((beta_model(*source) for source in sources), np.zeros(X.shape))
    return np.random.default_rng(seed).poisson(mean).astype(float), exposure


def nearest(candidates: QTable, x: float, y: float) -> tuple[int, float]:
    apart = np.hypot(candidates["x"] - x, candidates["y"] - y)
    return int(apart.argmin()), float(apart.min())


def test_points_and_a_cluster_are_found_where_they_are():
    sources = [(60, 80, 150, 0), (170, 60, 80, 0), (100, 180, 300, 0), (150, 150, 1500, 40)]
    counts, exposure = observe(sources)
    candidates = detect(counts, exposure, pixel_arcsec=PIXEL).candidates
    assert len(candidates) <= 10
    assert (np.diff(candidates["counts"]) <= 0).all()
    assert set(candidates.colnames) == {
        "x", "y", "counts", "peak", "a", "b", "theta", "size", "contrast", "blended", "near_gap", "near_edge",
    }  # fmt: skip
    for x, y, true_counts, core in sources:
        row, apart = nearest(candidates, x, y)
        assert apart < (3 if core else 1.2)
        share = 1 - 0.004 * np.hypot(x - 119.5, y - 119.5)  # vignetting
        assert candidates["counts"][row] == pytest.approx(share * true_counts, rel=0.4)
    assert candidates["size"][0] > 3 * candidates["size"][1]


def test_background_alone_gives_few_candidates_and_gaps_none():
    numbers, gaps = [], []
    for seed in range(6):
        counts, exposure = observe([], seed=seed, gap=(118, 121))
        candidates = detect(counts, exposure, pixel_arcsec=PIXEL).candidates
        numbers.append(len(candidates))
        gaps.append(int((np.abs(candidates["x"] - 119) < 4).sum()))
    assert np.mean(numbers) < 6
    assert sum(gaps) <= 3


def test_cameras_apart_know_the_background_at_their_gaps():
    cameras = [camera(6e3, gap=(90, 94), rate=8e-5), camera(1e4, gap=(150, 153)), camera(1.1e4)]
    exposure, background = (np.array(images) for images in zip(*cameras, strict=True))
    counts = np.random.default_rng(1).poisson(background).astype(float)
    found = background_map(counts, exposure)
    truth = background.sum(axis=0)
    inside = RADIUS < 105
    assert np.abs(found.image[inside] / truth[inside] - 1).mean() < 0.03
    for left, right in ((90, 94), (150, 153)):
        gap = inside & (left <= X) & (right > X)
        assert found.image[gap].sum() == pytest.approx(truth[gap].sum(), rel=0.04)
    assert len(detect(counts, exposure, pixel_arcsec=PIXEL).candidates) < 8


def test_background_is_that_beside_the_sources():
    sources = [(120, 120, 2000, 20), (60, 60, 1000, 0), (190, 120, 500, 0)]
    counts, exposure = observe(sources)
    truth = camera()[1]
    detection = detect(counts, exposure, pixel_arcsec=PIXEL)
    far = (RADIUS > 75) & (RADIUS < 108)
    assert detection.background.image[far].sum() == pytest.approx(truth[far].sum(), rel=0.08)
    assert detection.background.image[RADIUS > 111].max() == 0
    assert nearest(detection.candidates, 120, 120)[1] < 3


def test_relative_exposure_sees_gaps_but_not_vignetting():
    exposure, _ = camera(gap=(100, 103))
    relative = relative_exposure(exposure)
    assert relative[:, 100:103].max() == 0
    assert relative[(RADIUS < 95) & (np.abs(X - 101) > 3)].min() > 0.9
    assert relative[RADIUS > 111].max() == 0


def test_gap_and_edge_are_flagged():
    counts, exposure = observe([(106, 120, 400, 0), (60, 120, 400, 0), (120, 227, 900, 0)], gap=(100, 103))
    candidates = detect(counts, exposure, pixel_arcsec=PIXEL).candidates
    flags = {}
    for name, place in {"gap": (106, 120), "free": (60, 120), "edge": (120, 227)}.items():
        row, apart = nearest(candidates, *place)
        assert apart < 2
        flags[name] = bool(candidates["near_gap"][row]), bool(candidates["near_edge"][row])
    assert flags == {"gap": (True, False), "free": (False, False), "edge": (False, True)}


def test_a_cluster_across_a_gap_of_one_camera_is_one():
    gapped, background = camera(6e3, gap=(99, 103))
    whole, more = camera(4e3)
    exposure = np.stack([gapped, whole])
    source = beta_model(101, 120, 3000, 35) / 1e4
    mean = np.stack([background, more]) + exposure * source
    counts = np.random.default_rng(0).poisson(mean).astype(float)
    candidates = detect(counts, exposure, pixel_arcsec=PIXEL).candidates
    bright = candidates[candidates["counts"] > 0.2 * candidates["counts"].max()]
    assert len(bright) == 1
    assert nearest(bright, 101, 120)[1] < 3


def test_a_point_in_a_cluster_and_a_pair_are_separated():
    counts, exposure = observe(
        [(90, 120, 4000, 45), (104, 128, 300, 0), (180, 120, 300, 0), (187, 120, 300, 0)]
    )
    candidates = detect(counts, exposure, pixel_arcsec=PIXEL).candidates
    for place in ((90, 120), (104, 128), (180, 120), (187, 120)):
        row, apart = nearest(candidates, *place)
        assert apart < 2.5
        assert candidates["blended"][row]
    x, y = np.asarray(candidates["x"]), np.asarray(candidates["y"])
    apart = np.hypot(x[:, None] - x, y[:, None] - y)[np.triu_indices(len(x), 1)]
    assert apart.min() * PIXEL > 8


def test_a_source_that_fills_the_field_outshines_its_fluctuations():
    counts, exposure = observe([(119.5, 119.5, 120000, 300)])
    candidates = detect(counts, exposure, pixel_arcsec=PIXEL).candidates
    assert nearest(candidates[:1], 119.5, 119.5)[1] < 10
    assert candidates["counts"][1:].max() < 0.1 * candidates["counts"][0]


def test_flares_hide_sources_but_make_none():
    counts, exposure = observe([(60, 80, 40, 0), (150, 150, 2000, 30)], rate=1e-3)
    candidates = detect(counts, exposure, pixel_arcsec=PIXEL).candidates
    assert nearest(candidates[:1], 150, 150)[1] < 4
    assert len(candidates) <= 8


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_without_counts_the_table_is_empty(value):
    _, exposure = camera()
    candidates = detect(np.full(X.shape, value), exposure, pixel_arcsec=PIXEL, wcs=None).candidates
    assert len(candidates) == 0
    assert {"x", "y", "counts", "near_gap"} <= set(candidates.colnames)


def test_missing_and_negative_pixels_do_no_harm():
    counts, exposure = observe([(60, 80, 300, 0), (170, 150, 300, 0)])
    damaged = counts - 0.02
    damaged[100:108] = np.nan
    damaged[0, 0] = np.inf
    holes = exposure.copy()
    holes[200:205, 100:105] = np.nan
    candidates = detect(damaged, holes, pixel_arcsec=PIXEL).candidates
    for place in ((60, 80), (170, 150)):
        assert nearest(candidates, *place)[1] < 1.5
    assert np.isfinite(candidates["counts"]).all()


ONES = np.ones((64, 64))


@pytest.mark.parametrize(
    ("counts", "exposure", "options", "message"),
    [
        (ONES, ONES[:9], {}, "counts and exposure must have one shape"),
        (ONES, 0 * ONES, {}, "exposure must be positive somewhere, got no exposed pixel"),
        (np.nan * ONES, ONES, {}, "exposure must be positive somewhere"),
        (ONES, ONES - 2, {}, "exposure must never be negative, got -1"),
        (ONES, ONES, {"pixel_arcsec": 0}, "pixel_arcsec must be positive, got 0"),
        (ONES[:6], ONES[:6], {}, "at least 8 pixels of 4.35 arcsec along each side"),
    ],
)
def test_what_is_no_observation_is_refused(counts, exposure, options, message):
    with pytest.raises(InputError, match=message):
        detect(counts, exposure, **({"pixel_arcsec": PIXEL} | options))


@pytest.mark.parametrize("cameras", [("pn", "mos1", "mos2"), ("epic",)])
def test_listed_sources_around_abell_907_are_candidates(real, cameras):
    missed = found = 0
    for folder in sorted((real / "xmm").glob("a907_*")):
        images = [folder / f"{camera}_0.5-2.0keV_image.fits.gz" for camera in cameras]
        observed = [read_observation(image, str(image).replace("_image", "_exposure")) for image in images]
        wcs = observed[0].wcs
        detection = detect(
            [o.image for o in observed], [o.exposure for o in observed], pixel_arcsec=PIXEL, wcs=wcs
        )
        candidates = detection.candidates
        listed = read_regions(folder / "xapa_sources.reg", wcs)
        positions = SkyCoord(candidates["ra"], candidates["dec"])
        apart = SkyCoord(listed["ra"], listed["dec"]).match_to_catalog_sky(positions)[1]
        missed += int((apart > 12 * u.arcsec).sum())
        found += len(candidates)
        brightest = candidates[0]
        assert np.hypot(brightest["x"] - 256, brightest["y"] - 276) < 5
        assert brightest["size"] > 10
    assert missed <= 3
    assert found < 170

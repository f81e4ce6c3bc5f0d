"""Plates: their emulsion and grain against a real one, and what they show of each kind of candidate."""

import numpy as np
import pytest
import sep
from astropy.io import fits
from scipy.ndimage import median_filter

from labkit.simulate.optical import OpticalScene
from labkit.simulate.painting import Bodies
from labkit.simulate.plates import Plate, develop, draw_plate, expose, plate_cutout, plate_image

KINDS = ("cluster", "nearby galaxy", "star", "agn", "none")

R500 = {0.1: 8.5, 0.8: 1.5}  # arcmin, of 3e14 solar masses


def scene(kind: str = "none", redshift: float = 0.1, **changes) -> OpticalScene:
    cluster = {"redshift": redshift, "m500": 3e14, "r500_arcmin": R500[redshift]}
    return OpticalScene(kind, **((cluster if kind == "cluster" else {}) | changes))


def cutout(seed: int, kind: str, size: int, scale: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return plate_cutout(rng, [scene(kind)], size=size, pixel_scale_arcsec=scale, galactic_latitude_deg=60.0)


def native(seed: int, *scenes: OpticalScene, size: int = 300, **options) -> np.ndarray:
    return plate_image(np.random.default_rng(seed), scenes, shape=(size, size), **options)


def detected(image: np.ndarray) -> np.recarray:
    background = sep.Background(image, bw=64, bh=64)
    return sep.extract(image - background.back(), 2.0, err=background.globalrms, minarea=6)


def grain_statistics(image: np.ndarray) -> tuple[float, np.ndarray, float]:
    """Robust rms, correlation at lags of 1, 2 and 3 pixels, and rms after averaging 4 x 4 pixels."""
    flat = image - median_filter(image, 31)
    rms = 1.4826 * np.median(np.abs(flat))
    flat = np.where(np.abs(flat) < 3 * rms, flat, 0)
    lags = np.array([(flat[:, :-k] * flat[:, k:]).mean() for k in (1, 2, 3)]) / (flat**2).mean()
    ny, nx = (n // 4 for n in flat.shape)
    return rms, lags, flat[: 4 * ny, : 4 * nx].reshape(ny, 4, nx, 4).mean(axis=(1, 3)).std()


def test_the_characteristic_curve_rises_from_fog_to_saturation():
    plate = Plate()
    exposure = np.geomspace(0.01, 1e4, 100)
    counts = plate.density(exposure)
    assert np.all(np.diff(counts) > 0)
    assert plate.fog_counts < counts[0] < plate.fog_counts + 100
    assert plate.saturation_counts - 100 < counts[-1] <= plate.saturation_counts
    assert plate.density(np.ones(1))[0] == pytest.approx(plate.sky_counts)


def test_grain_grows_with_density_and_vanishes_at_saturation():
    plate, rng = Plate(), np.random.default_rng(0)
    rms = [develop(rng, np.full((200, 200), light), plate).std() for light in (0.0, 1.0, 300.0)]
    assert rms[1] > 1.2 * rms[0]
    assert rms[2] < 0.1 * rms[0]


def test_grain_is_that_of_a_real_plate(real):
    with fits.open(real / "dss2" / "horsehead_poss2_red.fits.gz") as hdus:
        plate = hdus[0].data.astype(np.float32)
    sky = plate[150:330, 600:880]  # away from the nebula
    simulated = Plate(sky_counts=float(np.median(sky)))
    made = develop(np.random.default_rng(1), np.zeros(sky.shape), simulated)
    (rms, lags, binned), (rms_real, lags_real, binned_real) = grain_statistics(made), grain_statistics(sky)
    assert rms == pytest.approx(rms_real, rel=0.06)
    np.testing.assert_allclose(lags, lags_real, atol=0.06)
    assert binned == pytest.approx(binned_real, rel=0.1)


def test_stars_have_the_profile_of_a_real_plate(real):
    with fits.open(real / "dss2" / "horsehead_poss2_red.fits.gz") as hdus:
        cut = hdus[0].data[169:232, 246:309].astype(np.float32)  # the brightest star outside the nebula
    y, x = np.indices(cut.shape)
    radius = np.hypot(x - 31, y - 31).astype(int)
    real_profile = np.array([np.median(cut[radius == r]) for r in range(14)])
    plate = Plate(sky_counts=float(np.median(cut[radius > 25])))
    misfits = []
    for magnitude in np.arange(10, 13, 0.1):
        light = expose(Bodies.points([0.0], [0.0], [magnitude]), plate, shape=(63, 63))
        made = plate.density(1 + light)
        profile = np.array([np.median(made[radius == r]) for r in range(14)])
        misfits.append(np.abs(profile - real_profile).max())
    assert min(misfits) < 0.12 * (plate.saturation_counts - plate.sky_counts)


def test_bright_stars_have_spikes_and_halo():
    plate = Plate()
    light = expose(Bodies.points([0.0], [0.0], [7.0]), plate, shape=(301, 301))
    along, diagonal = light[150, 150 + 60], light[150 + 42, 150 + 42]  # both at 60"
    assert along > 3 * diagonal > 0.01
    fainter = expose(Bodies.points([0.0], [0.0], [14.5]), plate, shape=(301, 301))
    assert fainter[150, 150 + 60] == 0


@pytest.mark.parametrize("magnitude", [8.0, 10.0, 12.0])
def test_halos_end_without_an_edge(magnitude):
    light = expose(Bodies.points([0.0], [0.0], [magnitude]), Plate(), shape=(401, 401))
    diagonal = np.diagonal(light)[200:].astype(float)  # between the spikes
    last = int(np.flatnonzero(diagonal)[-1])
    assert 10 < last < 199
    assert diagonal[last] < 1e-3
    assert np.diff(diagonal[last - 3 :]).min() > -2e-3


def test_a_star_at_the_limit_is_barely_seen():
    plate = Plate()
    signal = expose(Bodies.points([0.0], [0.0], [20.8]), plate, shape=(31, 31))
    weights = signal / signal.sum()
    noise = [(develop(np.random.default_rng(s), 0 * signal, plate) * weights).sum() for s in range(200)]
    contrast = ((plate.density(1 + signal) - plate.sky_counts) * weights).sum()
    assert 1.5 < contrast / np.std(noise) < 3


def test_a_near_cluster_shows_many_more_galaxies_than_a_distant_one():
    numbers = {}
    for name, kind, redshift in (("near", "cluster", 0.1), ("far", "cluster", 0.8), ("none", "none", 0.1)):
        numbers[name] = sum(len(detected(native(seed, scene(kind, redshift)))) for seed in range(6))
    assert numbers["near"] > 1.5 * numbers["far"]
    assert numbers["far"] < 1.15 * numbers["none"] + 10


def test_star_density_rises_towards_the_galactic_plane():
    plane, pole = (native(5, galactic_latitude_deg=b) for b in (8.0, 85.0))
    assert (plane > 15000).sum() > 3 * (pole > 15000).sum()


@pytest.mark.parametrize("kind", KINDS)
def test_the_plate_and_its_field_do_not_know_the_object(kind):
    blank = native(11)
    image = native(11, scene(kind, centre=(400.0, 400.0), **({"magnitude": 19.0} if kind != "none" else {})))
    if kind == "cluster":
        assert np.median(image) == pytest.approx(np.median(blank), rel=0.005)
    else:
        np.testing.assert_allclose(image[:250, :250], blank[:250, :250], atol=1)


def test_plates_differ_from_one_another_but_hold_their_limits():
    plates = [draw_plate(np.random.default_rng(seed)) for seed in range(200)]
    skies = np.array([plate.sky_counts for plate in plates])
    assert 800 < skies.std() < 2000
    assert all(2 <= plate.seeing_arcsec <= 3.3 for plate in plates)
    assert abs(np.corrcoef(skies, [plate.seeing_arcsec for plate in plates])[0, 1]) < 0.2


@pytest.mark.parametrize("kind", KINDS)
def test_cutouts_are_reproducible_at_any_pixel_scale(kind):
    for size, scale in ((40, 1.0), (30, 2.36)):
        first, again, other = (cutout(seed, kind, size, scale) for seed in (2, 2, 3))
        assert (first.shape, first.dtype) == ((size, size), np.float32)
        assert np.isfinite(first).all()
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)


def test_cutouts_of_coarser_pixels_are_the_same_sky():
    fine, coarse = (cutout(8, "star", n, s) for n, s in ((120, 1), (60, 2)))
    np.testing.assert_allclose(fine.reshape(60, 2, 60, 2).mean(axis=(1, 3)), coarse, rtol=1e-4)


def test_counterparts_stand_at_their_place():
    for kind, magnitude in (("star", 9.0), ("agn", 15.0), ("nearby galaxy", 12.0)):
        image = native(21, scene(kind, centre=(60.0, -40.0), magnitude=magnitude)) - native(21)
        y, x = np.unravel_index(np.argmax(median_filter(image, 5)), image.shape)
        assert np.hypot(x - 149.5 - 60, y - 149.5 + 40) < 15


def test_position_angle_runs_from_north_through_east():
    shape = {"magnitude": 11.0, "size_arcsec": 20.0, "axis_ratio": 0.3, "position_angle_deg": 45.0}
    image = native(2, scene("nearby galaxy", **shape)) - native(2)
    y, x = np.indices(image.shape) - 149.5
    assert (image * x * y).sum() < 0  # from upper left (north-east) to lower right

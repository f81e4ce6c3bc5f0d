"""Counts of a source and of a whole field, and what the circumstances change; against real observations."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from labkit.instruments.epic import CAMERAS, MOS1, PN
from labkit.simulate.xmm import (
    Grid,
    Pointing,
    Spurious,
    count_images,
    draw_photons,
    draw_pointing,
    spurious_counts,
)
from labkit.simulate.xray import Component

#: Measured on archival images of Abell 907: 0.5-2 keV, 4.35 arcsec pixels.
BACKGROUND = {"pn": (4.4e-3, 2.5e-2), "mos1": (1.9e-3, 5e-3), "mos2": (1.9e-3, 4.5e-3)}
ROOT = "xmm/a907_0201903501"


FIELD = Grid(0.0, 0.0, 512, 4.35 / 60)
NO_COLUMNS = {camera.name: np.empty((0, 4)) for camera in CAMERAS}
RNG = np.random.default_rng


@pytest.fixture(scope="module")
def quiet() -> Pointing:
    """Circumstances like those of the quiet observation of Abell 907."""
    circumstances = {"position_angle_deg": 299.598, "background": 1.0, "flare": 0.0, "dead_chips": ()}
    seconds = {"pn": 6400.0, "mos1": 9467.0, "mos2": 9693.0}
    return replace(draw_pointing(RNG(0)), exposure_s=seconds, out_of_time_subtracted=False, **circumstances)


def exposure_map(pointing: Pointing, camera) -> np.ndarray:
    return pointing.exposure(camera, *pointing.to_detector(*FIELD.positions()))


def test_a_dead_chip_and_a_bad_column_record_nothing(quiet):
    u, v = np.array([1.0]), np.array([-8.0])
    whole = replace(quiet, bad_columns=NO_COLUMNS)
    dead = replace(whole, dead_chips=(2,))
    bad = replace(whole, bad_columns=NO_COLUMNS | {"mos1": np.array([[0.9, 1.1, -9.0, -7.0]])})
    assert whole.exposure(MOS1, u, v) > 0
    assert dead.exposure(MOS1, u, v) == 0 == bad.exposure(MOS1, u, v)


@given(st.floats(-15, 15), st.floats(-15, 15), st.floats(0, 360))
def test_detector_and_image_coordinates_are_inverse(x, y, angle):
    pointing = replace(draw_pointing(RNG(5)), position_angle_deg=angle)
    assert pointing.to_image(*pointing.to_detector(x, y)) == pytest.approx((x, y), abs=1e-9)


@pytest.mark.parametrize(("flare", "which"), [(0.0, 0), (1.06e-2, 1)])
def test_background_per_exposure_is_as_measured(quiet, flare, which):
    pointing = replace(quiet, flare=flare)
    images = count_images(RNG(6), [], pointing, FIELD)
    for camera in CAMERAS:
        exposure = exposure_map(pointing, camera)
        x, y = FIELD.positions()
        seen = (exposure > 0) & (np.hypot(x - 1, y - 1) > 8)
        rate = images[camera.name][seen].sum() / exposure[seen].sum() / FIELD.pixel_arcmin**2
        assert rate == pytest.approx(BACKGROUND[camera.name][which], rel=0.15)


def test_flares_differ_from_chip_to_chip(quiet):
    pointing = replace(quiet, flare=9e-3, bad_columns=NO_COLUMNS)
    even = {name: np.ones_like(level) for name, level in pointing.flare_on_chip.items()}
    high = even | {"mos1": np.where(np.arange(7) == 3, 1.5, 1.0)}
    x, y = FIELD.positions()
    chip = MOS1.chip_of(*pointing.to_detector(x, y))
    images = [
        count_images(RNG(6), [], replace(pointing, flare_on_chip=level), FIELD) for level in (even, high)
    ]
    ratio = [images[1]["mos1"][chip == n].sum() / images[0]["mos1"][chip == n].sum() for n in range(7)]
    assert ratio[3] == pytest.approx(1 + 0.5 * 0.6, abs=0.1)  # about 60 % of that background are flares
    assert np.delete(ratio, 3) == pytest.approx(1, abs=0.08)
    drawn = np.concatenate([draw_pointing(RNG(n)).flare_on_chip["pn"] for n in range(40)])
    assert np.std(drawn) == pytest.approx(0.055, rel=0.15)


@pytest.mark.parametrize(("camera", "least", "most"), [(PN, 0.04, 0.065), (MOS1, 0.02, 0.045)])
def test_bad_columns_take_the_area_that_they_take_in_real_maps(camera, least, most):
    u, v = (axis.ravel() for axis in np.meshgrid(*[np.linspace(-13, 13, 500)] * 2))
    on_chip = camera.chip_of(u, v) >= 0
    lost = []
    for n in range(6):
        pointing = replace(draw_pointing(RNG(n)), dead_chips=())
        lost.append(1 - (pointing.chip_of(camera, u, v) >= 0)[on_chip].mean())
    assert least < np.mean(lost) < most


def test_counts_of_a_source_follow_flux_exposure_and_vignetting(quiet):
    u, v = np.array([-3.0]), np.array([4.0])
    x, y = (float(p[0]) for p in quiet.to_image(u, v))
    dark = replace(quiet, background=0.0, bad_columns=NO_COLUMNS)
    images = count_images(RNG(7), [Component(x, y, 5e-12, core=0.3, limit=3)], dark, FIELD)
    expected = 5e-12 * dark.counts_per_flux(u, v)[0]
    assert sum(image.sum() for image in images.values()) == pytest.approx(expected, rel=0.08)


def test_bright_points_pile_up_and_extended_sources_do_not(quiet):
    dark, grid = replace(quiet, background=0.0), Grid(2.0, 1.5, 60, 0.05)
    point, extended = (
        count_images(RNG(8), [Component(2.0, 1.5, 2e-11, core=core)], dark, grid)["mos1"].sum()
        for core in (0.0, 0.1)
    )
    assert point < 0.8 * extended


def test_out_of_time_events_make_a_streak_along_the_column_and_subtraction_removes_it(quiet):
    pointing = replace(quiet, background=0.0, position_angle_deg=270.0, out_of_time=0.063)
    source = [Component(1.5, -2.0, 2e-11)]
    streak = count_images(RNG(9), source, pointing, FIELD)["pn"]
    away = np.abs(FIELD.positions()[1] + 7.5) < 2
    assert streak[away].sum() > 500
    assert streak[away & (np.abs(FIELD.positions()[0] - 1.5) < 0.6)].sum() > 0.6 * streak[away].sum()
    subtracted = replace(pointing, out_of_time_subtracted=True)
    clean = count_images(RNG(9), source, subtracted, FIELD)["pn"]
    assert abs(clean[away].sum()) < 0.5 * streak[away].sum()
    assert (clean < 0).any()


def test_spurious_counts_appear_in_their_camera_only(quiet):
    dark = replace(quiet, background=0.0, bad_columns=NO_COLUMNS)
    x, y = (np.full(40, p) for p in dark.to_image(1.0, 3.0))
    images = count_images(RNG(10), [], dark, FIELD, spurious=[Spurious("mos2", x, y)])
    assert {name: image.sum() for name, image in images.items()} == {"pn": 0, "mos1": 0, "mos2": 40}


@given(st.floats(0.05, 2), st.floats(0.4, 1))
def test_profile_photons_are_centred_and_bounded(core, ratio):
    component = Component(1.0, -2.0, 1e-13, core=core, axis_ratio=ratio, angle_deg=30.0, limit=5)
    x, y = draw_photons(RNG(11), component, 4000)
    assert np.hypot(x - 1, y + 2).max() < 5.001 * core / np.sqrt(ratio)
    assert np.median(x) == pytest.approx(1, abs=0.15 * core / np.sqrt(ratio))


def test_half_of_a_beta_model_lies_within_its_half_light_radius():
    x, y = draw_photons(RNG(12), Component(0, 0, 1, core=1.0, limit=1e4), 100_000)
    assert (np.hypot(x, y) < np.sqrt(3)).mean() == pytest.approx(0.5, abs=0.01)


def test_geometry_matches_the_real_exposure_maps(quiet, real):
    for camera in CAMERAS:
        truth = fits.getdata(real / ROOT / f"{camera.name}_0.5-2.0keV_exposure.fits.gz").astype(float)
        ours = exposure_map(quiet, camera)
        seen, covered = truth > 0.12 * truth.max(), ours > 0
        assert (seen == covered)[seen | covered].mean() > 0.93  # bad columns lie elsewhere
        ratio = (ours / np.maximum(truth, 1))[seen & covered]
        assert np.median(ratio) == pytest.approx(1, abs=0.08)
        assert 0.85 < np.percentile(ratio, 10) < np.percentile(ratio, 90) < 1.2


def test_counts_per_pixel_are_distributed_as_in_the_real_field(quiet, real):
    images = count_images(RNG(13), [], quiet, FIELD)
    x, y = FIELD.positions()
    for camera in CAMERAS:
        folder = real / ROOT
        truth = fits.getdata(folder / f"{camera.name}_0.5-2.0keV_image.fits.gz")
        exposure = fits.getdata(folder / f"{camera.name}_0.5-2.0keV_exposure.fits.gz")
        covered = (exposure > 0.12 * exposure.max()) & (exposure_map(quiet, camera) > 0)
        empty = covered & (np.hypot(x, y - 1.3) > 8)
        for counts, tolerance in ((0, 0.01), (1, 0.15)):
            share = [(image[empty] == counts).mean() for image in (truth, images[camera.name])]
            assert share[1] == pytest.approx(share[0], rel=tolerance)


@pytest.mark.parametrize("kind", ["column", "pixel", "arc", "chip"])
def test_artefacts_fall_on_the_candidate(kind):
    pointing = draw_pointing(RNG(1))
    place = pointing.to_image(4.0, 0.5)
    for seed in range(10):
        drawn = spurious_counts(RNG(seed), pointing, kind=kind, x=place[0], y=place[1], counts=60)
        assert (np.hypot(drawn.x - place[0], drawn.y - place[1]) < 1.5).sum() > 5

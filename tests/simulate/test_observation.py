"""The whole observation: truth, world coordinates, and files as an observer reads them."""

from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import QTable
from astropy.wcs import WCS
from scipy.ndimage import gaussian_filter

from labkit.simulate.observation import SimulatedObservation, field_files, simulate_observation
from labkit.sources.xmm import read_observation

CAMERAS = ("pn", "mos1", "mos2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Files of one observation."""
    return tmp_path_factory.mktemp("observation") / "field"


@pytest.fixture(scope="module")
def observation(folder) -> SimulatedObservation:
    """One observation of 512 px, written to `folder`."""
    made = simulate_observation(1, path=folder)
    assert made.images["epic"].shape == (512, 512)
    return made


def test_the_sum_is_that_of_the_cameras(observation):
    assert np.array_equal(observation.images["epic"], sum(observation.images[name] for name in CAMERAS))
    lit = observation.images["mos1"] > 0
    assert (observation.exposures["mos1"][lit] > 0).mean() > 0.999


def test_files_tell_place_unit_and_exposure(observation, folder):
    truth = QTable.read(folder / "truth.ecsv")
    assert truth["kind"][0] == "target cluster"
    assert len(truth) > 100
    assert truth["flux"].unit == u.erg / u.s / u.cm**2
    for camera in (*CAMERAS, "epic"):
        image, header = fits.getdata(folder / f"{camera}_image.fits", header=True)
        exposure = fits.getheader(folder / f"{camera}_exposure.fits")
        assert (header["BUNIT"], exposure["BUNIT"]) == ("counts", "s")
        assert np.array_equal(image, observation.images[camera])
        assert WCS(header).proj_plane_pixel_scales()[0].to_value(u.arcsec) == pytest.approx(4.35)
        x, y = WCS(header).wcs_world2pix(truth["ra"].value, truth["dec"].value, 0)
        np.testing.assert_allclose((x, y), (truth["x"], truth["y"]), atol=0.01)
        if camera in CAMERAS:
            assert header["EXPOSURE"] == observation.pointing.exposure_s[camera]
            assert observation.exposures[camera].max() <= header["EXPOSURE"]


def test_the_reader_of_real_observations_reads_it(observation, folder):
    read = read_observation(
        [folder / f"{name}_image.fits" for name in CAMERAS],
        [folder / f"{name}_exposure.fits" for name in CAMERAS],
    )
    np.testing.assert_allclose(read.image, observation.images["epic"], atol=1e-5)
    np.testing.assert_allclose(read.exposure, observation.exposures["epic"], rtol=1e-5)
    aim = SkyCoord(observation.pointing.ra_deg, observation.pointing.dec_deg, unit="deg")
    assert read.pointing.separation(aim) < 0.1 * u.arcsec
    assert read.wcs.pixel_to_world(255.5, 255.5).separation(aim) < 0.1 * u.arcsec
    assert read.wcs.pixel_to_world(300, 255).ra < read.wcs.pixel_to_world(255, 255).ra


def test_bright_sources_shine_where_the_truth_puts_them(observation, folder):
    truth = observation.truth
    read = read_observation(folder / "epic_image.fits", folder / "epic_exposure.fits")
    place = SkyCoord(truth["ra"], truth["dec"])
    counts = np.asarray(truth["counts"])
    bright = np.flatnonzero((counts > 30) & (truth["kind"] == "AGN"))
    smooth = gaussian_filter(read.image, 1.0)
    distances = []
    for row in bright:
        near = (place.separation(place[row]) < 60 * u.arcsec) & (counts > 0.3 * counts[row])
        x, y = (int(np.rint(axis)) for axis in read.wcs.world_to_pixel(place[row]))
        if near.sum() == 1:
            cut = smooth[y - 6 : y + 7, x - 6 : x + 7]
            row_, column = np.unravel_index(np.argmax(cut), cut.shape)
            distances.append(4.35 * np.hypot(row_ - 6, column - 6))
    assert len(distances) >= 5
    assert np.median(distances) <= 4.35
    assert max(distances) < 15
    x, y = (int(np.rint(truth[axis][0])) for axis in "xy")
    target = read.image[y - 20 : y + 21, x - 20 : x + 21]
    assert target.mean() > 3 * read.image[read.exposed].mean()


def test_an_observation_is_reproducible():
    one, two = (simulate_observation(4, size_px=128, pixel_scale_arcsec=17.4) for _ in range(2))
    assert np.array_equal(one.images["epic"], two.images["epic"])
    assert one.exposures["mos1"].max() == pytest.approx(one.pointing.exposure_s["mos1"], rel=0.03)


def test_field_files_hold_what_an_observer_has(tmp_path):
    images, exposures, candidates = field_files(tmp_path / "f", 4)
    assert [name.rsplit("/", 1)[1] for name in images] == [f"{c}_image.fits" for c in ("pn", "mos1", "mos2")]
    assert len(exposures) == 3
    listed = QTable.read(candidates)
    assert listed.colnames == ["ra", "dec"]
    assert 3 <= len(listed) < 200
    assert np.isfinite(listed["ra"]).all()

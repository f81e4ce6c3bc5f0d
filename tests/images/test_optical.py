"""Five numbers of an optical cut-out."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table

from labkit.errors import InputError
from labkit.images.optical import OPTICAL, optical_numbers
from labkit.sample import Sample

SCALE, SIDE = 2.36, 179


def sample(*images, **about) -> Sample:
    n = len(images)
    catalogue = Table({"object_id": [str(k) for k in range(n)], "label": [""] * n})
    catalogue["ra"], catalogue["dec"] = np.zeros(n) * u.deg, np.zeros(n) * u.deg
    pixels = np.stack(images)[:, None].astype(np.float32)
    return Sample(pixels, catalogue, bands=("optical",), pixel_scale=SCALE * u.arcsec, **about)


def sky(*sources, seed=1, level=1.0, noise=0.1):
    """Round sources (x, y in arcsec from the middle, width in arcsec, peak in units of the noise)."""
    image = np.random.default_rng(seed).normal(0, 1, (SIDE, SIDE))
    y, x = SCALE * (np.indices(image.shape) - (SIDE - 1) / 2)
    for x0, y0, width, peak in sources:
        image += peak * np.exp(-0.5 * ((x - x0) ** 2 + (y - y0) ** 2) / width**2)
    return level + noise * image


def test_numbers_are_of_the_sky_of_each_cut_out():
    found = optical_numbers(sample(sky((3, -4, 8, 40)), sky((3, -4, 8, 40), level=50, noise=3.0)))
    assert found.colnames == ["object_id", *OPTICAL]
    for name in OPTICAL:
        assert found[name][0] == pytest.approx(found[name][1], rel=0.02), name


def test_light_is_measured_about_the_brightest_place_near_the_middle():
    found = optical_numbers(sample(sky((5, 6, 8, 40)), sky((5, 60, 8, 40)), sky()))
    width = 8.0
    means = [40 * 2 * width**2 / r**2 * (1 - np.exp(-(r**2) / (2 * width**2))) for r in (10, 30)]
    assert found["light_10"][0] == pytest.approx(means[0], rel=0.05)
    assert found["light_30"][0] == pytest.approx(means[1], rel=0.05)
    assert found["central_brightness"][0] == pytest.approx(40 * 64 / 68, rel=0.05)
    for name in ("light_10", "light_30"):
        assert np.abs(found[name][1:]).max() < 0.5


def test_asymmetry_and_neighbours_tell_a_round_galaxy_from_a_group():
    group = [(20 * np.cos(a), 20 * np.sin(a), 3, 25) for a in (0.3, 1.1, 2.0, 3.9)]
    spread = [(150 * np.cos(a), 150 * np.sin(a), 3, 25) for a in (0.3, 1.1, 2.0, 3.9)]
    found = optical_numbers(
        sample(sky((0, 0, 8, 60)), sky((0, 0, 3, 60), *group), sky((0, 0, 3, 60), *spread))
    )
    assert found["asymmetry"][0] < 0.2 < found["asymmetry"][1]
    assert found["neighbours"][1] == pytest.approx(5, abs=0.5)
    assert found["neighbours"][2] < 1


def test_a_blank_plate_has_no_numbers_and_grey_levels_are_refused():
    found = optical_numbers(sample(np.ones((SIDE, SIDE)), sky()))
    assert np.isnan(found["light_10"][0])
    assert np.isfinite([found[name][1] for name in OPTICAL]).all()
    with pytest.raises(InputError, match="must hold raw images at least 180 arcsec wide"):
        optical_numbers(sample(sky(), provenance={"normalisation": {"method": "xamin"}}))

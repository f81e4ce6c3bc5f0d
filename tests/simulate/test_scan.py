"""The second telescope: what a scan does to the sky, and what it leaves as it is."""

import numpy as np
import pytest

from labkit.errors import InputError
from labkit.simulate import KOSIBA_TABLE_2, simulate_survey, survey_at
from labkit.simulate.scan import EROSITA, scan_image
from labkit.simulate.xmm import Grid, Spurious, draw_pointing
from labkit.simulate.xray import Component


@pytest.fixture
def pointing():
    return draw_pointing(np.random.default_rng(2))


def test_half_of_a_point_falls_within_the_half_energy_radius_and_none_is_lost(pointing):
    wanted = 200_000
    flux = wanted * EROSITA["count_rate_to_flux"] / EROSITA["effective_area"] / pointing.exposure_s["mos1"]
    wide = Grid(0.0, 0.0, size=601, pixel_arcmin=1 / 60)
    empty, point = (
        scan_image(np.random.default_rng(1), sky, pointing, wide)
        for sky in ([Component(0.0, 0.0, 0.0)], [Component(0.0, 0.0, flux)])
    )
    distance = np.hypot(*wide.positions())
    half = EROSITA["half_energy_arcsec"] / 60
    core = half / np.sqrt(2 ** (1 / 0.55) - 1)
    for radius, share in ((half, 0.5), (5.0, 1 - (1 + (5.0 / core) ** 2) ** -0.55)):
        inside = distance < radius
        counted = point[inside].sum() - inside.mean() * empty.sum()
        assert counted / wanted == pytest.approx(share, abs=0.005)


def test_background_is_flat_and_flaws_are_taken_over(pointing):
    grid = Grid(1.0, -2.0, size=100, pixel_arcmin=0.1)
    flaw = Spurious("pn", np.full(500, 1.05), np.full(500, -1.95))
    seen = scan_image(np.random.default_rng(3), [Component(40.0, 0.0, 0.0)], pointing, grid, spurious=[flaw])
    assert seen[50, 50] > 490
    seen[50, 50] = 0
    rate = (EROSITA["sky"] + EROSITA["particle"]) * pointing.background
    assert seen.sum() == pytest.approx(rate * pointing.exposure_s["mos1"] * 100, rel=0.05)
    left, right = seen[:, :50].sum(), seen[:, 50:].sum()
    assert abs(left - right) < 5 * np.sqrt(seen.sum())


def test_another_telescope_sees_the_same_candidates_and_says_so(tmp_path):
    xmm, scan = (
        simulate_survey(4, n_objects=6, size_px=24, telescope=name) for name in ("XMM-Newton", "eROSITA")
    )
    for name in ("true_class", "split", "ra", "flux", "exposure"):
        assert np.array_equal(xmm.catalogue[name], scan.catalogue[name], equal_nan=name == "flux")
    assert not np.array_equal(xmm.band("xray"), scan.band("xray"))
    assert np.isnan(scan.catalogue["off_axis"]).all()
    assert "eROSITA" in scan.provenance["source"]
    options = {"counts": KOSIBA_TABLE_2.scaled(6), "size_px": 24}
    first = survey_at(tmp_path / "s", 4, **options, telescope="eROSITA").content_hash
    assert survey_at(tmp_path / "s", 4, **options).content_hash != first
    with pytest.raises(
        InputError, match=r"telescope must be one of \('XMM-Newton', 'eROSITA'\), got 'Chandra'"
    ):
        simulate_survey(1, n_objects=2, telescope="Chandra")

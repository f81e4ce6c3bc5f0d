"""Clusters to inject: their counts are those that a simulated telescope records; bad grids are refused."""

from dataclasses import replace

import numpy as np
import pytest

from labkit.errors import InputError
from labkit.instruments import PointSpread, Templates
from labkit.instruments.epic import CAMERAS, COUNT_RATE_TO_FLUX, MOS2, vignetting
from labkit.simulate.injection import cluster_grid, cluster_population, components_of, injected_counts
from labkit.simulate.xmm import Grid, count_images, draw_pointing, exposure_map
from labkit.simulate.xray import Component

PIXEL = 4.35 / 60  # arcmin


def test_counts_are_flux_times_exposure_through_point_spread_and_vignetting():
    """Within Poisson errors, in all and within radii, with half of the cluster on a gap."""
    size, axis = 121, (30.0, 60.0)
    y, x = np.indices((size, size))
    exposure = 2e4 * vignetting(np.hypot(x - axis[0], y - axis[1]) * PIXEL) * (x > 55)
    rate, extent = 1e11, 20.0
    cluster = Component(60 * PIXEL, 60 * PIXEL, 5e-11, core=extent / 60)
    options = {"counts_per_flux": rate, "pixel_arcmin": PIXEL, "axis": (axis[0] * PIXEL, axis[1] * PIXEL)}
    counts = injected_counts(np.random.default_rng(0), [cluster], MOS2, exposure, **options)
    spread = PointSpread(30 * PIXEL, radial_deg=0.0)
    templates = Templates((size, size), pixel_arcsec=60 * PIXEL, spread=spread, padding=3)
    within_limit = 1 - (1 + cluster.limit**2) ** -0.5  # the template's profile goes on for ever
    expected = cluster.flux * rate * exposure * templates.image(60, 60, extent) / within_limit
    assert counts[:, :56].sum() == 0
    for radius in (5, 10, 25):
        near = np.hypot(x - 60, y - 60) < radius
        assert counts[near].sum() == pytest.approx(
            expected[near].sum(), rel=0.02, abs=4 * np.sqrt(expected[near].sum())
        )
        assert expected[near].sum() > 5000


def test_injected_counts_are_those_that_a_simulated_observation_has():
    """A stretched cluster beside chip gaps: camera by camera, in all and along both axes."""
    rng = np.random.default_rng(2)
    pointing = replace(
        draw_pointing(rng), out_of_time=0.0, out_of_time_subtracted=False, background=1e-9, flare=0
    )
    grid = Grid(2.0, -1.0, 96, PIXEL)
    cluster = Component(2.0, -1.0, 1e-11, core=0.6, axis_ratio=0.5, angle_deg=30)
    seen = count_images(rng, [cluster], pointing, grid)
    middle = (grid.size - 1) / 2 * PIXEL
    for camera in CAMERAS:
        exposure = exposure_map(pointing, camera, grid)
        u, v = camera.axis
        axis = tuple(
            float(at) - centre + middle
            for at, centre in zip(pointing.to_image(u, v), (2.0, -1.0), strict=True)
        )
        counts = injected_counts(
            rng, [replace(cluster, x=middle, y=middle)], camera, exposure,
            counts_per_flux=camera.share / COUNT_RATE_TO_FLUX, pixel_arcmin=PIXEL, axis=axis,
        )  # fmt: skip
        total = float(seen[camera.name].sum())
        assert total > 3000
        assert counts.sum() == pytest.approx(total, abs=5 * np.sqrt(2 * total))
        for along in (0, 1):
            mine, theirs = (
                one.sum(axis=along).reshape(12, 8).sum(axis=1) for one in (counts, seen[camera.name])
            )
            assert ((mine - theirs) ** 2 / np.maximum(mine + theirs, 1)).mean() < 2.5


def test_a_grid_holds_each_combination_and_a_population_its_gas():
    grid = cluster_grid(
        [1e-14, 1e-13], [10, 20, 40], axis_ratio=[0.5, 1.0], each=3, rng=np.random.default_rng(1)
    )
    assert len(grid) == 36
    assert len({tuple(row) for row in grid["flux", "extent", "axis_ratio"].iterrows()}) == 12
    drawn = cluster_population(20, flux_limit=2e-14, rng=np.random.default_rng(1))
    assert (drawn["flux_500"].value >= 2e-14).all()
    for row in drawn:
        plain = {name: float(getattr(row[name], "value", row[name])) for name in row.colnames}
        parts = components_of(plain, 3.0, 4.0)
        assert sum(part.flux for part in parts) == pytest.approx(plain["flux"])
        assert (parts[0].x, parts[0].y, 60 * parts[0].core) == pytest.approx((3.0, 4.0, plain["extent"]))


@pytest.mark.parametrize(
    ("flux", "extent", "ratio", "message"),
    [
        ([1e-14, -1], [10], 1.0, "flux must be positive numbers"),
        ([1e-14], [], 1.0, "extent must be positive numbers, at least one"),
        ([1e-14], [10], 1.2, "axis_ratio must lie in 0 to 1"),
    ],
)
def test_bad_grids_are_refused(flux, extent, ratio, message):
    with pytest.raises(InputError, match=message):
        cluster_grid(flux, extent, axis_ratio=ratio, each=1, rng=np.random.default_rng(0))

"""What a field holds: as dense as on the sky, both sides of a source one, galaxies faint in X-rays."""

from itertools import pairwise

import numpy as np
import pytest

from labkit.simulate.field import SkySource, draw_sources, parts_of
from labkit.simulate.numbers import read_numbers
from labkit.simulate.xmm import draw_pointing
from labkit.simulate.xray import cluster_counts


@pytest.fixture(scope="module")
def drawn() -> dict[bool, list[SkySource]]:
    """Twenty fields as on the sky, and twenty enriched ones."""
    rng = np.random.default_rng(5)
    pointing = draw_pointing(rng)
    return {
        rich: [s for _ in range(20) for s in draw_sources(rng, pointing, enriched=rich)]
        for rich in (False, True)
    }


def test_sources_are_as_dense_as_on_the_sky_and_enriched_ones_say_so(drawn):
    area = 20 * 0.6**2
    expected = area * cluster_counts(1e-14)
    for sources in drawn.values():
        weights = sum(s.weight for s in sources if s.kind == "cluster" and s.flux > 1e-14)
        assert weights == pytest.approx(expected, abs=4 * np.sqrt(expected))
    assert sum(s.kind == "target cluster" for s in drawn[False]) == 20
    assert 4 < sum(s.kind == "target cluster" for s in drawn[True]) < 16
    agn = [sum(s.kind in ("AGN", "star") and s.weight > 0 for s in sources) for sources in drawn.values()]
    assert agn[0] == pytest.approx(agn[1], rel=0.04)


def test_optical_and_x_ray_sides_of_a_source_agree(drawn):
    clusters = [s for s in drawn[True] if s.kind == "cluster"]
    for source in clusters[:20]:
        scene, gas = source.scenes[0], source.components[0]
        assert scene.redshift == source.truth["redshift"]
        assert scene.centre == pytest.approx((60 * gas.x, 60 * gas.y))
    visible = read_numbers("survey")["field"]["visible"]
    points = [s for s in drawn[True] if s.kind in ("AGN", "star")]
    assert all(bool(s.scenes) == (s.flux > visible) for s in points)


def test_pairs_are_10_to_30_arcsec_apart(drawn):
    added = [s for s in drawn[True] if s.kind in ("AGN", "star") and s.weight == 0]
    apart = [60 * np.hypot(*np.subtract(a.place, b.place)) for a, b in pairwise(added)]
    near = [distance for distance in apart if distance < 31]
    assert len(near) > 150
    assert np.mean((np.array(near) > 9.99) & (np.array(near) < 30.01)) > 0.98  # some neighbours are no pairs


def test_nearby_galaxies_are_faint_in_x_rays_for_their_optical_light(drawn):
    galaxies = [s for s in drawn[True] if s.kind == "nearby galaxy"]
    flux = np.array([s.flux for s in galaxies])
    assert (flux >= read_numbers("survey")["field"]["galaxy"]).all()
    for source in galaxies:
        assert sum(part.flux for part in source.components) == pytest.approx(source.flux)
    ratio = np.log10(flux) + 0.4 * np.array([s.scenes[0].magnitude for s in galaxies]) + 5.5  # log(fX / fR)
    assert -3.5 < np.median(ratio) < -1.5
    assert np.mean(ratio < -1) > 0.95  # AGN lie between -1 and 1


def test_every_kind_of_flaw_is_drawn_and_has_counts(drawn):
    _, flaws = parts_of(drawn[True])
    assert len(flaws) == sum(s.kind == "artefact" for s in drawn[True]) > 60
    assert {flaw.camera for flaw in flaws} == {"pn", "mos1", "mos2"}
    assert np.mean([len(flaw.x) > 5 for flaw in flaws]) > 0.95

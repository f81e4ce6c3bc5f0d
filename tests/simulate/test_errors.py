"""What cannot be simulated is refused by name, rule and value, before the work starts."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import QTable

from labkit.errors import InputError, MissingDataError
from labkit.simulate import (
    KOSIBA_HUNT,
    KOSIBA_TABLE_2,
    Crowd,
    Disorder,
    HuntBiases,
    HuntCounts,
    SurveyCounts,
    simulate_hunt,
    simulate_observation,
    simulate_survey,
)
from labkit.simulate.candidates import draw_candidate
from labkit.simulate.clusters import draw_cluster
from labkit.simulate.galaxies import apparent_magnitude, cluster_members
from labkit.simulate.hst import simulate_fields, templates
from labkit.simulate.hst.bands import band_names
from labkit.simulate.hst.clusters import pick_clusters
from labkit.simulate.hst.field import simulate_field
from labkit.simulate.hst.galaxies import bodies
from labkit.simulate.nearby import draw_nearby_galaxy
from labkit.simulate.painting import Bodies, render
from labkit.simulate.plates import OpticalScene, Plate, develop, plate_cutout, plate_image
from labkit.simulate.profiles import moffat_mixture, sersic_mixture
from labkit.simulate.volunteers import assign, draw_volunteers, hunt_evidence
from labkit.simulate.xmm import draw_pointing
from labkit.votes import read_tree

RNG = np.random.default_rng(0)
POINT = Bodies.points([0.0], [0.0], [15.0])
GRID = {"shape": (9, 9), "pixel_scale_arcsec": 1.0, "zero_point": 20.0}
CLUSTER = {"redshift": 0.1, "mass": 1e14, "r500_arcsec": 300.0}
SMALL = {"seed": 1, "size_arcsec": 45.0, "scale": 0.08}


def evidence(tree: str = "hunt", *, without: str = "") -> None:
    names = ("true_class", "flux", "exposure", "background", "off_axis", "redshift", "core_radius")
    table = QTable({name: ["edge"] if name == "true_class" else [1.0] for name in names if name != without})
    hunt_evidence(table, read_tree(tree), HuntBiases(), RNG)


CASES = {
    "profiles": [
        (lambda: sersic_mixture(9.0), r"index must be a Sersic index from 0.5 to 6.0 \(or 0 .*got 9"),
        (lambda: sersic_mixture(1.1, fine=True), "index must be a Sersic index .* in steps of 0.25, got 1.1"),
        (lambda: sersic_mixture(7.0, fine=True), "in steps of 0.25, got 7.0"),
        (lambda: moffat_mixture(0.5), "slope must be above 1 .*got 0.5"),
    ],
    "painting": [
        (lambda: Bodies([0, 1], [0, 1, 2], 15, 1, 1, 0, 1), "bodies must have columns of one length.*'x': 2"),
        (lambda: render(POINT, seeing_arcsec=1.0, **GRID), "seeing_arcsec must be at least 1.6 pixels"),
        (lambda: render(POINT, seeing_arcsec=2.0, faintest=0.0, **GRID), "faintest must be a positive"),
    ],
    "sky": [
        (lambda: draw_cluster(RNG, low_z=False, flux_limit=1e-8), "flux_limit must lie between 0 and"),
        (lambda: apparent_magnitude(-20.0, 3.0), "redshift must be between 0.001 and 1.5, got 3"),
        (lambda: cluster_members(RNG, **CLUSTER | {"mass": -1.0}), "mass and r500_arcsec must be positive"),
        (lambda: draw_nearby_galaxy(RNG, size_arcsec=-1.0), "size_arcsec must be a positive half-light"),
        (lambda: draw_nearby_galaxy(RNG, axis_ratio=1.5), r"axis_ratio must be in \(0, 1\], got 1.5"),
    ],
    "plates": [
        (lambda: OpticalScene("quasar"), "kind must be one of cluster, .* got 'quasar'"),
        (
            lambda: OpticalScene("cluster", m500=1e14, r500_arcmin=3.0),
            "redshift must be positive for a cluster",
        ),
        (lambda: OpticalScene("nearby galaxy", axis_ratio=0.0), r"axis_ratio must be in \(0, 1\], got 0"),
        (
            lambda: plate_image(RNG, [], shape=(9, 9), galactic_latitude_deg=100.0),
            "between -90 and 90, got 100",
        ),
        (lambda: plate_image(RNG, [], shape=(0, 5)), r"shape must be two positive numbers \(ny, nx\), got"),
        (
            lambda: plate_cutout(RNG, [], size=0, pixel_scale_arcsec=1.0),
            "size must be at least 1 pixel, got 0",
        ),
        (
            lambda: plate_cutout(RNG, [], size=9, pixel_scale_arcsec=0.0),
            "pixel_scale_arcsec must be positive",
        ),
        (lambda: Plate(sky_counts=500.0), "sky_counts must lie between .* got 500"),
        (lambda: develop(RNG, np.zeros(5), Plate()), r"light must have the axes \(y, x\), got shape \(5,\)"),
    ],
    "survey": [
        (
            lambda: draw_candidate(RNG, "galaxy", draw_pointing(RNG), x=0, y=0),
            "true_class must be one of .*'galaxy'",
        ),
        (lambda: simulate_observation(0, size_px=0), "size_px must be a whole number from 1 up, got 0"),
        (lambda: simulate_observation(-1), "seed must be a whole number from 0 up, got -1"),
        (
            lambda: simulate_observation(1, pixel_scale_arcsec=0.0),
            "pixel_scale_arcsec must be positive, got 0",
        ),
        (lambda: SurveyCounts(train=(-1, 3)), "train must be two numbers"),
        (lambda: SurveyCounts((0, 0), (0, 0), (0, 0)), "at least one object"),
        (lambda: SurveyCounts(low_z=1.2), "low_z must be between 0 and 1"),
        (lambda: SurveyCounts(mix={"artefact": 0.5}), "mix must share 1"),
        (lambda: KOSIBA_TABLE_2.with_test(-4), "test must be two numbers"),
        (lambda: KOSIBA_TABLE_2.scaled(0), "n_objects must be a whole number from 1 up, got 0"),
        (lambda: KOSIBA_TABLE_2.scaled(2.5), "n_objects must be a whole number from 1 up, got 2.5"),
        (lambda: HuntCounts(test=(1, -1)), "test must be 2 numbers from 0 up"),
        (lambda: HuntCounts(overlap=(1, 2)), "overlap must be 3 numbers from 0 up"),
        (lambda: HuntCounts(further=-1), "further must be 0 or more, got -1"),
        (lambda: HuntCounts(cluster_share=1.5), "cluster_share must be between 0 and 1, got 1.5"),
        (lambda: KOSIBA_HUNT.scaled(0), "share must be above 0, got 0"),
        (lambda: simulate_survey(-1, n_objects=2), "seed must be a whole number"),
        (lambda: simulate_survey(0.5, n_objects=2), "seed must be a whole number"),
        (lambda: simulate_survey(0, n_objects=2, size_px=4), "size_px must be a whole number"),
        (lambda: simulate_survey(0, n_objects=2, n_jobs=0), "n_jobs must be a whole number"),
    ],
    "hunt": [
        (lambda: evidence(without="flux"), r"catalogue must have the columns .* got none of \['flux'\]"),
        (lambda: evidence("presence_absence"), "tree must have the answers of the Hunt, got 'presence"),
        (
            lambda: assign(RNG, np.ones(50), objects=4, per_object=51),
            "answers_per_object must lie between 1 and",
        ),
        (lambda: draw_volunteers(RNG, 0, questions=1), "number of volunteers must be 1"),
        (lambda: simulate_hunt(QTable(), 0.5, path="out"), "seed must be a whole number .* got 0.5"),
        (
            lambda: simulate_hunt(QTable(), 1, path="out", n_volunteers=0),
            "n_volunteers must be a whole number",
        ),
        (lambda: simulate_hunt(QTable(), 1, path="out"), "survey must have objects in the Hunt, got none"),
        (lambda: Crowd(random=-0.1), "numbers of a crowd must be 0 or more"),
        (lambda: Crowd(skimmers=0.9, random=0.2), "must add up to at most 1"),
        (lambda: Disorder(beta=1.5), "beta must be between 0 and 1, got 1.5"),
    ],
    "hst": [
        (lambda: band_names(["F999"]), "bands must be different names"),
        (lambda: band_names(["F435", "F435"]), "bands must be different names"),
        (lambda: band_names([]), "bands must be different names"),
        (lambda: pick_clusters(["A1835"]), r"clusters must be different names out of .*A383.*\('A1835',\)"),
        (lambda: pick_clusters(["A383", "A383"]), "clusters must be different"),
        (lambda: simulate_field("A383", **SMALL | {"seed": -1}), "seed must be a whole number .* got -1"),
        (lambda: simulate_field("A383", **SMALL | {"seed": 0.5}), "seed must be a whole number .* got 0.5"),
        (lambda: simulate_field("A383", **SMALL | {"size_arcsec": 5.0}), "must be between 20 and 400, got 5"),
        (lambda: simulate_field("A383", bands=["F300"], **SMALL), "bands must be different names"),
        (lambda: simulate_field("A2744", bands=["F775"], **SMALL), "bands must include one of .* for A2744"),
        (lambda: simulate_field("A0", **SMALL), "clusters must be different names"),
        (lambda: simulate_field(["A383"], **SMALL), "cluster must be one short name"),
        (lambda: simulate_fields("out", n_jobs=0, seed=1), "n_jobs must be a whole number from 1 up, got 0"),
        (lambda: simulate_fields("out", n_jobs=2, seed=True), "seed must be a whole number .* got True"),
    ],
}


@pytest.mark.parametrize(("call", "match"), [case for cases in CASES.values() for case in cases])
def test_it_is_refused(call, match):
    with pytest.raises(InputError, match=match):
        call()


def test_folders_that_are_there_are_kept(tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="must not exist"):
        simulate_survey(5, n_objects=2, size_px=32, path=tmp_path / "there")
    with pytest.raises(InputError, match="path must not exist yet"):
        simulate_field("A383", seed=1, bands=["F814"], size_arcsec=20.0, scale=0.0).write(tmp_path / "there")


def test_unknown_columns_and_absent_libraries_are_named(monkeypatch):
    with pytest.raises(TypeError, match=r"no such columns: \['colour'\]"):
        bodies(2, colour=1.0)
    monkeypatch.setattr(templates, "find_spec", lambda name: None)
    with pytest.raises(MissingDataError, match="pip install kcorrect"):
        templates._kcorrect()

"""What cannot be simulated is refused by name, rule and value, before the work starts."""

import numpy as np
import pytest
from astropy.table import QTable

from labkit.errors import InputError, MissingDataError
from labkit.simulate import (
    KOSIBA_HUNT,
    KOSIBA_TABLE_2,
    HuntCounts,
    SurveyCounts,
    simulate_hunt,
    simulate_observation,
    simulate_survey,
)
from labkit.simulate.hst import bands, simulate_fields
from labkit.simulate.hst.clusters import pick_clusters
from labkit.simulate.hst.field import simulate_field
from labkit.simulate.volunteers import assign, hunt_evidence, hunt_numbers
from labkit.simulate.xray import draw_cluster
from labkit.votes import read_tree

RNG = np.random.default_rng(0)
SMALL = {"seed": 1, "size_arcsec": 45.0, "scale": 0.08}


def evidence(tree: str = "hunt", *, without: str = "") -> None:
    names = ("true_class", "flux", "exposure", "background", "off_axis", "redshift", "m500", "core_radius")
    table = QTable({name: ["edge"] if name == "true_class" else [1.0] for name in names if name != without})
    hunt_evidence(table, read_tree(tree), hunt_numbers()["biases"], RNG)


CASES = {
    "survey": [
        (lambda: draw_cluster(RNG, flux_limit=1e-7), "flux_limit must lie between 0 and"),
        (lambda: simulate_observation(0, size_px=0), "size_px must be a whole number from 1 up, got 0"),
        (lambda: simulate_observation(-1), "seed must be a whole number from 0 up, got -1"),
        (lambda: simulate_observation(1, pixel_scale_arcsec=0.0), "pixel_scale_arcsec must be positive"),
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
        (lambda: assign(RNG, np.ones(9), objects=4, per_object=10), "answers_per_object must .* 9, got 10"),
        (lambda: simulate_hunt(QTable(), 0.5, path="out"), "seed must be a whole number .* got 0.5"),
        (lambda: simulate_hunt(QTable(), 1, path="out", n_volunteers=0), "n_volunteers must be a whole"),
        (lambda: simulate_hunt(QTable(), 1, path="out"), "survey must have objects in the Hunt, got none"),
        (lambda: hunt_numbers({"crowd": {"random": -0.1}}), "numbers of a crowd must be 0 or more"),
        (lambda: hunt_numbers({"crowd": {"skimmers": 0.9, "random": 0.2}}), "must add up to at most 1"),
        (lambda: hunt_numbers({"disorder": {"beta": 1.5}}), "beta must be between 0 and 1, got 1.5"),
        (lambda: hunt_numbers({"crowd": {"size": 1}}), r"changes must be numbers of .* got \['size'\]"),
        (lambda: hunt_numbers({"mood": {}}), "changes must be numbers of .* got 'mood'"),
    ],
    "hst": [
        (lambda: bands.band_names(["F999"]), "bands must be different names"),
        (lambda: bands.band_names(["F435", "F435"]), "bands must be different names"),
        (lambda: bands.band_names([]), "bands must be different names"),
        (lambda: pick_clusters(["A1835"]), r"clusters must be different names out of .*A383.*\('A1835',\)"),
        (lambda: pick_clusters(["A383", "A383"]), "clusters must be different"),
        (lambda: simulate_field("A383", **SMALL | {"seed": -1}), "seed must be a whole number .* got -1"),
        (lambda: simulate_field("A383", **SMALL | {"seed": 0.5}), "seed must be a whole number .* got 0.5"),
        (lambda: simulate_field("A383", **SMALL | {"size_arcsec": 5.0}), "must be between 20 and 400, got 5"),
        (lambda: simulate_field("A383", bands=["F300"], **SMALL), "bands must be different names"),
        (lambda: simulate_field("A2744", bands=["F775"], **SMALL), "bands must include one of .* for A2744"),
        (lambda: simulate_field("A0", **SMALL), "clusters must be different names"),
        (lambda: simulate_fields("out", n_jobs=0, seed=1), "n_jobs must be a whole number from 1 up, got 0"),
        (lambda: simulate_fields("out", n_jobs=2, seed=True), "seed must be a whole number .* got True"),
    ],
}


@pytest.mark.parametrize(
    ("call", "match"),
    [pytest.param(*case, id=f"{what}: {case[1]}") for what, cases in CASES.items() for case in cases],
)
def test_it_is_refused(call, match):
    with pytest.raises(InputError, match=match):
        call()


def test_folders_that_are_there_are_kept(tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="must not exist"):
        simulate_survey(5, n_objects=2, size_px=32, path=tmp_path / "there")
    with pytest.raises(InputError, match="path must not exist yet"):
        simulate_field("A383", seed=1, bands=["F814"], size_arcsec=20.0, scale=0.0).write(tmp_path / "there")


def test_an_absent_library_is_named(monkeypatch):
    monkeypatch.setattr(bands, "find_spec", lambda name: None)
    with pytest.raises(MissingDataError, match="pip install kcorrect"):
        bands._kcorrect()

"""The selection function on clusters of a known one, what it refuses, and how it is counted beside it."""

import logging

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table
from scipy.special import expit
from sklearn.metrics import log_loss

from labkit.errors import InputError
from labkit.evaluate import (
    SelectionFunction,
    counted_completeness,
    cross_validate,
    expected_completeness,
    false_candidates,
    fit_selection,
    probability_bins,
    wilson,
)
from labkit.simulate import read_recipe

FLUXES, EXTENTS = np.geomspace(1e-14, 4e-13, 8), np.array([10.0, 20.0, 40.0])


def truth(flux, extent, exposure, distance):
    """Sigmoid of a signal-to-noise that falls with the extent and near other sources."""
    signal = np.log(flux / 5e-14) + 0.5 * np.log(exposure / 2e4) - 0.7 * np.log(extent / 20)
    return expit(2.5 * (signal - 0.4 * np.exp(-distance)))


def injections(seed: int, each: int = 100) -> QTable:
    """Clusters of a grid at random places, fifteen in a copy."""
    rng = np.random.default_rng(seed)
    flux, extent = (np.repeat(one.ravel(), each) for one in np.meshgrid(FLUXES, EXTENTS))
    n = len(flux)
    off_axis = 13 * np.sqrt(rng.random(n))
    exposure, distance = 2.5e4 * np.exp(-((off_axis / 11) ** 2)), rng.uniform(0.1, 3, n)
    p = truth(flux, extent, exposure, distance)
    units = {"flux": u.erg / u.s / u.cm**2, "extent": u.arcsec, "off_axis": u.arcmin, "exposure": u.s}
    columns = {"flux": flux, "extent": extent, "off_axis": off_axis, "exposure": exposure}
    columns |= {"background": 1e-4 * exposure, "distance": distance}
    columns |= {"copy": rng.permutation(n) // 15, "c1": rng.random(n) < p, "probability": p, "true": p}
    return QTable(columns, units=units, meta={"injected": "simulated clusters", "area": 0.2})


@pytest.fixture(scope="module")
def learnt():
    table = injections(1)
    return table, fit_selection(table)


def arguments(table):
    return {
        name: table[name] for name in ("flux", "extent", "off_axis", "exposure", "background", "distance")
    }


def test_it_predicts_clusters_that_it_was_not_fitted_to(learnt):
    _, function = learnt
    others = injections(2)
    p, true, there = function(outside="nan", **arguments(others)), others["true"], others["c1"]
    inside = np.isfinite(p)
    assert inside.mean() > 0.98
    assert np.sqrt(np.mean((p - true)[inside] ** 2)) < 0.05
    best = log_loss(there[inside], true[inside])
    assert best - 0.02 < log_loss(there[inside], p[inside]) < best + 0.02
    bins = probability_bins(p[inside], there[inside], bins=5)
    assert ((bins["p"] > bins["fraction_low"] - 0.03) & (bins["p"] < bins["fraction_high"] + 0.03)).all()


def test_its_own_measure_is_that_of_held_out_copies(learnt):
    table, function = learnt
    held_out = cross_validate(table)
    assert function.about["log_loss"] == pytest.approx(log_loss(held_out["selected"], held_out["p"]))
    assert function.about["log_loss"] == pytest.approx(log_loss(table["c1"], table["true"]), abs=0.02)
    assert function.about["brier"] < 0.6 * function.about["brier_constant"]
    assert (function.about["selected"], function.about["clusters"]) == ("c1", len(table))


def test_counted_and_expected_completeness_agree(learnt):
    table, function = learnt
    counted = counted_completeness(table)
    assert len(counted) == len(FLUXES) * len(EXTENTS)
    first = (table["flux"].value == FLUXES[0]) & (table["extent"].value == 10)
    assert counted["completeness"][0] == table["c1"][first].mean()
    assert counted["completeness_low"][0] == pytest.approx(wilson(table["c1"][first].sum(), 100).low)
    model = expected_completeness(function, table, flux=FLUXES, extent=EXTENTS)
    assert np.array_equal(model["flux"].value, counted["flux"].value)
    error = (counted["completeness_high"] - counted["completeness_low"]) / 4
    assert np.mean(((model["completeness"] - counted["completeness"]) / error) ** 2) < 2
    assert model["area"].to_value(u.deg**2) == pytest.approx(0.2 * model["completeness"])
    in_bins = counted_completeness(table, flux=[1e-14, 1e-13, 1e-12], extent=[5, 60])
    assert in_bins["clusters"].sum() == len(table)
    by_network = counted_completeness(table, selected="probability", threshold=0.5)
    assert (by_network["clusters"] == 100).all()


def test_it_is_kept_in_one_small_file(learnt, tmp_path):
    _, function = learnt
    path = function.save(tmp_path / "selection.json")
    assert path.stat().st_size < 20_000
    again = SelectionFunction.load(path)
    assert again == function
    path.write_text('{"domain": {}}')
    with pytest.raises(InputError, match="must be a saved selection function"):
        SelectionFunction.load(path)


def test_it_does_not_extrapolate_in_silence(learnt, caplog):
    table, function = learnt
    given = arguments(table[:3]) | {"flux": [1e-14, 1e-13, 1e-11]}
    with pytest.raises(InputError, match=r"flux must lie in 1e-14 to 4e-13, .* got 1e-11; inject others"):
        function(**given)
    with caplog.at_level(logging.WARNING):
        assert np.isnan(function(outside="nan", **given)).tolist() == [False, False, True]
    assert "1 of 3 clusters lie outside" in caplog.text
    with pytest.raises(InputError, match="arguments must be flux, extent"):
        function(flux=1e-13)
    with pytest.raises(InputError, match="outside must be one of"):
        function(outside="clip", **given)
    grid = function(**arguments(table[:1]) | {"flux": FLUXES[:, None], "extent": EXTENTS * u.arcsec})
    assert grid.shape == (8, 3)
    assert (np.diff(grid, axis=0) > 0).all()


def test_what_cannot_be_fitted_is_refused():
    table = injections(3, each=2)
    table["c1"] = False
    with pytest.raises(InputError, match="must hold selected and other clusters, got 0 of 48"):
        fit_selection(table)
    with pytest.raises(InputError, match="threshold must be given for a column of probabilities alone"):
        fit_selection(table, selected="probability")
    with pytest.raises(InputError, match="selected must name detected"):
        fit_selection(table, selected="seen")
    with pytest.raises(InputError, match="folds must lie in 2 to the number of copies, 4"):
        fit_selection(table, selected="probability", threshold=0.5)
    with pytest.raises(InputError, match="flux must be edges of bins"):
        counted_completeness(table, flux=[1e-13])
    with pytest.raises(InputError, match="distance"):
        fit_selection(table["flux", "extent", "copy", "c1"])
    table["distance"] = 0 * u.arcmin
    with pytest.raises(InputError, match="must have positive numbers in distance"):
        fit_selection(table, selected="probability", threshold=0.5)


def test_purity_is_that_of_the_sky():
    kinds = ["low-z cluster", "high-z cluster", "double source", "artefact"]
    columns = {"seen_as": kinds, "weight": [0.5, 0.5, 1.0, 2.0], "c1": [True, True, True, False]}
    found = Table(columns, meta={"fields": 2})
    table = false_candidates(found)
    assert dict(table["seen_as", "per_field"].iterrows()) == {
        "double source": 0.5, "low-z cluster": 0.25, "high-z cluster": 0.25,
    }  # fmt: skip
    assert table.meta["purity"] == 0.5
    assert false_candidates(found, selected="").meta["purity"] == 0.25
    shipped = false_candidates(read_recipe())
    assert shipped["share"].sum() == pytest.approx(1)
    assert 0.5 < shipped.meta["purity_low"] < shipped.meta["purity"] < shipped.meta["purity_high"] <= 1
    with pytest.raises(InputError, match="selected candidates"):
        false_candidates(found[:0])

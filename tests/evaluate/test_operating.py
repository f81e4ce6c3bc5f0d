"""Class mixes and thresholds of simulated lists, against the truth that they do not look at."""

import numpy as np
import pytest
from astropy.table import Table
from scipy.special import expit

from labkit.errors import InputError
from labkit.evaluate import estimate_prevalence, fit_calibration, operating_point, rank
from labkit.evaluate.operating import POINT, fitted_shares, shift_shares


@pytest.fixture(scope="module")
def listed(made):
    """A maker of lists with a share of clusters: two normal scores, told too surely and with a shift."""

    def listed(seed, share, n=1000):
        rng = np.random.default_rng(seed)
        there = rng.random(n) < share
        x = rng.normal(np.where(there, 2.5, 0), 1)
        return made.predicted(expit(2 * (2.5 * x - 3.125) + 1), there, ids=[f"L{i:05d}" for i in range(n)])

    return listed


@pytest.fixture(scope="module")
def calibration(listed):
    return fit_calibration(listed(1, 0.45, 2000), rng=np.random.default_rng(1), draws=50)


def test_a_class_mix_three_times_smaller_is_recovered(listed, calibration):
    near, far = [], []
    for seed in range(10, 30):
        found = estimate_prevalence(
            listed(seed, 0.15), calibration, rng=np.random.default_rng(seed), draws=50
        )
        row = found[found["class"] == "member"][0]
        near.append(row["share_low"] <= 0.15 <= row["share_high"])
        far.append(row["share_high"] < row["calibration"])
        assert found["share"].sum() == pytest.approx(1)
    assert sum(near) >= 17
    assert all(far)


def test_shares_follow_bayes_and_of_three_classes_are_found():
    rng, shares, true = np.random.default_rng(2), np.array([0.2, 0.3, 0.5]), np.array([0.6, 0.1, 0.3])
    place = rng.choice(3, 5000, p=true)
    density = np.exp(-0.5 * (rng.normal(2 * place)[:, None] - 2 * np.arange(3)) ** 2)
    p, best = (density * one / (density @ one)[:, None] for one in (shares, true))
    np.testing.assert_allclose(shift_shares(p, shares, true), best)
    found = fitted_shares(p, shares)
    np.testing.assert_allclose(found, true, atol=0.03)
    joint = p / shares * found
    again = (joint / joint.sum(1, keepdims=True)).mean(0)  # one step of expectation-maximisation stays there
    np.testing.assert_allclose(again, found, atol=1e-6)


@pytest.mark.parametrize("purity", [0.90, 0.95, 0.99])
def test_contaminants_and_losses_are_as_many_as_promised(listed, calibration, purity):
    inside, wrong, expected = [], 0, 0.0
    for seed in range(40, 60):
        new = listed(seed, 0.15)
        point = operating_point(new, calibration, purity=purity, rng=np.random.default_rng(seed), draws=100)
        chosen = np.asarray(point.objects["p"]) >= point.values["threshold"]
        counts = {
            "contaminants": (chosen & ~new.is_positive).sum(),
            "lost": (~chosen & new.is_positive).sum(),
        }
        assert chosen.sum() == point.values["selected"]
        assert point.values["contaminants"] <= (1 - purity) * chosen.sum() + 1e-9
        inside += [point.bounds[name].low <= n <= point.bounds[name].high for name, n in counts.items()]
        wrong, expected = wrong + counts["contaminants"], expected + point.values["contaminants"]
    assert sum(inside) >= 34  # of 40, where 38 are promised
    assert abs(wrong - expected) < 3 * np.sqrt(2 * expected) + 1  # counting, and as much from the calibration


def test_goals_select_what_they_say(listed, calibration):
    new, options = listed(70, 0.3), {"rng": np.random.default_rng(1), "draws": 20}
    complete = operating_point(new, calibration, completeness=0.9, **options)
    cheap = operating_point(new, calibration, cost=(1, 3), **options)
    p = np.sort(complete.objects["p"])[::-1]
    number = int(complete.values["selected"])
    assert p[: number - 1].sum() < 0.9 * p.sum() <= p[:number].sum()
    assert (np.asarray(cheap.objects["p"]) >= cheap.values["threshold"]).sum() == (p > 0.25).sum()
    assert cheap.values["threshold"] > 0.25
    row = complete.curve[number - 1]
    for name in ("threshold", "purity", "completeness", "selected"):
        assert row[name] == pytest.approx(complete.values[name])
    given = operating_point(new, calibration, completeness=0.9, prevalence=0.01, **options)
    assert given.values["prevalence"] == given.bounds["prevalence"].high == 0.01
    assert given.values["contaminants"] > complete.values["contaminants"]
    asked = operating_point(new, calibration, purity=0.9, prevalence=None, **options)
    assert asked.values["prevalence"] == calibration.shares["member"]
    assert "purity 0.9: " in str(asked)
    assert "that of the calibration's objects" in str(asked)


def test_the_ranked_list_marks_what_is_selected_among_candidates(listed, calibration):
    new = listed(71, 0.2, 200)
    table = Table({"object_id": new.table["object_id"], "candidate": np.arange(200) % 4 > 0})
    point = operating_point(
        new, calibration, purity=0.9, catalogue=table, rng=np.random.default_rng(1), draws=20
    )
    ranked = rank(new, table, point=point)
    number = int(point.values["selected"])
    assert ranked["selected"].tolist() == [True] * number + [False] * (200 - number)
    assert ranked["contaminants"][number - 1] == pytest.approx(point.values["contaminants"])
    assert np.isnan(ranked["p_calibrated"][150:]).all()
    assert np.isfinite(ranked["p_calibrated"][:150]).all()
    facts = ranked.meta["ranking"]["operating_point"]
    assert facts["goal"] == "purity 0.9"
    assert {f"{name}_low" for name in POINT} < set(facts)
    with pytest.raises(InputError, match="point must be of the ranked candidates"):
        rank(new, point=point)
    with pytest.raises(InputError, match="catalogue must hold every predicted object"):
        operating_point(new, calibration, purity=0.9, catalogue=table[:5], rng=np.random.default_rng(1))
    few = new.select(new.score < 0.5)
    none = operating_point(few, calibration, purity=0.999, rng=np.random.default_rng(1), draws=20)
    assert "none of" in str(none)
    assert not rank(few, point=none)["selected"].any()


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        ({}, "one of purity, completeness and cost must be given"),
        ({"purity": 0.9, "completeness": 0.9}, "one of purity, completeness and cost must be given"),
        ({"purity": 1.0}, "purity must lie between 0 and 1, got 1.0"),
        ({"completeness": 0.0}, "completeness must lie between 0 and 1, got 0.0"),
        ({"cost": (1, 0)}, r"cost must be two numbers above 0, got \(1, 0\)"),
        ({"purity": 0.9, "prevalence": 1.5}, "prevalence must lie between 0 and 1, got 1.5"),
        ({"purity": 0.9, "prevalence": "guess"}, "prevalence must be a share, 'estimate' or None"),
    ],
)
def test_goals_that_mean_nothing_are_refused(listed, calibration, goal, message):
    with pytest.raises(InputError, match=message):
        operating_point(listed(72, 0.2, 20), calibration, rng=np.random.default_rng(1), **goal)


def test_predictions_of_others_or_of_nothing_are_refused(listed, made, calibration):
    rng = np.random.default_rng(1)
    with pytest.raises(InputError, match="calibrated models cnn .* got forest"):
        estimate_prevalence(made.predicted([0.5], name="forest"), calibration, rng=rng)
    with pytest.raises(InputError, match="one object at least, got none"):
        estimate_prevalence(listed(73, 0.2, 5).select(split="train"), calibration, rng=rng)

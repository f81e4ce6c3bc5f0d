"""Calibrations of simulated scores whose miscalibration is known; soft labels against a truth."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table
from scipy.special import expit, softmax

from labkit.calibration import FILE, Calibration
from labkit.errors import InputError, MissingDataError
from labkit.evaluate import Resampling, calibrate_votes, fit_calibration, measure, reliability_measures
from labkit.predictions import Predictions
from labkit.votes import vote_predictions


def test_scores_too_sure_and_shifted_hold_after_calibration(made):
    def scores(seed, n=2000):
        rng = np.random.default_rng(seed)
        evidence = rng.normal(0, 2, n)  # log-odds of the truth
        return made.predicted(expit(2.5 * evidence + 1), rng.random(n) < expit(evidence))

    held, new = scores(1), scores(2)
    found = fit_calibration(held, rng=np.random.default_rng(3), draws=20)
    assert found.method == "temperature"  # which is what was wrong; an isotonic line has more to learn
    assert found.parameters == pytest.approx((2.5, -1 / 2.5), abs=0.3)
    assert found.log_loss["temperature"] < found.log_loss["isotonic"] < found.log_loss["before"]
    sets = {"before": new, "after": found.apply(new)}
    before, after = reliability_measures(sets, resampling=Resampling(number=200, rng=1))
    assert before["slope_high"] < 0.5 < after["slope_low"] < 1 < after["slope_high"]
    assert after["log_loss"] < before["log_loss_low"]
    assert after["brier_calibration"] < before["brier_calibration"] / 3
    for row, loss in ((before, "brier"), (after, "log_loss")):  # a rising map changes no refinement
        assert row[f"{loss}_calibration"] + row[f"{loss}_refinement"] == pytest.approx(row[loss])
    assert after["brier_refinement"] == pytest.approx(before["brier_refinement"], abs=1e-9)
    judged = measure({"before": new, "after": sets["after"]}, by=("set",), measures=("brier", "log_loss"))
    assert judged["brier"].tolist() == pytest.approx([before["brier"], after["brier"]])
    assert judged["log_loss"][1] == pytest.approx(after["log_loss"])


@pytest.mark.parametrize("method", ["temperature", "beta", "isotonic"])
def test_each_method_leaves_probabilities_that_hold_in_their_order(made, method):
    rng = np.random.default_rng(4)
    p = rng.uniform(0.02, 0.98, 2000)
    held = made.predicted(p, rng.random(2000) < p)
    found = fit_calibration(held, rng=rng, method=method, draws=5)
    after = found.apply(held)
    assert np.abs(after.score - p).max() < (0.15 if method == "isotonic" else 0.05)
    assert (np.diff(after.score[np.argsort(p)]) >= 0).all()
    assert 0 < after.score.min() < after.score.max() < 1
    assert after.score.mean() == pytest.approx(found.shares["member"], abs=0.002)
    np.testing.assert_array_equal(held.score, p)
    assert len(found.draws) == 5
    assert found.draws[0] != found.draws[1]


def test_a_temperature_is_that_of_three_classes_and_the_only_way():
    rng, names = np.random.default_rng(5), ("a", "b", "c")
    logits = rng.normal(0, 1.5, (3000, 3))
    true = [rng.choice(names, p=one) for one in softmax(logits, axis=1)]
    about = {"classes": names, "true": true, "experiment": "made", "split": "test"}
    held = Predictions.from_arrays(np.arange(3000).astype(str), softmax(3 * logits, axis=1), **about)
    found = fit_calibration(held, rng=rng, draws=20)
    assert found.method == "temperature"
    assert found.parameters == pytest.approx((3, 0, 0), abs=0.3)
    assert np.std(found.draws, axis=0)[0] < 0.2
    means = found.apply(held).probabilities.mean(axis=0)
    np.testing.assert_allclose(means, list(found.shares.values()), atol=0.002)
    assert measure(found.apply(held), measures=("log_loss",))["log_loss"] < found.log_loss["before"] - 0.1
    with pytest.raises(InputError, match="method must be one of .* got 'beta'"):
        fit_calibration(held, rng=rng, method="beta")


def test_the_mean_over_runs_is_calibrated_and_groups_make_wider_draws(made):
    rng = np.random.default_rng(6)
    field = rng.integers(0, 40, 1200)
    evidence = rng.normal(0, 1.5, 1200) + rng.normal(0, 1.5, 40)[field]  # fields have a level of their own
    there = rng.random(1200) < expit(rng.normal(0, 1.5, 1200) + rng.normal(0, 1.5, 40)[field])
    runs = [made.predicted(expit(evidence + shift), there, seed=seed) for seed, shift in enumerate((-1, 1))]
    held = Predictions.concatenate(runs)
    table = Table({"object_id": held.table["object_id"][:1200], "field": field})
    options = {"method": "beta", "draws": 100, "rng": np.random.default_rng(1)}
    plain, grouped = (
        fit_calibration(held, **options),
        fit_calibration(held, on=table, group_by="field", **options),
    )
    np.testing.assert_allclose(plain.parameters, grouped.parameters)
    assert np.std(grouped.draws, axis=0)[2] > 1.2 * np.std(plain.draws, axis=0)[2]
    mean = np.mean([one.score for one in runs], axis=0)
    after = plain.apply(held)
    assert after.table["object_id"].tolist() == table["object_id"].tolist()
    np.testing.assert_allclose(after.score, plain.apply(made.predicted(mean)).score)
    with pytest.raises(InputError, match="on and group_by must be given together"):
        fit_calibration(held, group_by="field", rng=rng)


def test_a_calibration_is_saved_and_refuses_what_it_was_not_fitted_to(made, tmp_path):
    rng = np.random.default_rng(7)
    p = np.append(rng.uniform(size=400), [0.0, 1.0])
    held = made.predicted(p, rng.random(402) < p, name="forest")
    found = fit_calibration(held, rng=rng, draws=10)
    assert (found.clipped, found.objects, found.models) == (2, 402, ("forest",))
    found.save(tmp_path / FILE)
    assert Calibration.load(tmp_path) == found
    after = found.apply(held)
    assert after.table.meta["made"] == [{"calibrated": str(found), "prevalence": found.shares["member"]}]
    for again in (found.apply, lambda one: fit_calibration(one, rng=rng)):
        with pytest.raises(InputError, match="must not be calibrated yet"):
            again(after)
    with pytest.raises(InputError, match=r"calibrated models forest \(bands unknown\), got cnn"):
        found.apply(made.predicted(p))
    with pytest.raises(InputError, match="classes .*'non-member', 'member'.* got .*'other', 'cluster'"):
        found.apply(made.predicted(p, name="forest", classes=("other", "cluster")))
    held.table.meta["made"] = [{"models": {"forest, seed 0": "abc"}, "bands": "xray"}]
    with pytest.raises(InputError, match=r"got abc \(bands xray\); predict with these models"):
        found.apply(held)
    assert replace(found, models=("abc",)).apply(held).table.meta["made"][0]["bands"] == "xray"
    with pytest.raises(MissingDataError, match="calibration must be a file, got .*labkit calibrate"):
        Calibration.load(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text('{"format": "other"}')
    with pytest.raises(InputError, match="must have the format labkit-calibration-1"):
        Calibration.load(tmp_path / "bad.json")


def test_what_cannot_be_calibrated_is_refused(made):
    rng, p = np.random.default_rng(8), np.linspace(0.1, 0.9, 50)
    with pytest.raises(InputError, match="5 objects of each class at least.*'member': 0"):
        fit_calibration(made.predicted(p, np.zeros(50)), rng=rng)
    with pytest.raises(InputError, match="5 objects of each class at least.*'member': 4"):
        fit_calibration(made.predicted(p, np.arange(50) < 4), rng=rng)
    with pytest.raises(InputError, match="folds must be at least 2 and draws at least 1, got 1 and 200"):
        fit_calibration(made.predicted(p, p > 0.5), rng=rng, folds=1)
    one_field = Table({"object_id": [f"G{i:04d}" for i in range(50)], "field": np.where(p > 0.5, "A", "B")})
    with pytest.raises(InputError, match="field must leave objects of each class outside every fold"):
        fit_calibration(made.predicted(p, p > 0.5), rng=rng, on=one_field, group_by="field", folds=2)
    with pytest.raises(InputError, match="two classes, got one in 'mine'"):
        reliability_measures({"mine": made.predicted(p, np.ones(50))})


def table_of(p: np.ndarray) -> Table:
    table = Table({"object_id": np.arange(len(p)).astype(str), "n_votes": np.where(np.isnan(p), 0, 3)})
    table["soft_no"], table["soft_yes"] = 1 - p, p
    table["label"] = np.where(np.isnan(p), "", np.where(p > 0.5, "yes", "no"))
    table.meta |= {"classes": ["no", "yes"], "positive": "yes"}
    return table


def test_too_sure_and_biased_probabilities_become_frequencies():
    rng = np.random.default_rng(2)
    evidence = rng.normal(size=3000)
    honest = 1 / (1 + np.exp(-evidence))
    table = table_of(1 / (1 + np.exp(2 - 3 * evidence)))  # log-odds three times too large, and shifted
    table["soft_yes"][-1] = table["soft_no"][-1] = np.nan
    table["n_votes"][-1] = 0
    there = rng.random(3000) < honest
    truth = Table({"object_id": table["object_id"], "label": np.where(there, "yes", "no")})[:2000]
    found = calibrate_votes(table, truth, np.random.default_rng(1))
    assert np.abs(found["soft_yes"] - honest)[:-1][np.abs(evidence[:-1]) < 1].max() < 0.05
    judged = vote_predictions({"before": table, "after": found}, truth)
    before, after = measure(judged, measures=("log_loss",), split=None)["log_loss"]
    assert after < before - 0.1
    assert after < -np.mean(np.log(np.where(there, honest, 1 - honest)[:2000])) + 0.01
    assert np.isnan(found["soft_yes"][-1])
    assert found["label"][-1] == ""
    assert (found["label"][:-1] == np.where(found["soft_yes"][:-1] > 0.5, "yes", "no")).all()
    assert table["label"][5] == ("yes" if table["soft_yes"][5] > 0.5 else "no")  # the input stays
    same = calibrate_votes(table, truth, np.random.default_rng(1))
    np.testing.assert_array_equal(found["soft_yes"], same["soft_yes"])


def test_a_truth_that_is_too_small_is_refused():
    table = table_of(np.full(8, 0.7))
    truth = Table({"object_id": table["object_id"], "label": ["yes"] * 6 + ["no"] * 2})
    with pytest.raises(InputError, match=r"5 objects with votes of two classes at least, got .*'no': 2"):
        calibrate_votes(table, truth, np.random.default_rng(1))
    with pytest.raises(InputError, match="folds must be at least 2, got 1"):
        calibrate_votes(table, truth, np.random.default_rng(1), folds=1)

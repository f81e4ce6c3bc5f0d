"""Numbers of known errors give their bias, scatter and coverage; calibration mends widths, not means."""

import numpy as np
import pytest
from astropy.table import Table
from scipy.stats import norm

from labkit.errors import InputError
from labkit.evaluate import Resampling, calibrate, measure
from labkit.predictions import Estimates

NONE = Resampling(number=0)


def drawn(
    n=3000, *, bias=0.1, scatter=0.3, claimed=1.0, seed=0, folds=3, experiment="a", targets=("log t_cool",)
):
    """Normal errors of a bias and scatter, whose widths claim so many times as much."""
    rng = np.random.default_rng([11, seed])
    true = np.random.default_rng(10).normal(0.4, 0.5, (n, len(targets)))
    widths = scatter * rng.choice([0.5, 1.5], true.shape)
    predicted = true + bias + widths * rng.normal(size=true.shape)
    options = {"targets": targets, "units": ["Gyr"] * len(targets), "experiment": experiment, "split": "test"}
    part = np.arange(n) % folds
    return Estimates.concatenate(
        Estimates.from_arrays(
            np.char.add("o", np.flatnonzero(part == fold).astype(str)), predicted[part == fold],
            claimed * widths[part == fold], true=true[part == fold], seed=seed, fold=fold, **options,
        )
        for fold in range(folds)
    )  # fmt: skip


def test_normal_errors_are_measured_as_they_were_drawn():
    row = measure(drawn(), resampling=Resampling(number=300))[0]
    assert (row["experiment"], row["target"], row["unit"]) == ("a", "log t_cool", "dex")
    assert (row["objects"], row["runs"]) == (3000, 1)
    scatter = 0.3 * np.sqrt((0.5**2 + 1.5**2) / 2)
    error = scatter / np.sqrt(3000)
    assert row["bias"] == pytest.approx(0.1, abs=4 * error)
    assert row["scatter"] == pytest.approx(scatter, rel=0.05)
    assert row["mad_scatter"] < row["scatter"], "two widths: more peaked than a normal distribution"
    assert row["bias_high"] - row["bias_low"] == pytest.approx(2 * 1.96 * error, rel=0.2)
    assert row["bias_low"] < row["bias"] < row["bias_high"]
    # of widths that are right and a bias that is not: P(|z + b| < limit), mean over the widths
    for share in (68, 95):
        limit, b = norm.ppf(0.5 + share / 200), 0.1 / (0.3 * np.array([0.5, 1.5]))
        expected = (norm.cdf(limit - b) - norm.cdf(-limit - b)).mean()
        assert row[f"coverage_{share}"] == pytest.approx(expected, abs=0.03)
        assert row[f"coverage_{share}_low"] < row[f"coverage_{share}"] < row[f"coverage_{share}_high"]


def test_relative_errors_are_of_the_number_not_of_its_logarithm():
    options = {"experiment": "a", "targets": ["log t_cool", "ne"], "units": ["Gyr", "cm-3"], "split": "test"}
    true, predicted = [[0.0, 2.0], [1.0, 4.0]], [[1.0, 3.0], [1.0, 2.0]]
    table = measure(
        Estimates.from_arrays(["x", "y"], predicted, [[1, 1], [1, 1]], true=true, **options), resampling=NONE
    )
    assert table["unit"].tolist() == ["dex", "cm-3"]
    assert table["relative_error"].tolist() == pytest.approx([(9 + 0) / 2, 0.5])
    assert table["relative_bias"].tolist() == pytest.approx([(9 + 0) / 2, 0.0])
    assert table["scatter"].tolist() == pytest.approx([np.std([1, 0], ddof=1), np.std([1, -2], ddof=1)])
    assert np.isnan(table["bias_low"]).all(), "no bootstrap was wanted"


def test_trainings_groups_and_parts_are_those_of_classes():
    both = Estimates.concatenate([drawn(300), drawn(300, seed=1)])
    with pytest.raises(InputError, match="trainings must judge the same objects"):
        measure(Estimates.concatenate([drawn(300), drawn(299, seed=1)]), resampling=NONE)
    row = measure(both, measures=("bias",), resampling=NONE)[0]
    each = measure(both, by=("experiment", "seed"), measures=("bias",), resampling=NONE)["bias"]
    assert (row["runs"], row["bias"]) == (2, pytest.approx(each.mean()))
    assert row["bias_std"] == pytest.approx(np.std(each, ddof=1))
    on = Table({"object_id": np.char.add("o", np.arange(300).astype(str))})
    on["kind"] = np.where(np.arange(300) < 100, "CC", "NCC")
    kinds = measure(both, by=("kind", "target"), on=on, total="all", measures=("bias",), resampling=NONE)
    assert kinds["kind"].tolist() == ["CC", "NCC", "all"]
    assert kinds["objects"].tolist() == [100, 200, 300]
    assert kinds["bias"][:2] @ [1 / 3, 2 / 3] == pytest.approx(kinds["bias"][2])
    folds = measure(both.select(seed=0), over="runs", measures=("bias",))
    assert folds["runs"][0] == 3
    assert folds["bias_low"][0] < folds["bias"][0] < folds["bias_high"][0]


def test_calibration_restores_the_coverage_of_widths_wrong_by_two():
    narrow = drawn(bias=0.0, claimed=0.5, targets=("log t_cool", "log ne"))
    wide = drawn(bias=0.0, claimed=2.0, targets=("log t_cool", "log ne"), experiment="b")
    given = Estimates.concatenate([narrow, wide])
    mended = calibrate(given)
    sets = {("given", "a"): narrow, ("mended", "a"): mended.select(experiment="a")}
    sets |= {("given", "b"): wide, ("mended", "b"): mended.select(experiment="b")}
    table = measure(sets, by=("widths", "network"), measures=("coverage_68", "coverage_95"), resampling=NONE)
    covered = {row["widths"]: [] for row in table}
    for row in table:
        covered[row["widths"]].append(row["coverage_68"])
    assert np.ptp(covered["given"]) > 0.4
    np.testing.assert_allclose(covered["mended"], 0.68, atol=0.03)
    np.testing.assert_allclose(table["coverage_95"][table["widths"] == "mended"], 0.95, atol=0.015)
    assert np.array_equal(mended.predicted, given.predicted)
    ratio = mended.width / given.width
    assert ratio[:3000] == pytest.approx(2, rel=0.05)
    assert ratio[-3000:] == pytest.approx(0.5, rel=0.05)


def test_no_object_has_a_part_in_its_own_width():
    given = drawn(60, claimed=0.5)
    table = given.table.copy()
    table["predicted"][given.table["fold"] == 1] += 50.0
    before, after = calibrate(given), calibrate(Estimates(table))
    same = given.table["fold"] == 1
    np.testing.assert_array_equal(after.width[same], before.width[same])
    assert (after.width[~same] > 10 * before.width[~same]).all()


def test_what_cannot_be_measured_or_calibrated_is_refused():
    given = drawn(30)
    with pytest.raises(InputError, match=r"measures must be a list of \('bias', .*got \['accuracy'\]"):
        measure(given, measures=("accuracy",))
    for options in ({"by": ("class",)}, {"classes": "each"}):
        with pytest.raises(InputError, match="must name no class, because numbers have none"):
            measure(given, **options)
    with pytest.raises(
        InputError, match="each object once in two folds or more, got 10 rows of 10 .* in 1 folds"
    ):
        calibrate(given.select(fold=0))
    every = given.table.copy()
    every["fold"] = 5
    with pytest.raises(
        InputError, match="got 60 rows of 30 objects in 4 folds of 'a'; use labkit.learn.out_of"
    ):
        calibrate(Estimates.concatenate([given, Estimates(every)]))

"""Classes of cool cores by limits and simple classifiers, measured and compared as networks are."""

from itertools import product

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from sklearn.metrics import balanced_accuracy_score, f1_score

from labkit.errors import InputError
from labkit.evaluate import Resampling, compare, measure
from labkit.evaluate.cores import (
    CONCENTRATION_LIMITS,
    _fitted,
    limit_predictions,
    morphology_estimates,
    morphology_predictions,
)
from labkit.tables import text

CLASSES = ("CC", "WCC", "NCC")
RNG = np.random.default_rng(4)


@pytest.fixture(scope="module")
def table() -> QTable:
    """Three hundred clusters whose concentration falls with the class, and a number that says nothing."""
    codes = np.repeat([0, 1, 2], [40, 180, 80])
    values = np.array([0.2, 0.1, 0.05])[codes] * np.exp(RNG.normal(0, 0.35, 300))
    order = RNG.permutation(300)
    return QTable(
        {
            "object_id": [f"C{n:03d}" for n in range(300)],
            "label": np.array(CLASSES)[codes][order],
            "concentration": values[order],
            "slope": (np.log(values) + RNG.normal(0, 0.3, 300))[order],
            "noise": RNG.normal(size=300),
        }
    )


FOLDS = np.arange(300) % 10


def test_fixed_limits_are_those_given(table):
    found = limit_predictions(table, "concentration", limits=CONCENTRATION_LIMITS)
    value = table["concentration"]
    expected = np.where(value > 0.155, "CC", np.where(value > 0.075, "WCC", "NCC"))
    assert found.decided.tolist() == expected.tolist()
    assert set(found.table["split"]) == {"test"}
    assert set(found.table["fold"]) == {-1}


def test_ranks_at_the_true_fractions_give_each_class_its_number(table):
    found = limit_predictions(table, "concentration", limits="ranked", rank_on="all", folds=FOLDS)
    assert np.unique(found.decided, return_counts=True)[1].tolist() == [40, 80, 180]


def test_what_is_learnt_does_not_see_the_test_fold(table):
    """An object's own label does not change its prediction, whichever method learns."""
    other = table.copy()
    first = np.flatnonzero(FOLDS == 3)
    other["label"][first] = np.roll(table["label"][first], 7)
    assert (other["label"][first] != table["label"][first]).any()
    for method in (
        lambda t: limit_predictions(t, "concentration", limits="fitted", folds=FOLDS),
        lambda t: limit_predictions(t, "concentration", limits="ranked", folds=FOLDS),
        lambda t: morphology_predictions(t, ["concentration", "slope"], folds=FOLDS),
    ):
        same, changed = (method(t).select(fold=3).probabilities for t in (table, other))
        assert np.array_equal(same, changed)


def test_fitted_limits_have_the_highest_mean_recall_of_all():
    values, codes = RNG.normal(size=40).round(1), RNG.integers(0, 3, 40)
    found = _fitted(values, codes)
    each = {
        pair: balanced_accuracy_score(codes, (values[:, None] <= np.array(pair)).sum(1))
        for pair in product(np.unique(values).tolist(), repeat=2)
        if pair[0] >= pair[1]
    }
    assert each[tuple(found.tolist())] == pytest.approx(max(each.values()))


def test_fitted_limits_are_better_than_shifted_ones(table):
    fitted = limit_predictions(table, "concentration", limits="fitted", folds=FOLDS)
    fixed = limit_predictions(table, "concentration", limits=(0.3, 0.2))
    recall = [balanced_accuracy_score(p.table["true"], p.decided) for p in (fitted, fixed)]
    assert recall[0] > 0.7 > recall[1]


@pytest.mark.parametrize("method", ["logistic", "gradient boosting"])
def test_simple_classifiers_learn_from_what_matters(table, method):
    good = morphology_predictions(table, ["concentration", "slope"], folds=FOLDS % 3, method=method)
    poor = morphology_predictions(table, ["noise"], folds=FOLDS % 3, method=method, experiment="noise")
    scores = [balanced_accuracy_score(p.table["true"], p.decided) for p in (good, poor)]
    assert scores[0] > 0.65
    assert scores[1] == pytest.approx(1 / 3, abs=0.12)
    assert [set(text(p.table["experiment"])) for p in (good, poor)] == [{method}, {"noise"}]
    assert sorted(good.table["object_id"]) == sorted(table["object_id"])


def test_balanced_accuracy_is_binary_and_then_averaged(table):
    found = limit_predictions(table, "concentration", limits=CONCENTRATION_LIMITS)
    true, given = found.table["true"], found.decided
    each = [balanced_accuracy_score(true == name, given == name) for name in CLASSES]
    rows = measure(found, classes="each", measures=("balanced_accuracy", "f1"))
    assert rows["balanced_accuracy"][:3].tolist() == pytest.approx(each)
    macro = measure(found, measures=("balanced_accuracy", "f1", "accuracy"))
    assert macro["balanced_accuracy"][0] == pytest.approx(np.mean(each))
    assert macro["f1"][0] == pytest.approx(f1_score(true, given, average="macro"))
    assert macro["balanced_accuracy"][0] != pytest.approx(balanced_accuracy_score(true, given), abs=0.01)
    assert (
        macro["balanced_accuracy_low"][0] < macro["balanced_accuracy"][0] < macro["balanced_accuracy_high"][0]
    )


def test_methods_are_compared_in_pairs_over_all_classes(table):
    methods = {
        "fitted": limit_predictions(table, "concentration", limits="fitted", folds=FOLDS),
        "logistic": morphology_predictions(table, ["concentration", "slope"], folds=FOLDS),
        "noise": morphology_predictions(table, ["noise"], folds=FOLDS),
    }
    found = compare(
        methods, measures=("accuracy", "balanced_accuracy", "f1"), resampling=Resampling(number=300)
    )
    assert found["test"].tolist() == ["McNemar", "bootstrap", "bootstrap"] * 3
    assert set(found["verdict"][found["second"] == "noise"]) == {"higher"}
    row = found[(found["second"] == "noise") & (found["measure"] == "f1")][0]
    decided = methods["fitted"]
    assert row["first_value"] == pytest.approx(
        f1_score(decided.table["true"], decided.decided, average="macro")
    )
    assert row["low"] < row["difference"] < row["high"]
    same = compare({"a": methods["fitted"], "b": methods["fitted"]}, measures=("accuracy",))
    assert (same["difference"][0], same["p_value"][0]) == (0, 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda t: limit_predictions(t, "ne", limits=(2, 1)),
            r"table must have the columns .*\['ne'\] missing",
        ),
        (
            lambda t: limit_predictions(t, "noise", limits=(1, 2)),
            r"two numbers, the higher first, got \(1, 2\)",
        ),
        (
            lambda t: limit_predictions(t, "noise", limits="best"),
            "limits.* must be one of .*'ranked'.*, got 'best'",
        ),
        (lambda t: limit_predictions(t, "noise", limits="fitted"), "folds must be given where .* got None"),
        (
            lambda t: limit_predictions(t, "noise", limits="ranked", folds=np.arange(3)),
            r"folds must have one number for each object, 300, got \(3,\)",
        ),
        (
            lambda t: morphology_predictions(t, ["noise"], folds=FOLDS, method="forest"),
            r"method must be one of \('logistic', 'gradient boosting'\), got 'forest'",
        ),
        (
            lambda t: morphology_predictions(t, ["noise"], folds=np.where(t["label"] == "CC", 0, 1)),
            r"training set must have every class, got none of \['CC'\]; use fewer folds",
        ),
        (
            lambda t: morphology_predictions(_with_nan(t), ["noise"], folds=FOLDS),
            r"\['noise'\] must be finite for all objects",
        ),
    ],
)
def test_what_cannot_be_judged_is_refused(table, call, message):
    with pytest.raises(InputError, match=message):
        call(table)


def _with_nan(table: QTable) -> QTable:
    changed = table.copy()
    changed["noise"][5] = np.nan
    return changed


def test_a_linear_model_gives_numbers_with_the_width_of_its_errors(table):
    known, folds = table.copy(), np.where(np.arange(300) < 9, -2, FOLDS)
    known["t_cool"] = 10 ** (-0.5 * table["slope"] + np.random.default_rng(1).normal(0, 0.1, 300)) * u.Gyr
    asked = {"features": ["slope", "noise"], "targets": ["log t_cool"], "folds": folds}
    found = morphology_estimates(known, **asked)
    assert sorted(found.table["object_id"]) == known["object_id"][9:].tolist()
    assert set(found.table["unit"]) == {"Gyr"}
    assert set(zip(found.table["object_id"], found.table["fold"], strict=True)) == set(
        zip(known["object_id"][9:], folds[9:], strict=True)
    )
    assert np.std(found.predicted - found.true) == pytest.approx(0.1, rel=0.15)
    np.testing.assert_allclose(found.width, 0.1, rtol=0.2)
    known["t_cool"][folds == 1] = 5 * u.Gyr  # what is tested must not change what is learned
    again = morphology_estimates(known, **asked)
    np.testing.assert_array_equal(again.select(fold=1).predicted, found.select(fold=1).predicted)
    known["t_cool"][10] = 0 * u.Gyr
    with pytest.raises(InputError, match=r"targets \['log t_cool'\] must be finite numbers for all objects"):
        morphology_estimates(known, **asked)

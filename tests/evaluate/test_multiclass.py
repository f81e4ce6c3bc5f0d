"""Several classes: averages against scikit-learn, by definition, and where they are undefined."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import InputError
from labkit.evaluate import (
    AVERAGES,
    METRICS,
    area_under,
    beside_published,
    bootstrap_classes,
    class_rocs,
    class_rocs_by_run,
    class_scores,
    class_summary,
    one_versus_rest,
    over_classes,
    published_table,
)
from labkit.predictions import Predictions

NAMES = ("low-z cluster", "high-z cluster", "point source", "nearby galaxy", "other")


def drawn(n=200, k=5, seed=3):
    rng = np.random.default_rng(seed)
    true = np.concatenate([np.arange(k), rng.integers(0, k, n - k)])
    p = rng.dirichlet(np.ones(k), n) + 1.2 * (true[:, None] == np.arange(k)) * rng.random((n, 1))
    return true, p / p.sum(1, keepdims=True)


def predictions(seeds=(0, 1), name="CN grayscale", n=150):
    true, _ = drawn(n)
    return Predictions.concatenate(
        Predictions.from_arrays(
            [f"X{i}" for i in range(n)],
            drawn(n, seed=3)[1] if seed == 0 else _noisy(n, seed),
            classes=NAMES,
            true=np.array(NAMES)[true],
            experiment=name,
            seed=seed,
            split="test",
        )
        for seed in seeds
    )


def _noisy(n, seed):
    rng = np.random.default_rng(seed)
    p = drawn(n)[1] + 0.3 * rng.dirichlet(np.ones(5), n)
    return p / p.sum(1, keepdims=True)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(2, 6))
def test_averages_as_scikit_learn(seed, k):
    true, p = drawn(80, k, seed)
    hot, decided = np.eye(k)[true], p.argmax(1)
    table = class_scores(true, p, classes=[str(c) for c in range(k)])
    macro, micro = table[-2], table[-1]
    assert micro["auc"] == pytest.approx(sk.roc_auc_score(hot, p, average="micro"))
    assert macro["auc"] == pytest.approx(sk.roc_auc_score(hot, p, average="macro"))
    for average, row in (("macro", macro), ("micro", micro)):
        if average == "macro" and len(set(decided)) < k:
            assert np.isnan(row["precision"])
            continue
        found = sk.precision_recall_fscore_support(true, decided, average=average)
        assert (row["precision"], row["recall"], row["f1"]) == pytest.approx(found[:3])
    accuracy = sk.accuracy_score(hot.ravel(), np.eye(k)[decided].ravel())
    assert micro["accuracy"] == pytest.approx(accuracy)
    assert macro["accuracy"] == pytest.approx(accuracy)


def test_classes_are_those_of_one_versus_rest():
    true, p = drawn()
    table, rest = class_scores(true, p, classes=NAMES), one_versus_rest(true, p, classes=NAMES)
    assert table["class"].tolist() == [*NAMES, *AVERAGES]
    for name in ("objects", *METRICS):
        np.testing.assert_allclose(table[name][:5], rest[name])
    assert table["objects"][-2:].tolist() == [200, 200]


def test_a_class_without_objects_has_no_recall_and_takes_no_part_in_the_macro_average():
    true, p = drawn(120, 4)
    p = np.column_stack([p, np.zeros(120)])
    table = class_scores(true, p, classes=NAMES)
    assert np.isnan(table["auc"][4])
    assert np.isnan(table["recall"][4])
    assert table["accuracy"][4] == 1
    for metric in METRICS:
        assert table[metric][5] == pytest.approx(table[metric][:4].mean())
    assert np.isfinite(table["auc"][6])


def test_a_class_that_is_never_given_has_no_precision_and_nor_has_the_macro_average():
    true, p = drawn()
    p[:, 2] = 0
    table = class_scores(true, p / p.sum(1, keepdims=True), classes=NAMES)
    assert np.isnan(table["precision"][[2, 5]]).all()
    assert table["recall"][2] == 0
    assert np.isfinite(table["recall"][5])


def test_bootstrap_draws_are_the_measures_of_the_resampled_objects():
    true, p = drawn(40)
    draws = bootstrap_classes(true, p, rng=4, resamples=8)
    again, counts = np.random.default_rng(4), np.bincount(true)
    weights = np.zeros((8, 40), dtype=int)
    for c, n in enumerate(counts):
        weights[:, true == c] = again.multinomial(n, np.full(n, 1 / n), size=8)
    for i, row in enumerate(weights):
        table = class_scores(np.repeat(true, row), np.repeat(p, row, axis=0), classes=NAMES)
        for metric in METRICS:
            np.testing.assert_allclose(draws[metric][i], table[metric])


def test_trainings_are_averaged_on_the_same_objects():
    true, p = drawn(60)
    q = p[:, ::-1]
    both = bootstrap_classes(true, np.stack([p, q]), rng=1, resamples=5)["recall"]
    one, two = (bootstrap_classes(true, x, rng=1, resamples=5)["recall"] for x in (p, q))
    np.testing.assert_allclose(both, (one + two) / 2)


def test_curves_have_the_areas_of_the_table():
    true, p = drawn()
    curves, table = class_rocs(true, p, classes=NAMES), class_scores(true, p, classes=NAMES)
    assert list(curves) == [*NAMES, *AVERAGES]
    for name, row in zip(curves, table, strict=True):
        tolerance = 2e-3 if name == "macro average" else 1e-12  # the mean curve is drawn on a grid
        assert area_under(curves[name]) == pytest.approx(row["auc"], abs=tolerance)
    some = class_rocs(true[true < 2], p[true < 2], classes=NAMES)
    assert list(some) == [*NAMES[:2], *AVERAGES]


def test_curves_of_runs_leave_out_objects_of_unknown_class():
    both = predictions()
    expected = class_rocs_by_run(both.select(np.arange(len(both)) % 150 >= 10))
    both.table["true"][np.arange(len(both)) % 150 < 10] = ""
    found = class_rocs_by_run(both)
    assert {name: len(runs) for name, runs in found.items()} == {"CN grayscale": 2}
    for name in (*NAMES, *AVERAGES):
        assert area_under(found["CN grayscale"][1][name]) == area_under(expected["CN grayscale"][1][name])


def test_bad_input():
    true, p = drawn()
    with pytest.raises(InputError, match=r"true must lie in 0 to 3, got 0 to 4"):
        class_scores(true, p[:, :4], classes=NAMES[:4])
    with pytest.raises(InputError, match=r"shape \(0, 5\) with an object or more, got \(0, 5\)"):
        class_scores(true[:0], p[:0], classes=NAMES)
    with pytest.raises(InputError, match="resamples must be at least 1, got 0"):
        bootstrap_classes(true, p, rng=0, resamples=0)
    with pytest.raises(InputError, match="true must hold objects of two classes or more"):
        class_rocs(true[true == 1], p[true == 1], classes=NAMES)
    with pytest.raises(InputError, match=r"must have the shape \(200, 2\)"):
        class_rocs(true, p, classes=NAMES[:2])


def test_summary_is_over_runs_with_intervals_over_objects():
    both = predictions()
    table = class_summary(both, resamples=200)
    assert table["class"].tolist() == [*NAMES, *AVERAGES]
    assert set(table["runs"]) == {2}
    each = [class_scores(p.true_codes, p.probabilities, classes=NAMES) for _, p in both.runs()]
    for metric in METRICS:
        values = np.array([one[metric] for one in each])
        np.testing.assert_allclose(table[metric], values.mean(0))
        np.testing.assert_allclose(table[f"{metric}_std"], values.std(0, ddof=1))
    assert (table["auc_low"] < table["auc"]).all()
    assert (table["auc"] < table["auc_high"]).all()


def test_table_6_stands_beside_the_published_one():
    both = Predictions.concatenate([predictions(), predictions(seeds=(0,), name="mine")])
    table = beside_published(class_summary(both, resamples=20), "table6", data="simulated")
    rows = [(r["network"], r["class"], r["from"]) for r in table]
    assert rows[5:8] == [
        ("CN grayscale", "low-z cluster", "published, table6"),
        ("CN grayscale", "low-z cluster", "measured"),
        ("CN grayscale", "high-z cluster", "published, table6"),
    ]
    assert rows[15:17] == [("CN grayscale", average, "measured") for average in AVERAGES]
    assert [r[0] for r in rows[17:]] == ["mine"] * 7
    assert set(table["data"][table["from"] == "measured"]) == {"simulated"}


def test_section_5_5_averages_over_classes():
    table = over_classes(published_table("table6"))
    assert table["network"].tolist() == ["MN grayscale", "CN grayscale"]
    for row, (auc, auc_std, a, a_std) in zip(table, [(91, 2, 86, 6), (88, 2, 85, 4)], strict=True):
        printed = [100 * row[name] for name in ("auc", "auc_std", "accuracy", "accuracy_std")]
        assert printed == pytest.approx([auc, auc_std, a, a_std], abs=0.6)
    own = over_classes(class_summary(predictions(), resamples=5))
    assert own["classes"].tolist() == [5]
    with pytest.raises(InputError, match="must have a row a class"):
        over_classes(published_table("table5"))

import numpy as np
import pytest
from astropy.table import Table

from labkit.errors import InputError
from labkit.evaluate import contradicted_labels, rank, roc_curve
from labkit.predictions import Estimates, Predictions, load_predictions, target_column
from labkit.tables import write_table

CLASSES = ("non-cluster", "cluster")


def made(seed=0, experiment="a", n=4, **changes):
    p = np.random.default_rng(seed).random(n)
    options = {
        "classes": CLASSES,
        "true": ["cluster", "non-cluster", "", "cluster"][:n],
        "experiment": experiment,
        "seed": seed,
        "split": ["train", "test", "test", "test"][:n],
        "positive": "cluster",
    } | changes
    return Predictions.from_arrays([f"o{i}" for i in range(n)], np.column_stack([1 - p, p]), **options)


def test_columns_codes_and_decisions():
    predictions = made()
    assert predictions.true_codes.tolist() == [1, 0, -1, 1]
    np.testing.assert_array_equal(predictions.score, predictions.probabilities[:, 1])
    assert (predictions.decided == np.where(predictions.score > 0.5, "cluster", "non-cluster")).all()
    assert predictions.is_positive.tolist() == [True, False, False, True]
    assert of_two().known.table["object_id"].tolist() == ["b"]


def test_joining_selecting_and_runs():
    joined = Predictions.concatenate([made(0), made(1), made(0, experiment="longer name")])
    assert [run for run, _ in joined.runs()] == [("a", 0, -1), ("a", 1, -1), ("longer name", 0, -1)]
    assert len(joined.select(split="test", experiment="a")) == 6
    np.testing.assert_array_equal(dict(joined.runs())[("a", 1, -1)].score, made(1).score)
    assert joined.select(joined.score > 2).table.colnames == joined.table.colnames


def test_file_round_trip(tmp_path):
    back = Predictions.load(made().save(tmp_path / "P.PARQUET"))
    assert Predictions.load(write_table(made(), tmp_path / "p.ecsv")).meta == back.meta
    assert back.classes == CLASSES
    assert back.positive == "cluster"
    np.testing.assert_array_equal(back.probabilities, made().probabilities)
    assert back.table["true"].tolist() == ["cluster", "non-cluster", "", "cluster"]


def of_two(ids=("a", "b"), second=(0.5, 0.5)):
    return Predictions.from_arrays(
        ids, [[0.5, 0.5], second], classes=CLASSES, true=["", CLASSES[0]], experiment="a"
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: made(true=["star"] * 4), r"true must hold the classes .* got \['star'\]"),
        (lambda: made(classes=("a", "b", "c")), r"probabilities must have the shape \(4, 3\)"),
        (lambda: made(positive="galaxy"), "positive must be one of"),
        (lambda: of_two(second=[0.5, 0.6]), "sum to one"),
        (lambda: of_two(second=[np.nan, 0.6]), "sum to one"),
        (lambda: of_two(("a", "a")), "object_id must be unique within a run"),
        (lambda: of_two().score, "no positive class"),
        (lambda: of_two().is_positive, "no positive class"),
        (lambda: Predictions(Table({"object_id": ["a"]}), CLASSES), "must have the columns .* missing"),
        (lambda: Predictions.concatenate([]), "must have the same classes"),
        (lambda: Predictions.concatenate([made(), of_two()]), "must have the same classes"),
        (lambda: Predictions.concatenate([made(), made()]), "an object must come once in a run"),
        (lambda: of_two().save("p.txt"), r"must end in one of .*, got 'p.txt'"),
    ],
)
def test_rules_of_predictions_are_said(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_masked_classes_are_unknown_and_text_is_escaped():
    tag = "<img src=x onerror=alert(1)>"
    true, options = np.ma.array(["x", "y"], mask=[0, 1]), {"classes": ("x", "y"), "experiment": "e"}
    one = Predictions.from_arrays(["a", tag], [[1.0, 0.0]] * 2, true=true, **options)
    assert one.true_codes.tolist() == [0, -1]
    assert one.known.table["object_id"].tolist() == ["a"]
    assert "<img" not in one._repr_html_()
    assert "&lt;img" in one._repr_html_()


def estimated(seed=0, n=4, **changes):
    rng = np.random.default_rng(seed)
    true = rng.normal(0, 1, (n, 2))
    true[2, 0] = np.nan
    options = {
        "targets": ("log t_cool", "ne"),
        "units": ("Gyr", "cm-3"),
        "true": true,
        "width": true * 0 + 0.5,
    }
    options = options | {"experiment": "a", "seed": seed, "split": "test"} | changes
    options["width"] = np.nan_to_num(options["width"], nan=0.5)
    return Estimates.from_arrays([f"o{i}" for i in range(n)], rng.normal(0, 1, (n, 2)), **options)


def test_estimates_are_a_tidy_table_that_is_joined_and_kept(tmp_path):
    one, other = estimated(), estimated(1, fold=2)
    assert one.table["target"].tolist() == ["log t_cool"] * 4 + ["ne"] * 4
    assert one.table["unit"].tolist() == ["Gyr"] * 4 + ["cm-3"] * 4
    assert len(one.known) == 7
    np.testing.assert_allclose(one.known.pull * 0.5, one.known.predicted - one.known.true)
    both = Estimates.concatenate([one, other])
    assert [run for run, _ in both.runs()] == [("a", 0, -1), ("a", 1, 2)]
    assert len(both.select(fold=2)) == 8
    back = load_predictions(both.save(tmp_path / "e.parquet"))
    assert isinstance(back, Estimates)
    np.testing.assert_array_equal(back.true, both.true)
    assert isinstance(load_predictions(made().save(tmp_path / "p.parquet")), Predictions)
    assert [target_column(one) for one in ("log ne", "ne")] == [("ne", True), ("ne", False)]


def test_numbers_and_classes_are_not_taken_for_one_another(tmp_path):
    numbers = estimated()
    with pytest.raises(InputError, match="same classes, or all be of numbers, to be joined"):
        Predictions.concatenate([made(), numbers])
    with pytest.raises(InputError, match="must be a file of predictions, but names no classes"):
        Predictions.load(numbers.save(tmp_path / "e.parquet"))
    with pytest.raises(InputError, match="must be a file of estimates, but has no numbers"):
        Estimates.load(made().save(tmp_path / "p.parquet"))
    for function in (rank, roc_curve, contradicted_labels):
        with pytest.raises(InputError, match="must be of classes, got estimates of numbers, which have no"):
            function(numbers)
    with pytest.raises(AttributeError, match="'Estimates' object has no attribute 'nonsense'"):
        _ = numbers.nonsense


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": np.zeros((4, 2))}, "width above zero, got 8 rows"),
        ({"true": np.zeros((4, 3))}, r"true must have the shape \(4, 2\), got \(4, 3\)"),
        (
            {"targets": ("ne", "ne")},
            r"unit must be one for each target, got \[\('ne', 'Gyr'\), \('ne', 'cm-3'\)",
        ),
    ],
)
def test_broken_rules_of_numbers(change, message):
    with pytest.raises(InputError, match=message):
        estimated(**change)

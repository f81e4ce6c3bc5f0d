import numpy as np
import pytest

from labkit.errors import InputError
from labkit.predictions import Predictions

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


def test_joining_selecting_and_runs():
    joined = Predictions.concatenate([made(0), made(1), made(0, experiment="longer name")])
    assert [run for run, _ in joined.runs()] == [("a", 0, -1), ("a", 1, -1), ("longer name", 0, -1)]
    assert len(joined.select(split="test", experiment="a")) == 6
    np.testing.assert_array_equal(dict(joined.runs())[("a", 1, -1)].score, made(1).score)
    assert joined.select(joined.score > 2).table.colnames == joined.table.colnames


def test_file_round_trip(tmp_path):
    back = Predictions.load(made().save(tmp_path / "p.parquet"))
    assert back.classes == CLASSES
    assert back.positive == "cluster"
    np.testing.assert_array_equal(back.probabilities, made().probabilities)
    assert back.table["true"].tolist() == ["cluster", "non-cluster", "", "cluster"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"true": ["star"] * 4}, r"true must hold the classes .* got \['star'\]"),
        ({"classes": ("a", "b", "c")}, r"probabilities must have the shape \(4, 3\)"),
        ({"positive": "galaxy"}, "positive must be one of"),
    ],
)
def test_broken_rules(change, message):
    with pytest.raises(InputError, match=message):
        made(**change)


def test_probabilities_and_ids_are_checked():
    options = {"classes": CLASSES, "true": ["", ""], "experiment": "a"}
    with pytest.raises(InputError, match="sum to one"):
        Predictions.from_arrays(["a", "b"], [[0.5, 0.5], [0.5, 0.6]], **options)
    with pytest.raises(InputError, match="sum to one"):
        Predictions.from_arrays(["a", "b"], [[0.5, 0.5], [np.nan, 0.6]], **options)
    with pytest.raises(InputError, match="object_id must be unique within a run"):
        Predictions.from_arrays(["a", "a"], [[0.5, 0.5], [0.5, 0.5]], **options)
    with pytest.raises(InputError, match="no positive class"):
        _ = Predictions.from_arrays(["a", "b"], [[0.5, 0.5], [0.5, 0.5]], **options).score


def test_only_like_predictions_join():
    with pytest.raises(InputError, match="must have the same classes"):
        Predictions.concatenate([made(), made(classes=("x", "y"), true=[""] * 4, positive=None)])
    with pytest.raises(InputError, match="must have the same classes"):
        Predictions.concatenate([])


def test_known_leaves_out_objects_of_unknown_class():
    options = {"classes": CLASSES, "experiment": "a"}
    predictions = Predictions.from_arrays(["a", "b"], [[0.5, 0.5]] * 2, true=["", CLASSES[0]], **options)
    assert predictions.known.table["object_id"].tolist() == ["b"]


def test_other_endings_are_refused(tmp_path):
    one = Predictions.from_arrays(["a"], [[1.0, 0.0]], classes=("x", "y"), true=["x"], experiment="e")
    with pytest.raises(InputError, match=r"must end in .parquet, got '.*p.csv'; write_table writes"):
        one.save(tmp_path / "p.csv")
    assert list(tmp_path.iterdir()) == []
    assert one.save(tmp_path / "P.PARQUET").is_file()


def test_masked_classes_are_unknown_and_text_is_escaped():
    tag = "<img src=x onerror=alert(1)>"
    one = Predictions.from_arrays(
        ["a", tag],
        [[1.0, 0.0]] * 2,
        classes=("x", "y"),
        true=np.ma.array(["x", "y"], mask=[0, 1]),
        experiment="e",
    )
    assert one.true_codes.tolist() == [0, -1]
    assert one.known.table["object_id"].tolist() == ["a"]
    assert "<img" not in one._repr_html_()
    assert "&lt;img" in one._repr_html_()

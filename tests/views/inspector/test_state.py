"""Who is right and who is wrong, in which order; against direct sums over all objects."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import InputError
from labkit.evaluate import auc, binary_scores, roc_curve
from labkit.predictions import Predictions
from labkit.sample import Sample
from labkit.views.inspector import ErrorState, error_rates, gather, rates_figure
from labkit.views.inspector.state import Selection, matching


@pytest.fixture
def state(sample, predictions) -> ErrorState:
    return ErrorState(gather(sample, predictions, experiment="CN-E"), sample.catalogue)


def five_classes(sample: Sample) -> Predictions:
    rng = np.random.default_rng(2)
    p = rng.dirichlet(np.ones(3), len(sample))
    true = np.array(["a", "b", "c", ""])[np.arange(len(sample)) % 4]
    return Predictions.from_arrays(
        sample.object_ids, p, classes=("a", "b", "c"), true=true, experiment="many"
    )


@settings(deadline=None, max_examples=25)
@given(threshold=st.floats(0, 1))
def test_counts_and_ratios_are_those_of_evaluate(sample, predictions, threshold):
    state = ErrorState(gather(sample, predictions), sample.catalogue, threshold=threshold)
    truth = state.objects.true == 1
    scores = binary_scores(truth, state.score, decided=state.score > threshold)
    counts = state.summary.counts
    assert (counts["TP"], counts["FP"], counts["FN"], counts["TN"]) == (
        scores["tp"],
        scores["fp"],
        scores["fn"],
        scores["tn"],
    )
    for name, ours in {"accuracy": "accuracy", "precision": "purity", "recall": "completeness"}.items():
        assert getattr(state.summary, name) == pytest.approx(scores[ours], nan_ok=True)
    assert state.summary.fpr == pytest.approx(scores["fp_rate"], nan_ok=True)
    together = np.concatenate([state.members(Selection(group)) for group in ("TP", "FP", "FN", "TN")])
    assert sorted(together) == list(range(len(state.objects)))
    assert all(state.group_of(int(i)) == "FP" for i in state.members(Selection("FP")))


def test_probabilities_are_means_over_seeds_with_their_scatter(sample, predictions, state):
    runs = [run.score for _, run in predictions.select(experiment="CN-E").runs()]
    assert state.objects.runs == 2
    assert state.score == pytest.approx(np.mean(runs, axis=0))
    assert state.column("spread") == pytest.approx(np.std(runs, axis=0, ddof=1))
    assert np.isnan(gather(sample, predictions, experiment="MN-E").spread).all()


def test_objects_are_joined_by_id_whatever_their_order(sample, predictions, state):
    turned = predictions.select(np.random.default_rng(0).permutation(len(predictions)) >= 0)
    turned.table.reverse()
    shuffled = sample.select(np.random.default_rng(1).permutation(len(sample)))
    other = ErrorState(gather(shuffled, turned, experiment="CN-E"), shuffled.catalogue)
    assert other.score == pytest.approx(state.score)
    assert other.column("counts").tolist() == state.column("counts").tolist()
    assert shuffled.object_ids[other.objects.row].tolist() == other.objects.object_id.tolist()


@pytest.mark.parametrize("group", ["TP", "FP", "FN", "TN"])
def test_the_surest_decisions_come_first(state, group):
    surest = state.score if group in ("TP", "FP") else 1 - state.score
    found = state.members(Selection(group))
    assert (np.diff(surest[found]) <= 0).all()
    assert state.members(Selection(group, descending=False)).tolist() == found[::-1].tolist()


@pytest.mark.parametrize("descending", [True, False])
def test_any_column_sorts_and_gaps_come_last(state, descending):
    found = state.members(Selection("TN", sort="counts", descending=descending))
    steps = np.diff(state.column("counts")[found])
    assert (steps <= 0).all() if descending else (steps >= 0).all()
    mixed = ErrorState(state.objects, state.catalogue, threshold=0.0)
    every = mixed.members(Selection("FP", sort="redshift", descending=descending))
    assert len(every) == mixed.summary.counts["FP"]  # all of them have no redshift
    text = state.column("label")[state.members(Selection("FP", sort="label", descending=descending))]
    assert text.tolist() == sorted(text.tolist(), reverse=descending)


def test_a_point_of_the_curve_sets_its_threshold(state):
    truth = state.objects.true == 1
    curve = roc_curve(truth, state.score)
    assert state.auc == auc(truth, state.score)
    for fpr, tpr in zip(state.roc["fpr"], state.roc["tpr"], strict=True):
        state.threshold = state.nearest_threshold(fpr, tpr)
        assert (state.summary.fpr, state.summary.recall) == (pytest.approx(fpr), pytest.approx(tpr))
    assert len(state.roc) <= len(curve)


def test_one_class_is_set_against_the_rest_and_unknown_ones_stand_apart(sample):
    state = ErrorState(gather(sample, five_classes(sample)), sample.catalogue, positive="b", threshold=0.4)
    truth, taken = state.column("true") == "b", state.score > 0.4
    unknown = state.column("true") == ""
    counts = state.summary.counts
    assert counts["TP"] == (truth & taken).sum()
    assert counts["FP"] == (~truth & ~unknown & taken).sum()
    assert (counts["new"], counts["rest"]) == ((unknown & taken).sum(), (unknown & ~taken).sum())
    other = state.with_positive("c")
    assert other.score.tolist() == state.objects.probabilities[:, 2].tolist()
    assert other.threshold == 0.4
    index = int(state.members(Selection("FN"))[0])
    assert state.decided(index) in ("a", "c")


def test_filters_mean_what_they_say(state):
    counts, label = state.column("counts"), state.column("label")
    for text, expected in {
        "counts > 200 and label = point source": (counts > 200) & (label == "point source"),
        "counts<=200, label != other": (counts <= 200) & (label != "other"),
        "x1": np.char.startswith(state.objects.object_id, "X1"),
        "label ~ CLUSTER & good = yes": (label == "low-z cluster") & state.column("good"),
        "good != true": ~state.column("good"),
        "redshift < 0.4": state.column("redshift") < 0.4,
        "off_axis >= 6": state.column("off_axis") >= 6,
        "  ": np.ones(len(counts), dtype=bool),
    }.items():
        assert matching(text, state.column, size=len(counts)).tolist() == expected.tolist(), text
    found = state.members(Selection("TN", sort="counts", text="counts > 100"))
    assert (counts[found] > 100).all()
    assert len(found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("counts >", "filter must compare with a value"),
        ("counts > many", "'counts' must be compared with a number"),
        ("label > a", "'label' is text"),
        ("good = maybe", "'good' is true or false"),
        ("colour = red", "column must be one of"),
    ],
)
def test_wrong_filters_are_explained(state, text, message):
    with pytest.raises(InputError, match=message):
        state.members(Selection("TN", text=text))


def test_steps_hold_at_the_ends(state):
    selection = Selection("TP")
    found = state.members(selection)
    assert state.step(selection, found[0], -1) == found[0]
    assert state.step(selection, found[0], 2) == found[2]
    assert state.step(selection, found[-1], 5) == found[-1]
    assert state.step(selection, -1, 1) == found[0]
    state.threshold = 1.0
    assert state.step(selection, found[0], 1) == -1
    assert state.page(selection, 0, size=5).tolist() == []


def test_votes_are_columns_too(sample, predictions):
    votes = Table({"object_id": ["X03", "X00", "gone"], "n_votes": [7, 3, 1], "label": ["a", "b", "c"]})
    state = ErrorState(gather(sample, predictions, votes=votes), sample.catalogue, votes=votes)
    assert {"n_votes", "votes_label"} <= set(state.columns)
    n = state.column("n_votes")
    assert (n[0], n[3], np.isnan(n[1])) == (3, 7, True)
    assert state.column("votes_label")[[0, 1]].tolist() == ["b", ""]


def test_added_columns_are_sorted_anew_when_they_change(state):
    state.add_column("verdict", np.full(len(state.objects), "none"))
    selection = Selection("TN", text="verdict = agree")
    assert not len(state.members(selection))
    some = state.members(Selection("TN"))[:2]
    changed = np.full(len(state.objects), "none", dtype="U9")
    changed[some] = "agree"
    state.add_column("verdict", changed)
    assert sorted(state.members(selection)) == sorted(some)


def test_objects_are_found_by_their_ids(state):
    assert state.objects.find_all(["X03", "X99", "", "X00"]).tolist() == [3, -1, -1, 0]
    assert state.objects.find("X39") == 39


def plot_ticks(table) -> list[float]:
    return rates_figure({"a": table}, x="counts", log=True).xaxis[0].ticker.ticks


def test_error_rates_by_class_and_along_a_quantity(state):
    table = error_rates(state, "label")
    truth, taken = state.objects.true == 1, state.score > 0.5
    assert table["objects"].sum() == len(truth)
    assert table["FP"].sum() == (taken & ~truth).sum()
    assert table["FN"][table["label"] == "low-z cluster"][0] == (truth & ~taken).sum()
    assert (table["rate_low"] <= table["rate"]).all()
    along = error_rates(state, "counts", bins=4)
    assert along["objects"].tolist() == [10] * 4
    assert along["FN"].sum() == (truth & ~taken).sum()
    assert (along["low"][1:] > along["high"][:-1]).all()
    assert error_rates(state, "counts", only="cluster")["objects"].sum() == truth.sum()
    assert error_rates(state, "counts", only="cluster")["FP"].sum() == 0
    assert set(plot_ticks(along)) >= {100, 200, 500}
    assert error_rates(state, "redshift")["objects"].sum() == np.isfinite(state.column("redshift")).sum()
    plot = rates_figure({"CN-E": along, "other": along}, x="counts", log=True)
    assert (plot.xaxis[0].axis_label, plot.yaxis[0].axis_label) == ("counts", "error rate")
    assert [item.label.value for item in plot.legend[0].items] == ["CN-E", "other"]


def test_wrong_input_is_named(sample, predictions, state):
    lacking = sample.select(np.arange(30))
    with pytest.raises(InputError, match=r"10 of 40 are missing, first \['X30', 'X31', 'X32'\]"):
        gather(lacking, predictions)
    with pytest.raises(InputError, match="experiment must be one of"):
        gather(sample, predictions, experiment="VGG")
    with pytest.raises(InputError, match="predictions must hold one object or more"):
        gather(sample, predictions.select(split="nowhere"))
    with pytest.raises(InputError, match="votes must have the column 'object_id'"):
        gather(sample, predictions, votes=Table({"id": ["a"]}))
    with pytest.raises(InputError, match="ids must be unique"):
        gather(sample, predictions, votes=Table({"object_id": ["a", "a"]}))
    with pytest.raises(InputError, match="positive must be one of"):
        ErrorState(gather(sample, predictions), sample.catalogue, positive="quasar")
    with pytest.raises(InputError, match="threshold must lie in 0 to 1"):
        state.threshold = 1.2
    with pytest.raises(InputError, match="group must be one of"):
        state.members(Selection("maybe"))
    with pytest.raises(InputError, match="bins must be at least 1"):
        error_rates(state, "counts", bins=0)
    with pytest.raises(InputError, match="only must be one of"):
        error_rates(state, "counts", only="quasar")
    with pytest.raises(InputError, match="must have entries for objects of known class"):
        state.add_column("gap", np.full(len(state.objects), np.nan))
        error_rates(state, "gap")
    with pytest.raises(InputError, match="must be error rates along numbers"):
        rates_figure({"a": error_rates(state, "label")}, x="label")


def test_runs_that_disagree_about_the_truth_are_refused(sample, predictions):
    table = predictions.table.copy()
    table["true"][0] = "non-cluster"
    with pytest.raises(InputError, match=r"true must be the same in every run of an object.*'X00'"):
        gather(sample, Predictions(table, predictions.classes, "cluster"))


def test_without_known_classes_there_is_no_curve(sample):
    unknown = Predictions.from_arrays(
        sample.object_ids, np.full((40, 2), 0.5), classes=("a", "b"), true=[""] * 40, experiment="new"
    )
    state = ErrorState(gather(sample, unknown), sample.catalogue)
    assert (len(state.roc), np.isnan(state.auc), np.isnan(state.summary.accuracy)) == (0, True, True)
    assert state.nearest_threshold(0.1, 0.9) == 0.5
    assert state.summary.counts["rest"] == 40


def test_masked_entries_are_gaps(predictions, sample):
    catalogue = QTable(sample.catalogue, masked=True)
    catalogue["z"] = np.ma.MaskedArray(np.arange(40), mask=np.arange(40) == 2)
    state = ErrorState(gather(sample, predictions), catalogue)
    assert np.flatnonzero(np.isnan(state.column("z"))).tolist() == [2]
    assert catalogue["ra"].unit == u.deg

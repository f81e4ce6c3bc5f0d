"""Who is right and who is wrong, in which order; against direct sums over all objects."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table
from bokeh.models import ColumnDataSource
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


def three_classes(sample: Sample) -> Predictions:
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
    for name in ("TP", "FP", "FN", "TN"):
        assert state.summary.counts[name] == scores[name.lower()]
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
    assert state.objects.find(["X03", "X99", "", "X00"]).tolist() == [3, -1, -1, 0]


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
    state = ErrorState(gather(sample, three_classes(sample)), sample.catalogue, positive="b", threshold=0.4)
    truth, taken = state.column("true") == "b", state.score > 0.4
    unknown = state.column("true") == ""
    counts = state.summary.counts
    assert counts["TP"] == (truth & taken).sum()
    assert counts["FP"] == (~truth & ~unknown & taken).sum()
    assert (counts["new"], counts["rest"]) == ((unknown & taken).sum(), (unknown & ~taken).sum())
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
    assert error_rates(state, "redshift")["objects"].sum() == np.isfinite(state.column("redshift")).sum()
    plot = rates_figure({"CN-E": along, "other": along}, x="counts", log=True)
    assert set(plot.xaxis[0].ticker.ticks) >= {100, 200, 500}
    assert (plot.xaxis[0].axis_label, plot.yaxis[0].axis_label) == ("counts", "error rate")
    assert [item.label.value for item in plot.legend[0].items] == ["CN-E", "other"]
    sources = plot.select(type=ColumnDataSource)
    assert {type(one) for source in sources for one in source.data.values()} <= {list, np.ndarray}


def wrong_filter(state: ErrorState, text: str) -> None:
    state.members(Selection("TN", text=text))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s, p, _: gather(s.select(np.arange(30)), p), r"10 of 40 are missing, first \['X30'"),
        (lambda s, p, _: gather(s, p, experiment="VGG"), "experiment must be one of"),
        (lambda s, p, _: gather(s, p.select(split="nowhere")), "predictions must hold one object or more"),
        (lambda s, p, _: gather(s, p, votes=Table({"id": ["a"]})), "votes must have the columns"),
        (lambda s, p, _: gather(s, p, votes=Table({"object_id": ["a", "a"]})), "ids must be unique"),
        (lambda s, p, _: ErrorState(gather(s, p), s.catalogue, positive="quasar"), "positive must be one of"),
        (lambda s, p, _: ErrorState(gather(s, p), s.catalogue, threshold=2), "threshold must lie in"),
        (lambda _s, _p, state: state.members(Selection("maybe")), "group must be one of"),
        (lambda _s, _p, state: error_rates(state, "counts", bins=0), "bins must be at least 1"),
        (lambda _s, _p, state: error_rates(state, "counts", only="quasar"), "only must be one of"),
        (lambda _s, _p, state: error_rates(state, "gap"), "must have entries for objects of known class"),
        (lambda *a: wrong_filter(a[2], "counts >"), "must compare with a value"),
        (lambda *a: wrong_filter(a[2], "counts > many"), "'counts' must be compared"),
        (lambda *a: wrong_filter(a[2], "label > a"), "'label' is text"),
        (lambda *a: wrong_filter(a[2], "good = maybe"), "'good' is true or false"),
        (lambda *a: wrong_filter(a[2], "colour = red"), "column must be one of"),
    ],
)  # fmt: skip
def test_wrong_input_is_named(sample, predictions, state, call, message):
    state.add_column("gap", np.full(len(state.objects), np.nan))
    with pytest.raises(InputError, match=message):
        call(sample, predictions, state)


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

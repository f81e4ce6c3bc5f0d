"""Methods beside each other, and their errors, by labels and plotted data."""

import numpy as np
import pytest
from astropy.table import Table
from bokeh.models import Range1d

from labkit.errors import InputError
from labkit.evaluate import agreement_table, auc, crossing, wilson
from labkit.predictions import Predictions
from labkit.views.angora_methods import (
    contamination_distribution,
    error_distributions,
    method_agreement,
    method_rocs,
    pooled_rocs,
    threshold_curves,
)

N = 120


def predictions(score: np.ndarray, member: np.ndarray, name: str) -> Predictions:
    return Predictions.from_arrays(
        [f"o{k:03d}" for k in range(len(score))],
        np.column_stack([1 - score, score]),
        classes=("non-member", "member"),
        true=np.where(member, "member", "non-member"),
        experiment=name,
        positive="member",
    )


@pytest.fixture
def member() -> np.ndarray:
    return np.arange(N) % 2 == 0


@pytest.fixture
def methods(member) -> dict[str, Predictions]:
    rng = np.random.default_rng(4)
    score = {
        name: 1 / (1 + np.exp(-np.where(member, 1, -1) * gain + rng.normal(0, 1.5, N)))
        for name, gain in (("CNN", 2.0), ("forest", 1.0))
    }
    return {name: predictions(p, member, name) for name, p in score.items()}


def test_curves_are_purity_and_completeness_at_each_threshold(look, methods, member):
    plots = look.panels(threshold_curves(methods, resamples=50))
    assert [plot.title.text for plot in plots] == ["CNN", "forest"]
    score = methods["CNN"].score
    for name, total in (("purity", None), ("completeness", member.sum())):
        line = look.data(plots[0], name)
        for x, y in list(zip(line["x"], line["y"], strict=True))[::40]:
            chosen = score >= x
            expected = (member & chosen).sum() / (total or chosen.sum())
            assert y == pytest.approx(expected)
    dot = look.data(plots[0], "crossing")
    assert (dot["x"][0], dot["y"][0]) == pytest.approx(crossing(member, score))
    assert look.data(plots[0], "crossing value")["text"][0].startswith(f"{100 * dot['y'][0]:.1f} ± ")
    assert plots[0].x_range is plots[1].x_range


def test_bands_shrink_with_the_number_of_objects_and_one_method_is_enough(look, methods, member):
    def width(n: int) -> float:
        one = {"CNN": predictions(np.resize(methods["CNN"].score, n), np.resize(member, n), "CNN")}
        (plot,) = look.panels(threshold_curves(one, resamples=200))
        band = next(r for r in plot.renderers if hasattr(r.glyph, "y2") and hasattr(r.glyph, "y1"))
        low, high = (np.asarray(band.data_source.data[key]) for key in ("y1", "y2"))
        return float((high - low)[80:120].mean())

    assert width(16 * N) == pytest.approx(width(N) / 4, rel=0.35)


def test_perfect_methods_cross_at_one(look, member):
    (plot,) = look.panels(threshold_curves({"sure": predictions(member.astype(float), member, "sure")}))
    assert look.data(plot, "crossing")["y"] == [1.0]


def test_all_objects_and_every_cluster_have_their_roc_curves(look, methods, member):
    pooled = pooled_rocs(methods, title="Four clusters")
    assert pooled.title.text == "Four clusters"
    for name, one in methods.items():
        assert any(f"{name}: AUC {auc(member, one.score):.3f}" in words for words in look.legend(pooled))
    hosts = np.resize(["A", "A", "B", "B", "B"], N).astype("<U4")
    hosts[:3] = "all"  # members and others
    hosts[3] = "bare"  # not one member
    catalogue = Table({"object_id": [f"o{k:03d}" for k in range(N)], "cluster": hosts})
    plots = look.panels(method_rocs(methods, catalogue))
    assert [plot.title.text.split(" (")[0] for plot in plots] == ["A", "B", "all"]
    here = hosts == "B"
    area = auc(member[here], methods["forest"].score[here])
    assert f"forest: AUC {area:.3f}" in look.legend(plots[1])
    assert f"({member[here].sum()} of {here.sum()} members)" in plots[1].title.text
    with pytest.raises(InputError, match=r"\['cluster'\] missing"):
        method_rocs(methods, catalogue[["object_id"]])
    with pytest.raises(InputError, match="members and others"):
        method_rocs(methods, Table({"object_id": catalogue["object_id"], "cluster": catalogue["object_id"]}))


def test_agreement_rows_count_every_object_once(look, methods, member):
    table = agreement_table(methods)
    left, right = look.panels(method_agreement(table))
    members, others = look.data(right, "members"), look.data(right, "non-members")
    assert sum(members["objects"]) == member.sum()
    assert sum(members["value"]) == pytest.approx(100)
    assert sum(others["value"]) == pytest.approx(100)
    assert members["right"].tolist() == members["value"].tolist(), "bars start at zero"
    assert members["right_"][0] == "CNN + forest"
    assert members["right_"][-1] == "none"
    both = ((methods["CNN"].score > 0.5) == member) & ((methods["forest"].score > 0.5) == member)
    assert members["objects"][0] == (both & member).sum()
    assert look.data(left, "right")["y"][:2].tolist() == [0, 0]  # both right on top
    assert len(look.data(left, "wrong")["x"]) == len(look.data(left, "right")["x"]) == 4
    share = 100 * ((methods["CNN"].score > 0.5) == member).mean()
    assert left.xaxis[0].major_label_overrides[0] == f"CNN\n{share:.1f} %"


def test_agreement_without_non_members(look, methods):
    table = agreement_table(methods)
    table["non_members"] = 0
    _, right = look.panels(method_agreement(table))
    assert not [r for r in right.renderers if r.name == "non-members"]
    table["members"] = 0
    with pytest.raises(InputError, match="count an object"):
        method_agreement(table)
    with pytest.raises(InputError, match=r"\['members'\] missing"):
        method_agreement(table["CNN", "non_members"])
    with pytest.raises(InputError, match="one bool column per method"):
        method_agreement(table["members", "non_members"])


def test_error_rates_are_those_of_each_bin(look):
    m = np.repeat([20.0, 24.0], 40)
    kinds = np.array(
        ["TP"] * 18 + ["FN"] * 2 + ["TN"] * 20 + ["TP"] * 10 + ["FN"] * 10 + ["TN"] * 15 + ["FP"] * 5
    )
    grid = error_distributions({"F814 (mag)": m, "colour (mag)": np.where(m > 22, np.nan, m)}, kinds, bins=2)
    panels = {(row, column): panel for panel, row, column in grid.children}
    assert len(panels) == 4
    missed, taken = look.data(panels[1, 0], "FN"), look.data(panels[1, 0], "FP")
    assert np.asarray(missed["y"]).tolist() == [0.1, 0.5]
    assert np.asarray(taken["y"]).tolist() == [0, 0.25]
    assert missed["low"][0] == pytest.approx(wilson(2, 20, confidence=0.68).low)
    steps = look.data(panels[0, 0], "FP")  # all false positives in the second bin
    assert max(steps["y"]) == 1
    assert panels[1, 0].x_range is panels[0, 0].x_range
    assert panels[0, 1].xaxis[0].axis_label == "colour (mag)"


def test_two_galaxies_have_error_rates(look):
    _, rates = look.panels(error_distributions({"m": [20.0, 21.0]}, ["TP", "FN"], bins=2))
    assert look.data(rates, "FN")["y"].tolist() == [0, 1]


def test_crowding_shows_shares_of_each_outcome(look):
    index = np.array([0, 0.1, 0.2, 0.4, 0, 0, np.nan, 1.0])
    kinds = ["TP", "TP", "TP", "TP", "TN", "TN", "TN", "FP"]  # no false negatives
    left, right = look.panels(contamination_distribution(index, kinds, bins=4))
    assert sum(np.asarray(look.data(left, "TP")["y"])[1:-1:2]) == pytest.approx(0.75)
    assert look.legend(left) == ["TP (4)", "TN (2)", "FP (1)", "FN (0)"]
    shares = look.data(right, "crowded")
    assert dict(zip(shares["kind"], shares["y"], strict=True)) == {"TP": 0.75, "TN": 0, "FP": 1}
    assert isinstance(right.y_range, Range1d)
    empty = contamination_distribution(np.zeros(2), ["TP", "FN"])  # nobody is crowded
    assert not np.asarray(look.data(empty.children[0][0], "TP")["y"]).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: threshold_curves({}), "methods must hold"),
        (lambda: threshold_curves({"CNN": predictions(np.full(3, 0.4), np.zeros(3, dtype=bool), "CNN")}),
         "name a member"),
        (lambda: error_distributions({}, ["TP"]), "quantities must hold"),
        (lambda: error_distributions({"m": [1.0]}, ["member"]), r"outcome must be of .* got \['member'\]"),
        (lambda: error_distributions({"m": [np.nan]}, ["TP"]), "'m' must be finite"),
        (lambda: error_distributions({"a": [1, 2], "b": [1]}, ["TP"] * 2), r"'b': \(1,\)"),
        (lambda: contamination_distribution([-1.0], ["TP"]), "index must never be negative, got -1"),
        (lambda: contamination_distribution([np.nan], ["TP"]), "got none of 1"),
        (lambda: contamination_distribution([1, 2], ["TP"]), "index, outcome must have one entry per galaxy"),
        (lambda: contamination_distribution([0.1], ["yes"]), r"got \['yes'\]"),
    ],
)  # fmt: skip
def test_figures_refuse_what_does_not_fit(call, message):
    with pytest.raises(InputError, match=message):
        call()

"""Figures of Angora et al. (2020): bands, training sets, ranges, methods, by labels and plotted data."""

from functools import partial

import numpy as np
import pytest
from astropy.table import Table, vstack

from labkit import evaluate, views
from labkit.errors import InputError
from labkit.views import roc
from labkit.views.angora import configurations, redshift_bins, table_beside, training_ranges, training_size

MEASURES = ("accuracy", "purity", "completeness", "f1")
BINS = {"a": (0.1, 0.2), "b": (0.2, 0.3), "c": (0.3, 0.4)}


def folds(shift: float = 0.0, number: int = 5) -> Table:
    return Table({name: 0.8 + shift + 0.01 * np.arange(number) for name in MEASURES})


def binned() -> tuple[Table, Table]:
    """Three redshift bins; completeness falls by 10 points from z = 0.2 to 0.4."""
    parts, overall = [], []
    for name, fall in (("a", 0.0), ("b", 0.05), ("c", 0.10)):
        part = folds()
        part["completeness"] -= fall
        part["redshift_bin"] = name
        parts.append(part)
        row = Table(part[2:3])
        for sign, end in ((-1, "low"), (1, "high")):
            row[f"completeness_{end}"] = row["completeness"] + sign * 0.02
        overall.append(row)
    return vstack(parts), vstack(overall)


def test_boxes_hold_the_quartiles_of_the_folds(look):
    every, overall = binned()
    upper, lower = look.panels(redshift_bins(every, overall, bins=BINS))
    box = look.data(upper, "completeness")
    assert np.asarray(box["median"]) == pytest.approx([82, 77, 72])
    assert (box["q1"][0], box["q3"][0]) == pytest.approx((81, 83))
    assert (box["least"][0], box["most"][0]) == pytest.approx((80, 84))
    assert upper.xaxis[0].major_label_overrides == {0: "0.10–0.20", 1: "0.20–0.30", 2: "0.30–0.40"}
    assert "completeness: −5.0 ± 0.0 % per 0.1 in z" in look.legend(lower)
    points = look.data(lower, "completeness")
    assert np.asarray(points["high"]) - np.asarray(points["low"]) == pytest.approx(4)
    assert np.isnan(look.data(lower, "purity")["low"]).all()  # no interval known
    places = [
        look.data(lower, name)["x"][0] for name in ("average efficiency", "purity", "completeness", "F1")
    ]
    assert len(set(places)) == 4  # side by side


def test_one_bin_and_missing_folds_are_fine(look):
    every, overall = binned()
    every["purity"][:5] = np.nan
    upper, lower = look.panels(redshift_bins(every[:5], overall[:1], bins=BINS))
    assert not len(look.data(upper, "purity")["x"])
    assert "purity" in look.legend(lower)  # a single point has no line
    assert len(look.panels(redshift_bins(every, bins=BINS))) == 1


def test_tables_of_the_paper_have_both_values_side_by_side():
    table = Table({"redshift_bin": ["a", "a"], "class": ["member", "non-member"], "f1": [0.5, 0.25]})
    names = ["a", "b"]  # the first two of the printed bins
    found = str(table_beside(table, "tableD3", data="simulated", names=names, note="Mean."))
    assert "Table D.3, members, per cent, measured (simulated) and as in the paper (real). Mean.<" in found
    assert ">50.0<" in found
    assert ">85.7 ± 1.4<" in found
    assert "non-member" not in found
    named = {"a": "0.18-0.32", "b": "0.32-0.37"}
    assert ">25.0<" in str(table_beside(table, "tableD3", data="simulated", names=named, of=""))
    nothing = evaluate.measure({}, by=("redshift_bin", "class"))
    assert "This run has none." in str(table_beside(nothing, "tableD3", data="real", names=names))


def test_a_figure_of_nothing_is_a_line_that_says_so(monkeypatch):
    nothing = evaluate.measure({}, by=("bands", "seed"))
    for draw in (configurations, training_size, training_ranges, partial(redshift_bins, bins=BINS)):
        assert draw(nothing, title="A & B").text == "A &amp; B: this run has none."
    line, shown = roc.roc({}, title="Blind"), []
    assert line.text == "Blind: this run has none."
    monkeypatch.setattr(views, "get_ipython", object)
    monkeypatch.setattr(views, "output_notebook", lambda *args, **options: None)
    monkeypatch.setattr(views, "show_in_notebook", shown.append)
    monkeypatch.setattr(views, "display", shown.append)
    views.show(line, "caption")
    assert shown == [line]
    views.show(plot := roc.roc({"a": [evaluate.roc_curve([0, 1], [0.1, 0.9])]}), "**Figure**")
    assert shown[1] is plot
    assert shown[2].data == "**Figure**"


def grown() -> Table:
    rows = []
    std = np.std([-1, -0.5, 0, 0.5, 1], ddof=1) * 20
    for name, level in (("mixed", 0.80), ("ACS", 0.82)):
        for size in (2000, 500, 1000):
            row = {"bands": name, "train": size, "runs": 5}
            for measure in ("accuracy", "f1"):
                spread = std / size
                row |= {measure: level + 2e-5 * size, f"{measure}_std": spread}
                row |= {f"{measure}_error": spread / np.sqrt(5)}
            rows.append(row)
    return Table(rows=rows)


def test_quality_rises_and_scatter_falls_with_the_training_set(look):
    first, second, below, _ = look.panels(training_size(grown()))
    assert first.yaxis[0].axis_label == "F1 (%)"
    assert second.yaxis[0].axis_label == "average efficiency (%)"
    points = look.data(first, "mixed")
    assert np.asarray(points["x"]).tolist() == [500, 1000, 2000]
    assert np.asarray(points["y"]) == pytest.approx([81, 82, 84])
    line = look.data(first, "mixed fit")
    assert np.diff(line["y"])[0] / np.diff(line["x"])[0] == pytest.approx(2e-3)  # per cent an object
    std = np.std([-1, -0.5, 0, 0.5, 1], ddof=1) * 20
    assert look.data(below, "ACS")["y"] == pytest.approx([100 * std / n for n in (500, 1000, 2000)])
    assert below.x_range is first.x_range is second.x_range
    mixed = next(tip for tip in look.tips(first) if tip[0][0] == "mixed")
    assert mixed[-1][1].startswith("slope +1.00 ± ")
    means, spreads = look.data(first, "ACS"), look.data(below, "ACS")
    assert means["high"][0] - means["y"][0] == pytest.approx(100 * std / 500 / np.sqrt(5))
    assert spreads["high"][0] - spreads["y"][0] == pytest.approx(100 * std / 500 / np.sqrt(8))


def test_single_folds_are_fine(look):
    alone = grown()[:1]
    alone["runs"], alone["f1_std"], alone["f1_error"] = 1, np.nan, np.nan
    first, _, below, _ = look.panels(training_size(alone))
    assert look.data(first, "mixed")["folds"][0] == 1
    assert np.isnan(look.data(below, "mixed")["y"]).all()


def measured() -> Table:
    table = Table({name: [0.9, 0.92] for name in MEASURES})
    table["experiment"], table["auc"] = ["mixed", "mixed*"], 0.95
    table["f1_low"], table["f1_high"] = 0.88, 0.93
    table["completeness_std"] = 0.02
    return table


def test_configurations_stand_beside_the_published_ones(look):
    published = evaluate.published("angora2020", "tableD1")
    plot = configurations(measured(), published, data="simulated")
    assert look.legend(plot)[:2] == ["mixed, simulated", "mixed*, simulated"]
    assert look.legend(plot)[-1] == "published"
    ours, theirs = look.data(plot, "mixed"), look.data(plot, "mixed, published")
    assert ours["y"] == pytest.approx([90] * 4)
    assert (ours["low"][3], ours["high"][3]) == pytest.approx((88, 93))
    assert (ours["low"][2], ours["high"][2]) == pytest.approx((88, 92))  # from the standard deviation
    assert theirs["y"] == pytest.approx([86.7, 83.1, 88.4, 85.6])  # Table D.1, members
    assert (theirs["x"] > ours["x"]).all()
    assert look.data(plot, "ALL, published")["y"][0] == pytest.approx(87.7)  # published, not measured
    assert plot.xaxis[0].major_label_overrides[0] == "average efficiency"
    assert "published" not in look.legend(configurations(measured(), measures=["F1", "purity"]))
    two = configurations(measured(), published, measures=["F1", "AUC"])
    assert np.isnan(look.data(two, "mixed, published")["y"]).tolist() == [False, True], "no published AUC"


def test_training_ranges_have_a_panel_per_cluster(look):
    parts = []
    for host in ("stacked", "A370"):
        for number, name in enumerate(("narrow", "large")):
            part = folds(0.02 * number)
            part["cluster"], part["training"] = host, name
            parts.append(part)
    table = vstack(parts)
    found = look.panels(training_ranges(table, evaluate.published("angora2020", "tableD4"), title="Blind"))
    assert [plot.title.text for plot in found] == ["Blind: stacked", "A370"]
    assert np.asarray(look.data(found[1], "large")["median"]) == pytest.approx([84] * 4)
    theirs = look.data(found[1], "large, published")
    assert theirs["y"][0] == pytest.approx(87.4)
    assert theirs["high"][0] - theirs["y"][0] == pytest.approx(0.3)
    assert look.legend(found[0]) == ["narrow", "large", "published"]
    assert found[0].y_range is found[1].y_range
    assert len(look.panels(training_ranges(table[:5]))) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: redshift_bins(binned()[0][["accuracy"]], bins=BINS), r"\['redshift_bin'\] missing"),
        (lambda: redshift_bins(binned()[0], bins={"b": (0.2, 0.3), "c": (0.3, 0.4)}),
         r"limits of every bin of folds, got none for \['a'\]"),
        (lambda: redshift_bins(binned()[0]["accuracy", "purity", "completeness", "redshift_bin"], bins=BINS),
         "the column 'f1' for 'F1', got"),
        (lambda: training_size(grown()["train", "runs", "f1"]), r"\['bands'\] missing"),
        (lambda: configurations(measured(), by="bands"), r"\['bands'\] missing"),
        (lambda: configurations(vstack([measured(), measured()])), "one row per configuration"),
        (lambda: configurations(measured(), measures=["beauty"]), "'beauty'"),
        (lambda: training_ranges(Table({"cluster": ["a"], "f1": [0.5]})), r"\['training'\] missing"),
    ],
)  # fmt: skip
def test_figures_refuse_what_does_not_fit(call, message):
    with pytest.raises(InputError, match=message):
        call()

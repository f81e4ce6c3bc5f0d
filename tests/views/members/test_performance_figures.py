from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table, vstack
from bokeh.models import Legend
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit import evaluate
from labkit.errors import InputError
from labkit.views.members import configurations, redshift_bins, training_ranges, training_size
from labkit.views.members.trends import fitted_line

MEASURES = ("accuracy", "precision", "recall", "f1")


def data(plot, name: str) -> dict:
    return next(r for r in plot.renderers if r.name == name).data_source.data


def legend_of(plot) -> list[str]:
    return [item.label.value for legend in plot.select(Legend) for item in legend.items]


def panels(grid) -> list:
    return [panel for panel, *_ in grid.children]


def folds(shift: float = 0.0, number: int = 5) -> Table:
    return Table({name: 0.8 + shift + 0.01 * np.arange(number) for name in MEASURES})


def binned() -> tuple[Table, Table]:
    """Three redshift bins; completeness falls by 10 points from z = 0.2 to 0.4."""
    parts, overall = [], []
    for low, fall in ((0.1, 0.0), (0.2, 0.05), (0.3, 0.10)):
        part = folds()
        part["recall"] -= fall
        part["z_min"], part["z_max"] = low, low + 0.1
        parts.append(part)
        row = Table(part[2:3])
        row["recall_low"], row["recall_high"] = row["recall"] - 0.02, row["recall"] + 0.02
        overall.append(row)
    return vstack(parts), vstack(overall)


def test_boxes_hold_the_quartiles_of_the_folds():
    every, overall = binned()
    upper, lower = panels(redshift_bins(every, overall))
    box = data(upper, "completeness")
    assert np.asarray(box["median"]) == pytest.approx([82, 77, 72])
    assert (box["q1"][0], box["q3"][0]) == pytest.approx((81, 83))
    assert (box["least"][0], box["most"][0]) == pytest.approx((80, 84))
    assert upper.xaxis[0].major_label_overrides == {0: "0.10–0.20", 1: "0.20–0.30", 2: "0.30–0.40"}
    assert "completeness: −5.0 ± 0.0 % per 0.1 in z" in legend_of(lower)
    points = data(lower, "completeness")
    assert np.asarray(points["high"]) - np.asarray(points["low"]) == pytest.approx(4)
    assert np.isnan(data(lower, "purity")["low"]).all()  # no interval known
    places = [data(lower, name)["x"][0] for name in ("average efficiency", "purity", "completeness", "F1")]
    assert len(set(places)) == 4  # side by side


def test_one_bin_and_missing_folds_are_fine():
    every, overall = binned()
    every["precision"][:5] = np.nan
    upper, lower = panels(redshift_bins(every[:5], overall[:1]))
    assert not len(data(upper, "purity")["x"])
    assert "purity" in legend_of(lower)  # a single point has no line
    assert len(panels(redshift_bins(every))) == 1


def test_redshift_bins_refuse_what_does_not_fit():
    every, _ = binned()
    with pytest.raises(InputError, match=r"got none for \['z_min'\]"):
        redshift_bins(every["accuracy", "z_max"])
    with pytest.raises(InputError, match=r"for 'F1', got"):
        redshift_bins(every["accuracy", "precision", "recall", "z_min", "z_max"])
    with pytest.raises(InputError, match=r"measures must be of .* got \['beauty'\]"):
        redshift_bins(every, measures=["beauty"])
    with pytest.raises(InputError, match="row at least"):
        redshift_bins(every[:0])


def grown() -> Table:
    rng = np.random.default_rng(1)
    parts = []
    for name, level in (("mixed", 0.80), ("ACS", 0.82)):
        for size in (500, 1000, 2000):
            part = folds()
            for measure in MEASURES:
                part[measure] = level + 2e-5 * size + rng.permutation([-1, -0.5, 0, 0.5, 1]) * 20 / size
            part["configuration"], part["train"] = name, size
            parts.append(part)
    return vstack(parts)


def test_quality_rises_and_scatter_falls_with_the_training_set():
    first, second, below, _ = panels(training_size(grown()))
    assert first.yaxis[0].axis_label == "F1 (%)"
    assert second.yaxis[0].axis_label == "average efficiency (%)"
    points = data(first, "mixed")
    assert np.asarray(points["x"]).tolist() == [500, 1000, 2000]
    assert np.asarray(points["y"]) == pytest.approx([81, 82, 84])
    line = data(first, "mixed fit")
    assert np.diff(line["y"])[0] / np.diff(line["x"])[0] == pytest.approx(2e-3)  # per cent an object
    std = np.std([-1, -0.5, 0, 0.5, 1], ddof=1) * 20
    assert np.asarray(data(below, "ACS")["y"]) == pytest.approx([100 * std / n for n in (500, 1000, 2000)])
    assert below.x_range is first.x_range is second.x_range
    slope = {
        t.tooltips[0][0]: dict(t.tooltips)["slope"] for t in first.toolbar.tools if hasattr(t, "tooltips")
    }
    assert slope["mixed"].startswith("+1.00 ± ")


def test_single_folds_and_sets_of_unequal_size_are_fine():
    alone = grown()[:1]
    first, _, below, _ = panels(training_size(alone))
    assert data(first, "mixed")["n"][0] == 1
    assert np.isnan(data(below, "mixed")["y"]).all()
    table = grown()[:5]
    table["train"] = [498, 499, 500, 501, 502]
    table["set"] = 1
    assert data(panels(training_size(table))[0], "mixed")["x"].tolist() == [500]
    with pytest.raises(InputError, match=r"got none for \['configuration'\]"):
        training_size(table["train", "f1"])


def measured() -> Table:
    table = Table({name: [0.9, 0.92] for name in MEASURES})
    table["experiment"] = ["first", "mixed*"]
    table["f1_low"], table["f1_high"] = 0.88, 0.93
    table["recall_std"] = 0.02
    return table


def test_configurations_stand_beside_the_published_ones():
    published = evaluate.published("angora2020", "tableD1")
    plot = configurations(measured(), published, names={"first": "mixed"}, data="simulated")
    assert legend_of(plot)[:2] == ["mixed, simulated", "mixed*, simulated"]
    assert legend_of(plot)[-1] == "published"
    ours, theirs = data(plot, "mixed, simulated"), data(plot, "mixed, published")
    assert np.asarray(ours["y"]) == pytest.approx([90] * 4)
    assert (ours["low"][3], ours["high"][3]) == pytest.approx((88, 93))
    assert (ours["low"][2], ours["high"][2]) == pytest.approx((88, 92))  # from the standard deviation
    assert np.asarray(theirs["y"]) == pytest.approx([86.7, 83.1, 88.4, 85.6])  # Table D.1, members
    assert (np.asarray(theirs["x"]) > np.asarray(ours["x"])).all()
    assert data(plot, "ALL, published")["y"][0] == pytest.approx(87.7)  # published, not measured
    assert plot.xaxis[0].major_label_overrides[0] == "average efficiency"
    alone = configurations(measured(), measures=["F1", "purity"])
    assert "published" not in legend_of(alone)


def test_measures_that_were_not_published_have_no_diamond():
    table = measured()
    table["auc"] = 0.95
    published = evaluate.published("angora2020", "tableD1")
    plot = configurations(table, published, names={"first": "mixed"}, measures=["F1", "AUC"])
    assert np.isnan(data(plot, "mixed, published")["y"]).tolist() == [False, True]


def test_configurations_refuse_what_does_not_fit():
    with pytest.raises(InputError, match=r"got none for \['bands'\]"):
        configurations(measured(), by="bands")
    with pytest.raises(InputError, match="one row a configuration"):
        configurations(measured(), names={"first": "mixed*"})
    with pytest.raises(InputError, match="'AUC'"):
        configurations(measured(), measures=["AUC"])


def test_training_ranges_have_a_panel_a_cluster():
    parts = []
    for host in ("stacked", "A370"):
        for number, name in enumerate(("narrow", "large")):
            part = folds(0.02 * number)
            part["cluster"], part["training"] = host, name
            parts.append(part)
    table = vstack(parts)
    found = panels(training_ranges(table, evaluate.published("angora2020", "tableD4"), title="Blind"))
    assert [plot.title.text for plot in found] == ["Blind: stacked", "A370"]
    assert np.asarray(data(found[1], "large")["median"]) == pytest.approx([84] * 4)
    theirs = data(found[1], "large, published")
    assert theirs["y"][0] == pytest.approx(87.4)
    assert theirs["high"][0] - theirs["y"][0] == pytest.approx(0.3)
    assert legend_of(found[0]) == ["narrow", "large", "published"]
    assert found[0].y_range is found[1].y_range
    assert len(panels(training_ranges(table[:5]))) == 1
    with pytest.raises(InputError, match=r"got none for \['training'\]"):
        training_ranges(table["cluster", "f1"])


@settings(max_examples=30)
@given(st.floats(-5, 5), st.floats(-5, 5), st.integers(3, 9))
def test_fitted_lines_meet_points_on_a_line_whatever_the_weights(slope, intercept, number):
    x = np.arange(number, dtype=float)
    y = intercept + slope * x
    line = fitted_line(x, y, error=np.linspace(1, 3, number))
    assert (line.slope, line.intercept) == pytest.approx((slope, intercept), abs=1e-9)
    assert line.slope_error == pytest.approx(0, abs=1e-9)
    assert line(x) == pytest.approx(y, abs=1e-8)


def test_fitted_lines_equal_numpys_with_their_errors():
    rng = np.random.default_rng(0)
    x, y, error = rng.uniform(0, 1, (3, 12))
    line = fitted_line(np.append(x, 2), np.append(y, np.nan), error=np.append(error, 1))
    (slope, intercept), covariance = np.polyfit(x, y, 1, w=1 / error, cov=True)
    assert (line.slope, line.intercept) == pytest.approx((slope, intercept))
    assert line.slope_error == pytest.approx(np.sqrt(covariance[0, 0]))
    assert fitted_line([1, 1], [2, 3]) is None
    assert np.isnan(fitted_line([1, 2], [2, 3]).slope_error)
    assert fitted_line([1, 2, 3], [0, 1, 5], error=[0, 1, 1]).slope == pytest.approx(2.5)  # equal weights

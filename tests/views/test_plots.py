"""The grammar of figures, by the labels and the data that they plot."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import MaskedColumn, QTable, Table
from bokeh.models import HBar, Line, Scatter, Segment

from labkit.errors import InputError
from labkit.views.distributions import class_counts, histogram, linked_scatters, scatter
from labkit.views.marks import bounded, fitted_line
from labkit.views.plots import bars, curves, points
from labkit.views.style import CLASS_COLOURS, GROUP_COLOURS, PALETTE, class_colours, colours, log_ticks
from labkit.views.tables import bullet_list, table, transposed


@pytest.fixture
def measures() -> Table:
    return Table(
        {
            "size": [500, 1000, 500, 1000],
            "bands": ["mixed", "mixed", "ACS", "ACS"],
            "f1": [0.80, 0.82, 0.70, 0.76],
            "f1_std": [0.02, 0.01, 0.02, 0.01],
            "f1_published": [0.86, 0.87, np.nan, 0.85],
        }
    )


def test_points_stand_at_their_values_with_published_ones_hollow_beside(measures, look):
    plot = points(measures, "size", "f1", by="bands", percent=True, title="t", x_label="trained on")
    assert look.axis_labels(plot) == ("trained on", "f1 %")
    ours, theirs = look.data(plot, "mixed"), look.data(plot, "mixed, published")
    np.testing.assert_allclose(ours["y"], [80, 82])
    np.testing.assert_allclose(ours["low"], [78, 81])
    np.testing.assert_allclose(ours["x"], [500, 1000])
    np.testing.assert_allclose(theirs["y"], [86, 87])
    assert look.drawn(plot, "mixed, published")[0].glyph.fill_color == "white"
    assert look.legend(plot) == ["mixed", "ACS", "published"]
    assert look.tips(plot)[0] == [("mixed", "@y{0.0} % (@low{0.0} to @high{0.0})")]


def test_groups_stand_side_by_side_at_named_places(measures, look):
    measures["size"] = ["small", "large", "small", "large"]
    plot = points(measures, "size", "f1", by="bands")
    assert plot.xaxis[0].major_label_overrides == {0: "small", 1: "large"}
    places = [
        look.data(plot, name)["x"][0] for name in ("mixed", "mixed, published", "ACS", "ACS, published")
    ]
    assert places == sorted(places)
    assert len(set(places)) == 4
    assert max(np.abs(places)) < 0.5, "between the lines of their place"
    assert look.data(plot, "ACS")["place"].tolist() == ["small", "large"]
    across = points(measures, "size", "f1", by="bands", across=True)
    np.testing.assert_allclose(look.data(across, "mixed")["x"], [0.80, 0.82])
    assert across.yaxis[0].major_label_overrides == {0: "small", 1: "large"}


def test_points_may_have_lines_notes_and_details(measures, look):
    line = fitted_line([500, 1000], [0.70, 0.76])
    plot = points(measures, "size", "f1", by="bands", lines={"ACS": line, "mixed": None},
                  details={"bands": ""}, notes={"ACS": "<b>@1"}, dodge=10)  # fmt: skip
    assert np.diff(look.data(plot, "ACS fit")["y"]) == pytest.approx(0.06)
    assert not look.drawn(plot, "mixed fit")
    assert look.tips(plot)[-1][1:] == [("bands", "@{bands}"), ("", "&lt;b&gt;&#64;1")]
    assert look.data(plot, "ACS", Scatter)["x"].tolist() == [505, 1005]
    assert points(measures, "size", "f1", labels={"f1": "all"}, on=plot) is plot


def test_columns_named_as_a_figures_own_do_not_take_their_place(measures, look):
    measures.rename_columns(["size", "bands"], ["x", "low"])
    plot = points(measures, "x", "f1", by="low", details={"x": "0", "low": ""})
    assert look.data(plot, "ACS")["low"].tolist() == pytest.approx([0.68, 0.75])
    assert look.data(plot, "ACS")["low_"].tolist() == ["ACS", "ACS"]
    assert ("low", "@{low_}") in look.tips(plot)[0]


def test_curves_have_bands_that_do_not_bridge_gaps(look):
    one = Table({"x": np.arange(5.0), "y": np.arange(5.0), "run": ["a"] * 5})
    one["y_low"], one["y_high"] = one["y"] - 1, one["y"] + 1
    one["y_low"][2] = np.nan
    two = Table({"x": [0.0, 1.0], "y": [3.0, 2.0], "run": ["b", "b"]})
    plot = curves(one, "x", "y", by="run", x_label="time (s)")
    assert look.axis_labels(plot) == ("time (s)", "y")
    assert [len(r.data_source.data["x"]) for r in look.glyphs(plot) if hasattr(r.glyph, "y2")] == [2, 2]
    assert look.data(plot, "a", Line)["y"].tolist() == [0, 1, 2, 3, 4]
    curves(two, "x", "y", by="run", on=plot, labels={"b": "second"})
    assert look.legend(plot) == ["a", "second"]
    assert not [r for r in look.glyphs(plot) if hasattr(r.glyph, "y2") and r.name == "b"]
    assert look.data(plot, "b", Line)["x"].tolist() == [0, 1]


def test_bars_stand_side_by_side_or_end_to_end(look):
    rows = Table(
        {"name": ["a", "a", "b"], "kind": ["x", "y", "x"], "n": [3.0, 2.0, 1.0], "w": ["3", "2", "1"]}
    )
    rows["n_low"], rows["n_high"] = rows["n"] - 1, rows["n"] + 1
    side = bars(rows, "name", "n", by="kind", beside="w", labels={"x": "X", "y": "Y"}, x_label="objects")
    assert look.axis_labels(side)[0] == "objects"
    assert side.yaxis[0].major_label_overrides == {0: "a", 1: "b"}
    x, y = look.data(side, "x", HBar), look.data(side, "y", HBar)
    assert (x["left"].tolist(), x["right"].tolist()) == ([0, 0], [3, 1])
    assert y["y"][0] > x["y"][0] == pytest.approx(-0.198)
    assert len(look.glyphs(side, Segment)) == 2
    assert look.data(side, "words")["x"].tolist() == [4, 3, 2]
    assert look.legend(side) == ["X", "Y"]
    end = bars(rows["name", "kind", "n", "w"], "name", "n", by="kind", stacked=True, beside="w")
    assert look.data(end, "y", HBar)["left"].tolist() == [3]
    assert look.data(end, "words")["x"].tolist() == [5, 1]
    assert look.legend(end) == []


def test_class_counts_are_stacked_and_sum_up(look):
    plot = class_counts(["a", "b", "a", ""], by=["train", "test", "test", "test"])
    assert plot.yaxis[0].major_label_overrides[0] == "a", "the most frequent on top"
    assert look.data(plot, "words")["text"].tolist() == ["2", "1", "1"]
    assert set(plot.yaxis[0].major_label_overrides.values()) == {"a", "b", "unknown"}
    assert look.axis_labels(plot)[0] == "number of objects"
    assert look.legend(plot) == ["train", "test"]
    assert look.legend(class_counts(["a"])) == []


def test_a_histogram_counts_every_shown_value(look):
    plot = histogram([0.1, 1.0, 10.0, np.nan, -1.0] * u.ks, label="exposure (ks)", log=True, bins=3)
    assert look.axis_labels(plot) == ("exposure (ks)", "number of objects")
    assert sum(look.glyphs(plot, Line)[0].data_source.data["y"][1:-1:2]) == 3
    share = histogram([1.0, 2, 3, 4], by=["a", "a", "b", "b"], label="x", normalised=True, of="galaxies")
    assert [sum(r.data_source.data["y"][1:-1:2]) for r in look.glyphs(share, Line)] == [1, 1]
    assert look.axis_labels(share)[1] == "share of galaxies"
    edges = histogram([-3.0, -1.0, 1.0, 1.5, 9.0], label="x", bins=[-2, 0, 2])
    assert look.glyphs(edges, Line)[0].data_source.data["y"][1:-1:2].tolist() == [1, 2]
    masked = histogram(np.ma.array([1.0, 2.0], mask=[False, True]), label="x", bins=[0, 3])
    assert look.glyphs(masked, Line)[0].data_source.data["y"].max() == 1


def test_scatter_draws_groups_in_their_colours_and_leaves_out_what_has_no_place(look):
    catalogue = Table({"object_id": list("abcd"), "label": ["cluster", "", "point source", "cluster"],
                       "x": [1.0, 2.0, 3.0, np.nan], "y": MaskedColumn([1.0, 2.0, 0.0, 4.0])})  # fmt: skip
    plot = scatter(catalogue, "x", "y", pictures=list("uvwx"), x_label="x (mag)")
    assert look.axis_labels(plot) == ("x (mag)", "y")
    assert look.data(plot, "cluster")["object_id"].tolist() == ["a"]
    assert look.drawn(plot, "cluster")[0].glyph.fill_color == CLASS_COLOURS["cluster"]
    assert set(look.legend(plot)) == {"cluster", "no class", "point source"}
    assert "@{_picture}" in look.tips(plot)[0]
    named = scatter(catalogue, "x", "y", unnamed="", counts=True)
    assert look.legend(named) == ["cluster (1)", "point source (1)"]
    assert len(scatter(catalogue, "x", "y", log=["y"]).renderers) == 2, "zero has no place on a log axis"


def test_linked_scatters_share_their_selection(look):
    catalogue = QTable(
        {"object_id": ["a", "b"], "label": ["cluster", "other"], "z": [0.1, 0.2], "L": [1.0, 0.0] * u.W}
    )
    first, second = look.panels(linked_scatters(catalogue, [("z", "L"), ("L", "z")], log=["L"],
                                                pictures=["u", "v"]))  # fmt: skip
    assert look.axis_labels(first) == ("z", "L (W)")
    assert first.renderers[0].data_source is second.renderers[0].data_source
    assert look.data(first, "cluster")["L"].tolist() == [1]
    assert not look.drawn(first, "other")
    assert second.legend[0].visible is False
    for name in ("z", "L", "label", "object id"):
        assert f"{name}: <b>" in look.tips(first)[0]


def test_classes_keep_their_colours_and_others_take_free_ones():
    found = class_colours(["cluster", "new", "FP"])
    assert (found["cluster"], found["FP"]) == (CLASS_COLOURS["cluster"], GROUP_COLOURS["FP"])
    assert found["new"] not in (found["cluster"], found["FP"])
    assert list(colours("abcdefghi").values()) == [*PALETTE, PALETTE[0]]


def test_a_table_has_units_dashes_and_counts_the_rest():
    rows = QTable({"name": ["b", "c"], "L": [1.23456, np.nan] * u.W})
    text = str(table(rows, caption="Table 1", formats={"L": ".2f"}, longest=2))
    assert "L (W)" in text
    assert ">1.23<" in text
    assert ">–<" in text
    assert "1 more rows" in table(rows, longest=1)._repr_html_()
    assert "more rows" not in text
    chosen = str(table(rows, columns={"L": "power", "name": "who"}, digits=1))
    assert chosen.index(">power<") < chosen.index(">who<") < chosen.index(">1.2<")
    assert ">1.235<" in str(table(rows, columns=["L"]))
    bounded = QTable({"gap": [0.15134], "low": [0.06941], "high": [0.25152]})
    assert str(table(bounded)).count(">0.151<") == str(table(bounded)).count(">0.069<") == 1
    assert str(bullet_list(["one", "two"])).count("<li") == 2
    assert str(bullet_list([])) == ""
    assert str(table(rows[:0], caption="A & B.")).endswith(">A &amp; B. This run has none.</p>")


def test_a_table_on_its_side_has_the_published_values_beside():
    rows = Table(
        {"part": ["all", "bright"], "fn": [11.0, 3.5], "fn_published": [12, 4], "f1": ["0.9", "0.95"]}
    )
    turned = transposed(rows, "part", columns=("fn", "f1"))
    assert turned.colnames == ["quantity", "all", "all, published", "bright", "bright, published"]
    assert [tuple(row) for row in turned] == [("fn", "11", "12", "3.5", "4"), ("f1", "0.9", "–", "0.95", "–")]
    assert transposed(rows["part", "f1"], "part", columns=["f1"]).colnames == ["quantity", "all", "bright"]
    twice = QTable({"part": ["all", "all"], "width": [1.5, 2.5] * u.kpc})
    turned = transposed(twice, "part", columns=["width"])
    assert turned.colnames == ["quantity", "all", "all (2)"]
    assert list(turned[0]) == ["width (kpc)", "1.5", "2.5"]


def test_short_log_axes_have_plain_ticks():
    axis = histogram([1.0, 20.0], label="x", log=True).xaxis[0]
    log_ticks(axis, 1.5, 30)
    assert axis.ticker.ticks == [1, 2, 5, 10, 20, 50, 100, 200, 500]


def test_bounds_come_from_the_interval_or_the_standard_deviation():
    rows = Table({"f1": [0.5, 0.5], "f1_low": [0.4, np.nan], "f1_high": [0.7, np.nan], "f1_std": [0.1, 0.2]})
    np.testing.assert_allclose(bounded(rows, "f1", percent=True), [[50, 50], [40, 30], [70, 70]])
    assert np.isnan(bounded(rows, "auc")).all()


def test_fitted_lines_have_the_least_squares_and_the_error_of_the_scatter():
    x, y, error = np.random.default_rng(0).uniform(0, 1, (3, 12))
    line = fitted_line(np.append(x, 2), np.append(y, np.nan), error=np.append(error, 1))
    weight = error**-2
    away = x - np.average(x, weights=weight)
    slope = (weight * away * y).sum() / (weight * away**2).sum()
    assert (line.slope, line(0)) == pytest.approx((slope, np.average(y - slope * x, weights=weight)))
    variance = (weight * (y - line(x)) ** 2).sum() / 10
    assert line.slope_error == pytest.approx(np.sqrt(variance / (weight * away**2).sum()))
    assert fitted_line([1, 1], [2, 3]) is None
    assert np.isnan(fitted_line([1, 2], [2, 3]).slope_error)
    assert fitted_line([1, 2, 3], [0, 1, 5], error=[0, 1, 1]).slope == pytest.approx(2.5), "equal weights"


ROWS = QTable({"object_id": ["a"], "label": ["x"], "z": [0.1], "y": [np.nan]})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: points(ROWS, "z", "auc"), r"table must have the columns \['z', 'auc'\], \['auc'\] missing"),
        (lambda: points(ROWS[:0], "z", "y"), "table must have a row at least"),
        (lambda: class_counts([]), "labels must hold objects"),
        (lambda: histogram([-1.0], label="x", log=True), "finite entries above zero"),
        (lambda: histogram([1.0, 2.0], by=["a"], label="x"), "one entry for each value"),
        (lambda: linked_scatters(ROWS, [("z", "mass")]), r"\['mass'\] missing"),
        (lambda: scatter(ROWS, "z", "y"), "got none of 1 in 'z' and 'y'"),
        (lambda: scatter(ROWS, "z", "z", pictures=["u", "v"]), "pictures must be one for each row, got 2"),
        (lambda: table(ROWS, formats={"M": ".1f"}), r"got \['M'\]"),
        (lambda: table(ROWS, columns=["M"]), r"columns and formats must name columns .* got \['M'\]"),
        (
            lambda: transposed(ROWS, "z", columns=["auc"]),
            r"by and columns must name columns .* got \['auc'\]",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()

"""Figures of what a network looks at, by their labels and the data that they plot."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table
from bokeh.models import ImageURL, Line, MultiLine, Scatter, Segment, Span, Text

from labkit.errors import InputError
from labkit.views.activations import (
    activation_overlay,
    deletion_curves,
    filter_grid,
    index_chart,
    randomisation_curve,
    sensitivity_curves,
)

RNG = np.random.default_rng(4)
INDEX = Table(
    {
        "layer": ["conv1"] * 3 + ["conv2"] * 2,
        "filter": [0, 1, 2, 0, 1],
        "index": [0.9, -0.8, np.nan, 0.1, 0.2],
        "index_low": [0.8, -0.9, np.nan, 0.0, 0.1],
        "index_high": [1.0, -0.7, np.nan, 0.2, 0.3],
        "kind": ["xray", "optical", "dead", "both", "both"],
    },
    meta={"bands": ["xray", "optical"]},
)
STEPS = Table({"step": ["trained", "output", "conv1"], "rank": [1.0, 0.5, 0.1], "rank_low": [1.0, 0.4, 0.0],
               "rank_high": [1.0, 0.6, 0.2]})  # fmt: skip
DROPS = Table({"share": [0.1, 0.2], "drop": [0.3, 0.4], "reference": [0.1, 0.1],
               "difference_low": [0.1, 0.2], "difference_high": [0.3, 0.4]})  # fmt: skip


def test_filter_grid_has_the_input_and_a_row_for_each_layer(look):
    maps = {"conv2": RNG.random((3, 16, 16)), "conv4": np.zeros((2, 4, 4))}
    plot = filter_grid(
        {"X-ray": RNG.random((16, 16)), "both": RNG.random((16, 16, 3))}, maps,
        {"conv2": [5, 1, 30], "conv4": [2, 3]}, kinds={"conv2": ["xray", "both", "optical"]},
    )  # fmt: skip
    (pictures,) = look.glyphs(plot, ImageURL)
    assert len(pictures.data_source.data["uri"]) == 9  # three rows of three
    titles = pictures.data_source.data["title"]
    assert titles[:3] == ["X-ray", "both", ""]
    assert titles[3] == f"5, xray, max {maps['conv2'][0].max():.2g}"
    assert titles[6:] == ["2, max 0", "3, max 0", ""]
    rows = [r.data_source.data["text"] for r in look.glyphs(plot, Text) if "text" in r.data_source.data]
    assert [row[0] for row in rows] == ["input", "conv2, 16 px", "conv4, 4 px"]


def test_overlay_has_three_panels_per_object_in_arcmin(look):
    y, x = np.mgrid[:32, :32] - 15.5
    xray = np.stack([np.exp(-(x**2 + y**2) / 50), np.zeros((32, 32))])
    heat = np.stack([np.exp(-((x - 3) ** 2 + y**2) / 20), np.zeros((32, 32))])
    titles = ["TP, p = 0.90", "TN, p = 0.10"]
    panels = look.panels(
        activation_overlay(RNG.random((2, 32, 32)), xray, heat, titles, pixel_scale=6 * u.arcsec)
    )
    assert len(panels) == 6
    assert panels[0].title.text == "TP, p = 0.90\nX-ray + activation"
    assert {p.xaxis[0].axis_label for p in panels} == {"arcmin"}
    assert panels[0].x_range.end == pytest.approx(1.6)
    assert all(panel.x_range is panels[0].x_range for panel in panels)
    contours = [panel.select(MultiLine) for panel in panels]
    assert len(contours[2]) > 0
    assert not any(contours[row] for row in (0, 1, 3, 4, 5))  # nothing to draw around in an empty image
    activation = panels[2].renderers[-1].line_renderer.data_source.data
    line = {axis: np.concatenate(activation[axis]) for axis in ("xs", "ys")}
    assert np.nanmean(line["xs"]) == pytest.approx(0.3, abs=0.05)  # 3 px to the right
    assert np.nanmean(line["ys"]) == pytest.approx(0.0, abs=0.05)


def test_index_chart_draws_every_filter_that_lives(look):
    plot = index_chart(INDEX, title="simulated")
    assert plot.xaxis[0].axis_label == "index: optical only (−1) to xray only (+1)"
    assert list(plot.y_range.factors) == ["conv2", "conv1"]
    assert look.legend(plot) == ["xray", "optical", "both"]
    dots = [r.data_source.data for r in look.glyphs(plot, Scatter)]
    assert [list(data["index"]) for data in dots] == [[0.9], [-0.8], [0.1, 0.2]]
    assert len(look.glyphs(plot, Segment)) == 3
    assert sorted(span.location for span in plot.select(Span)) == [-0.5, 0.5]
    (words,) = look.glyphs(plot, Text)
    assert words.data_source.data["text"] == ["1 dead", "0 dead"]


def test_curves_of_checks_have_their_values_labels_and_intervals(look):
    answers = sensitivity_curves([0.5, 1.0], [[1.0, 4.0], [0.0, 0.0]], [0.7, np.nan])
    lines = [r.data_source.data for r in look.glyphs(answers, Line)]
    assert len(lines) == 2  # one filter and the proportional one
    np.testing.assert_allclose(lines[0]["x"], [0, 0.5, 1])
    np.testing.assert_allclose(lines[0]["y"], [0, 0.25, 1])
    assert "X-ray" in answers.xaxis[0].axis_label

    random = randomisation_curve({"grad-cam": STEPS, "edges": STEPS}, between=0.3)
    assert random.xaxis[0].major_label_overrides == {0: "trained", 1: "output", 2: "conv1"}
    assert look.legend(random) == ["grad-cam", "edges", "maps of other objects"]
    assert list(look.glyphs(random, Line)[0].data_source.data["y"]) == [1.0, 0.5, 0.1]
    assert random.xaxis[0].axis_label == "randomised from the output down to"

    deleted = deletion_curves({"hirescam": DROPS})
    assert deleted.xaxis[0].axis_label == "share of pixels blanked (%)"
    assert look.legend(deleted) == ["hirescam", "hirescam, same hole elsewhere"]
    solid, dashed = (r.data_source.data for r in look.glyphs(deleted, Line))
    np.testing.assert_allclose(solid["x"], [10, 20])
    np.testing.assert_allclose(dashed["y"], [0.1, 0.1])
    np.testing.assert_allclose(look.glyphs(deleted, Segment)[0].data_source.data["y0"], [0.2, 0.3])


ONE, TWO = np.ones((2, 8, 8)), np.ones((1, 8, 8))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: filter_grid({"X-ray": ONE[0]}, {"conv2": np.ones((3, 8, 8))}, {"conv2": [1]}),
         r"filters must name the filters of each layer of maps {'conv2': 3}"),
        (lambda: activation_overlay(ONE, TWO, ONE, pixel_scale=1 * u.arcsec),
         r"one shape \(n, y, x\), got \(2, 8, 8\), \(1, 8, 8\) and \(2, 8, 8\)"),
        (lambda: activation_overlay(ONE, ONE, ONE, ["a"], pixel_scale=1 * u.arcsec),
         "titles must be one for each of the 2 objects, got 1"),
        (lambda: index_chart(INDEX[[name for name in INDEX.colnames if name != "index_low"]]),
         r"index, from band_index, must have the columns .* \['index_low'\] missing"),
        (lambda: randomisation_curve({"one": STEPS, "other": STEPS[:2]}),
         "checks must hold tables with the same steps"),
        (lambda: deletion_curves({}), "checks must hold one table or more, got none"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()

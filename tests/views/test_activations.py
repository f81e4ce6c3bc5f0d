"""Figures of what a network looks at, by their labels and the data that they plot."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table
from bokeh.models import ImageURL, Line, MultiLine, Scatter, Segment, Span, Text

from labkit.errors import InputError
from labkit.views import save_page
from labkit.views.activations import (
    activation_overlay,
    deletion_curves,
    filter_grid,
    index_chart,
    randomisation_curve,
    sensitivity_curves,
)


@pytest.fixture
def index() -> Table:
    return Table(
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


@pytest.fixture
def steps() -> Table:
    return Table(
        {
            "step": ["trained", "output", "conv1"],
            "rank": [1.0, 0.5, 0.1],
            "rank_low": [1.0, 0.4, 0.0],
            "rank_high": [1.0, 0.6, 0.2],
        }
    )


@pytest.fixture
def drops() -> Table:
    return Table(
        {
            "share": [0.1, 0.2],
            "drop": [0.3, 0.4],
            "reference": [0.1, 0.1],
            "difference_low": [0.1, 0.2],
            "difference_high": [0.3, 0.4],
        }
    )


def test_filter_grid_has_the_input_and_a_row_for_each_layer(look, rng, tmp_path):
    maps = {"conv2": rng.random((3, 16, 16)), "conv4": np.zeros((2, 4, 4))}
    filters = {"conv2": [5, 1, 30], "conv4": [2, 3]}
    plot = filter_grid(
        {"X-ray": rng.random((16, 16)), "both": rng.random((16, 16, 3))},
        maps, filters, kinds={"conv2": ["xray", "both", "optical"]}, title="one cluster",
    )  # fmt: skip
    (pictures,) = look.glyphs(plot, ImageURL)
    assert len(pictures.data_source.data["uri"]) == 9  # three rows of three
    titles = pictures.data_source.data["title"]
    assert titles[:3] == ["X-ray", "both", ""]
    assert titles[3] == f"5, xray, max {maps['conv2'][0].max():.2g}"
    assert titles[6:] == ["2, max 0", "3, max 0", ""]
    rows = [r.data_source.data["text"] for r in look.glyphs(plot, Text) if "text" in r.data_source.data]
    assert [row[0] for row in rows] == ["input", "conv2, 16 px", "conv4, 4 px"]
    assert save_page(plot, tmp_path / "grid.html").stat().st_size > 10_000


def test_filter_grid_wants_a_number_for_each_map(rng):
    with pytest.raises(InputError, match=r"filters must name the filters of each layer of maps {'conv2': 3}"):
        filter_grid({"X-ray": rng.random((8, 8))}, {"conv2": rng.random((3, 8, 8))}, {"conv2": [1]})


def test_overlay_has_three_panels_per_object_in_arcmin(rng):
    y, x = np.mgrid[:32, :32] - 15.5
    xray = np.stack([np.exp(-(x**2 + y**2) / 50), np.zeros((32, 32))])
    heat = np.stack([np.exp(-((x - 3) ** 2 + y**2) / 20), np.zeros((32, 32))])
    titles = ["TP, p = 0.90", "TN, p = 0.10"]
    grid = activation_overlay(
        rng.random((2, 32, 32)), xray, heat, titles, pixel_scale=6 * u.arcsec, sigma_px=0
    )
    panels = [child for child, *_ in grid.children]
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


def test_overlay_wants_equal_shapes(rng):
    one, two = rng.random((2, 8, 8)), rng.random((1, 8, 8))
    with pytest.raises(
        InputError, match=r"one shape \(n, y, x\), got \(2, 8, 8\), \(1, 8, 8\) and \(2, 8, 8\)"
    ):
        activation_overlay(one, two, one, pixel_scale=1 * u.arcsec)
    with pytest.raises(InputError, match="titles must be one for each of the 2 objects, got 1"):
        activation_overlay(one, one, one, ["a"], pixel_scale=1 * u.arcsec)


def test_index_chart_draws_every_filter_that_lives(look, index):
    plot = index_chart(index, title="simulated")
    assert plot.xaxis[0].axis_label == "index: optical only (−1) to xray only (+1)"
    assert list(plot.y_range.factors) == ["conv2", "conv1"]
    assert look.legend(plot) == ["xray", "optical", "both"]
    dots = [r.data_source.data for r in look.glyphs(plot, Scatter)]
    assert [list(data["index"]) for data in dots] == [[0.9], [-0.8], [0.1, 0.2]]
    assert len(look.glyphs(plot, Segment)) == 3
    assert sorted(span.location for span in plot.select(Span)) == [-0.5, 0.5]
    (words,) = look.glyphs(plot, Text)
    assert words.data_source.data["text"] == ["1 dead", "0 dead"]
    with pytest.raises(InputError, match=r"\['index_low'\] missing"):
        index_chart(Table({name: index[name] for name in index.colnames if name != "index_low"}))


def test_sensitivity_starts_at_nothing_and_ends_at_one(look):
    plot = sensitivity_curves([0.5, 1.0], [[1.0, 4.0], [0.0, 0.0]], [0.7, np.nan])
    lines = [r.data_source.data for r in look.glyphs(plot, Line)]
    assert len(lines) == 2  # one filter and the proportional one
    np.testing.assert_allclose(lines[0]["x"], [0, 0.5, 1])
    np.testing.assert_allclose(lines[0]["y"], [0, 0.25, 1])
    assert "X-ray" in plot.xaxis[0].axis_label


def test_randomisation_shows_every_step_and_method(look, steps):
    plot = randomisation_curve({"grad-cam": steps, "edges": steps}, between=0.3)
    assert plot.xaxis[0].major_label_overrides == {0: "trained", 1: "output", 2: "conv1"}
    assert look.legend(plot) == ["grad-cam", "edges", "maps of other objects"]
    assert list(look.glyphs(plot, Line)[0].data_source.data["y"]) == [1.0, 0.5, 0.1]
    assert plot.xaxis[0].axis_label == "randomised from the output down to"
    with pytest.raises(InputError, match="checks must hold tables with the same steps"):
        randomisation_curve({"one": steps, "other": steps[:2]})


def test_deletion_shows_the_drop_and_that_of_other_pixels(look, drops):
    plot = deletion_curves({"hirescam": drops})
    assert plot.xaxis[0].axis_label == "share of pixels blanked (%)"
    assert look.legend(plot) == ["hirescam", "hirescam, same hole elsewhere"]
    solid, dashed = (r.data_source.data for r in look.glyphs(plot, Line))
    np.testing.assert_allclose(solid["x"], [10, 20])
    np.testing.assert_allclose(dashed["y"], [0.1, 0.1])
    bars = look.glyphs(plot, Segment)[0].data_source.data
    np.testing.assert_allclose(bars["y0"], [0.2, 0.3])
    with pytest.raises(InputError, match="checks must hold one table or more, got none"):
        deletion_curves({})


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)

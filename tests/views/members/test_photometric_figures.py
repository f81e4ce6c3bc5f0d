from __future__ import annotations

import numpy as np
import pytest
from bokeh.models import BoxAnnotation, GlyphRenderer, Legend, Quad, Range1d

from labkit.errors import InputError
from labkit.evaluate import wilson
from labkit.photometry import ColourMagnitude
from labkit.views.members import (
    colour_magnitude,
    contamination_distribution,
    differential_colour_magnitude,
    error_distributions,
    magnitude_distribution,
)
from labkit.views.members.groups import COLOURS

RELATION = ColourMagnitude(-0.04, 0.9, 0.05, 22.0, 0.001, 0.001, np.ones(3, dtype=bool))


def drawn(plot, name: str) -> list[GlyphRenderer]:
    return [r for r in plot.renderers if r.name == name]


def data(plot, name: str) -> dict:
    return drawn(plot, name)[0].data_source.data


def legend_of(plot) -> list[str]:
    return [item.label.value for legend in plot.select(Legend) for item in legend.items]


@pytest.fixture
def field():
    rng = np.random.default_rng(2)
    group = np.repeat(["spectroscopic member", "candidate member", "non-member", ""], [60, 20, 40, 5])
    m = rng.uniform(18, 26, 125)
    c = np.where(np.char.endswith(group, " member"), RELATION(m), 0.3) + rng.normal(0, 0.05, 125)
    c[0] = np.nan
    return m, c, group


def test_the_diagram_shows_groups_and_the_red_sequence(field):
    m, c, group = field
    plot = colour_magnitude(m, c, group, relation=RELATION, details={"object": np.arange(125).astype("S3")})
    assert len(data(plot, "spectroscopic member")["x"]) == 59  # one has no colour
    assert "non-member (40)" in legend_of(plot)
    assert drawn(plot, "non-member")[0].glyph.fill_color == COLOURS["non-member"]
    line = data(plot, "relation")
    assert np.polyfit(line["x"], line["y"], 1)[0] == pytest.approx(-0.04)
    band = data(plot, "scatter")
    assert np.asarray(band["y2"]) - np.asarray(band["y1"]) == pytest.approx(0.1)
    assert (plot.xaxis[0].axis_label, plot.yaxis[0].axis_label) == ("F814 (mag)", "F606 − F814 (mag)")
    assert data(plot, "non-member")["object"].dtype.kind == "U"


def test_masked_magnitudes_and_single_groups_are_fine(field):
    m, c, _ = field
    masked = np.ma.array(m, mask=np.arange(125) < 100)
    plot = colour_magnitude(masked, c, np.full(125, "member"), colour_error=np.full(125, 0.1))
    assert legend_of(plot)[0] == "member (25)"
    bars = data(plot, "errors")
    assert np.asarray(bars["y1"]) - np.asarray(bars["y0"]) == pytest.approx(0.2)


def test_the_grey_region_is_the_members_spread(field):
    m, c, group = field
    plot = differential_colour_magnitude(m, c - RELATION(m), group)
    (box,) = [part for part in plot.center if isinstance(part, BoxAnnotation)]
    assert (box.bottom + box.top) / 2 == pytest.approx(0, abs=0.03)
    assert (box.top - box.bottom) / 2 == pytest.approx(0.05, rel=0.3)
    fixed = differential_colour_magnitude(m, c - RELATION(m), group, sigma=0.2)
    (box,) = [part for part in fixed.center if isinstance(part, BoxAnnotation)]
    assert box.top - box.bottom == pytest.approx(0.4)
    without = differential_colour_magnitude(m, c, np.full(125, "non-member"))
    assert not [part for part in without.center if isinstance(part, BoxAnnotation)]


def test_errors_are_crosses_on_top(field):
    m, c, _ = field
    kinds = np.resize(["TP", "FP", "TN", "FN"], 125)
    plot = differential_colour_magnitude(m, c - RELATION(m), kinds)
    order = [r.name for r in plot.renderers if r.name in COLOURS]
    assert order == ["TN", "TP", "FP", "FN"]
    assert {drawn(plot, kind)[0].glyph.marker for kind in ("FP", "FN")} == {"x"}


def test_diagrams_refuse_what_does_not_fit(field):
    m, c, group = field
    with pytest.raises(InputError, match=r"colour must have the shape \(125,\).*got \(124,\)"):
        colour_magnitude(m, c[1:], group)
    with pytest.raises(InputError, match=r"group must have the shape \(125,\)"):
        colour_magnitude(m, c, group[1:])
    with pytest.raises(InputError, match=r"details must have one entry a galaxy, 125"):
        colour_magnitude(m, c, group, details={"object": [1, 2]})
    with pytest.raises(InputError, match="got none of 125"):
        colour_magnitude(m, np.full(125, np.nan), group)
    with pytest.raises(InputError, match="sigma must be zero or more"):
        differential_colour_magnitude(m, c, group, sigma=-1)


def test_stacked_magnitudes_add_up_to_all_members():
    m = np.array([20.1, 20.2, 20.6, 24.9, 25.4, np.nan, 22.0])
    group = np.array(["spectroscopic member", "candidate member"] * 3 + ["non-member"])
    plot = magnitude_distribution(m, group)
    lower, upper = data(plot, "spectroscopic member"), data(plot, "candidate member")
    assert np.asarray(lower["left"])[0] == 20
    assert sum(lower["count"]) == 3
    assert sum(upper["count"]) == 2
    assert np.array_equal(upper["bottom"], lower["top"])
    assert np.asarray(upper["top"])[:2].tolist() == [2, 1]
    assert isinstance(drawn(plot, "candidate member")[0].glyph, Quad)
    bars = data(plot, "errors")
    assert (bars["y0"][0], bars["y1"][0]) == pytest.approx((0.71, 4.64), abs=0.02)  # Garwood's for 2
    alone = magnitude_distribution(m[::2], group[::2])  # no candidates
    assert "candidate member (0)" in legend_of(alone)


def test_magnitude_distribution_refuses_what_does_not_fit():
    with pytest.raises(InputError, match="got none of 2"):
        magnitude_distribution([20, 21], ["non-member", "non-member"])
    with pytest.raises(InputError, match="step must be positive"):
        magnitude_distribution([20, 21], ["candidate member"] * 2, step=0)


def test_error_rates_are_those_of_each_bin():
    m = np.repeat([20.0, 24.0], 40)
    kinds = np.array(
        ["TP"] * 18 + ["FN"] * 2 + ["TN"] * 20 + ["TP"] * 10 + ["FN"] * 10 + ["TN"] * 15 + ["FP"] * 5
    )
    grid = error_distributions({"F814 (mag)": m, "colour (mag)": np.where(m > 22, np.nan, m)}, kinds, bins=2)
    panels = {(row, column): panel for panel, row, column in grid.children}
    assert len(panels) == 4
    missed, taken = data(panels[1, 0], "FN"), data(panels[1, 0], "FP")
    assert np.asarray(missed["rate"]).tolist() == [0.1, 0.5]
    assert np.asarray(taken["rate"]).tolist() == [0, 0.25]
    assert missed["low"][0] == pytest.approx(wilson(2, 20, confidence=0.68).low)
    steps = data(panels[0, 0], "FP")  # all false positives in the second bin
    assert max(steps["y"]) == 1
    assert panels[1, 0].x_range is panels[0, 0].x_range
    assert panels[0, 1].xaxis[0].axis_label == "colour (mag)"


def test_error_distributions_refuse_what_does_not_fit():
    with pytest.raises(InputError, match="quantities must hold"):
        error_distributions({}, ["TP"])
    with pytest.raises(InputError, match=r"outcome must be of .* got \['member'\]"):
        error_distributions({"m": [1.0]}, ["member"])
    with pytest.raises(InputError, match="'m' must be finite"):
        error_distributions({"m": [np.nan]}, ["TP"])
    with pytest.raises(InputError, match=r"b must have the shape \(2,\)"):
        error_distributions({"a": [1.0, 2.0], "b": [1.0]}, ["TP", "TN"])


def test_crowding_shows_shares_of_each_outcome():
    index = np.array([0, 0.1, 0.2, 0.4, 0, 0, np.nan, 1.0])
    kinds = ["TP", "TP", "TP", "TP", "TN", "TN", "TN", "FP"]  # no false negatives
    left, right = (panel for panel, *_ in contamination_distribution(index, kinds, bins=4).children)
    assert sum(np.asarray(data(left, "TP")["y"])[1:-1:2]) == pytest.approx(0.75)
    assert legend_of(left) == ["TP (4)", "TN (2)", "FP (1)", "FN (0)"]
    shares = data(right, "crowded")
    assert dict(zip(shares["kind"], shares["share"], strict=True)) == {"TP": 0.75, "TN": 0, "FP": 1}
    assert isinstance(right.y_range, Range1d)
    empty = contamination_distribution(np.zeros(2), ["TP", "FN"])  # nobody is crowded
    assert not np.asarray(data(empty.children[0][0], "TP")["y"]).any()


def test_crowding_refuses_what_does_not_fit():
    with pytest.raises(InputError, match="index must never be negative, got -1"):
        contamination_distribution([-1.0], ["TP"])
    with pytest.raises(InputError, match="got none of 1"):
        contamination_distribution([np.nan], ["TP"])
    with pytest.raises(InputError, match=r"outcome must have the shape \(2,\)"):
        contamination_distribution([0.1, 0.2], ["TP"])
    with pytest.raises(InputError, match=r"got \['yes'\]"):
        contamination_distribution([0.1], ["yes"])

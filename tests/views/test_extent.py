from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from bokeh.models import BoxAnnotation, GlyphRenderer, HoverTool, Label, Legend, LogScale

from labkit.errors import InputError
from labkit.views.extent import extent_plane
from labkit.views.style import CLASS_COLOURS


@pytest.fixture
def catalogue() -> QTable:
    return QTable(
        {
            "object_id": ["a", "b", "c", "d", "e"],
            "extent": [20, 0.5, 6, 0, np.nan] * u.arcsec,
            "extension_likelihood": [400.0, 80, 20, -0.2, 9],
            "class": ["extended", "point", "extended", "point", "point"],
            "label": ["low-z cluster", "point source", "", "artefact", "point source"],
        }
    )


def drawn(plot) -> dict[str, tuple[float, float, float]]:
    """Position and fill of each object."""
    found = {}
    for renderer in plot.select(GlyphRenderer):
        data = renderer.data_source.data
        for name, x, y in zip(data["object_id"], data["_extent"], data["_extension_likelihood"], strict=True):
            found[str(name)] = (float(x), float(y), renderer.glyph.fill_alpha)
    return found


def regions(plot) -> list[BoxAnnotation]:
    return [part for part in plot.center + plot.left + plot.below if isinstance(part, BoxAnnotation)]


def test_sources_lie_where_they_were_measured_and_the_c1_region_is_marked(catalogue):
    plot = extent_plane(catalogue, details=["object_id"])
    assert (plot.xaxis[0].axis_label, plot.yaxis[0].axis_label) == ("extent (arcsec)", "extension likelihood")
    assert isinstance(plot.x_scale, LogScale)
    assert isinstance(plot.y_scale, LogScale)
    points = drawn(plot)
    assert set(points) == {"a", "b", "c", "d"}  # without a number, no point
    assert points["a"][:2] == (20, 400)
    assert points["b"][:2] == (0.5, 80)
    (box,) = regions(plot)
    assert (box.left, box.bottom) == (5, 33)
    assert "1 of 4" in plot.select_one(Label).text
    assert {item.label.value for item in plot.select_one(Legend).items} == {"extended", "point"}


def test_what_lies_below_the_axes_is_hollow_at_their_end(catalogue):
    plot = extent_plane(catalogue, details=["object_id"])
    x, y, fill = drawn(plot)["d"]
    assert plot.x_range.start < x < 0.5
    assert plot.y_range.start < y < 20
    assert fill == 0
    assert drawn(plot)["a"][2] > 0
    hollow = next(
        r.data_source.data for r in plot.select(GlyphRenderer) if "d" in r.data_source.data["object_id"]
    )
    assert hollow["extension_likelihood"].tolist() == [-0.2]  # the pointer shows what was measured


def test_units_classes_and_pictures(catalogue):
    catalogue["extent"] = catalogue["extent"].to(u.arcmin)
    uris = [f"data:image/png;base64,{name}" for name in catalogue["object_id"]]
    plot = extent_plane(catalogue, by="label", pictures=uris, details=["object_id"], limits=(10, 100))
    assert drawn(plot)["a"][0] == pytest.approx(20)
    assert "@_picture" in plot.select_one(HoverTool).tooltips
    colours = {str(r.data_source.data["_group"][0]): r.glyph.fill_color for r in plot.select(GlyphRenderer)}
    assert colours["low-z cluster"] == CLASS_COLOURS["low-z cluster"]
    assert {item.label.value for item in plot.select_one(Legend).items} >= {"no class", "artefact"}
    shown = {u for r in plot.select(GlyphRenderer) for u in r.data_source.data["_picture"]}
    assert shown == set(uris[:4])
    plain = catalogue.copy()
    plain["extent"] = [20, 0.5, 6, 0, np.nan]
    assert drawn(extent_plane(plain, details=["object_id"], limits=None))["c"][0] == 6
    assert regions(extent_plane(plain, limits=None)) == []


def test_what_cannot_be_drawn_is_refused(catalogue):
    with pytest.raises(InputError, match=r"\['origin'\] missing"):
        extent_plane(catalogue, by="origin")
    with pytest.raises(InputError, match="pictures must be one for each row, got 1 for 5 rows"):
        extent_plane(catalogue, pictures=["x"])
    with pytest.raises(InputError, match="got none of 1"):
        extent_plane(catalogue[4:])
    with pytest.raises(InputError, match="got none of 0"):
        extent_plane(catalogue[:0])

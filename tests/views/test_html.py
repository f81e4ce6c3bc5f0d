"""Texts from data reach a page as text: no tag of theirs is ever part of its markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table
from astropy.wcs import WCS
from bokeh.models import HoverTool

from labkit.views.angora_galaxies import colour_magnitude
from labkit.views.curves import roc
from labkit.views.distributions import class_counts, histogram, linked_scatters
from labkit.views.gallery import gallery
from labkit.views.kosiba import band_gallery, intervals
from labkit.views.plots import bars, curves, points
from labkit.views.sky import extent_plane, field, member_field
from labkit.views.tables import bullet_list, table

BAD = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'"
LOW = {"y_low": [0.1, 0.2], "y_high": [1.0, 2.0]}


class Tags(HTMLParser):
    """Names and attributes of all tags of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, tuple(name for name, _ in attributes)))

    def handle_data(self, data):
        self.words += data


def dangerous(page: str) -> list:
    return [
        (tag, names)
        for tag, names in Tags(page).tags
        if tag == "script" or any(n.startswith("on") for n in names)
    ]


@pytest.mark.parametrize(
    "page",
    [
        table(Table({BAD: [BAD], "p": [BAD]}), caption=BAD, pictures=("p",)),
        table(QTable({"a": [1.0] * u.m}), caption=BAD, formats={"a": ".1f"}),
        bullet_list([BAD]),
    ],
)
def test_tables_and_lists_escape_what_they_hold(page):
    assert dangerous(str(page)) == []
    assert "alert(1)" in Tags(str(page)).words


def wcs() -> WCS:
    frame = WCS(naxis=2)
    frame.wcs.ctype, frame.wcs.crval, frame.wcs.crpix = ["RA---TAN", "DEC--TAN"], [150, 2], [5, 5]
    frame.wcs.cdelt = [-4 / 3600, 4 / 3600]
    return frame


ROWS = Table({"x": [1.0, 2.0], "y": [0.5, 1.5], "g": [BAD, BAD], "named": [BAD, "b"], BAD: [BAD, BAD]} | LOW)
SKY = Table({"ra": [150.0], "dec": [2.0], "group": [BAD], BAD: [BAD]})
EXTENT = Table({"extent": [7.0], "extension_likelihood": [50.0], "class": [BAD], BAD: [BAD]})
BESIDE = Table(
    {"experiment": [BAD], "auc": [0.9], "auc_low": [0.8], "auc_high": [1.0], "auc_published": [0.9]}
)
ROC = Table({"fpr": [0.0, 1.0], "tpr": [0.0, 1.0]})
FIGURES = {
    "points": lambda: points(ROWS, "x", "y", by="g", details={BAD: ""}, notes={BAD: [(BAD, BAD)]}, title=BAD),
    "points at names": lambda: points(ROWS, "named", "y", by="g", fit=True),
    "curves": lambda: curves(ROWS, "x", "y", by="g", dots=True),
    "bars": lambda: bars(ROWS, "named", "y", by="g", labels={BAD: BAD}, details={BAD: ""}),
    "class_counts": lambda: class_counts([BAD], by=[BAD]),
    "histogram": lambda: histogram([1.0, 2.0], by=[BAD, BAD], label=BAD),
    "linked_scatters": lambda: linked_scatters(
        ROWS, [("x", "y")], by="g", details=[BAD], pictures=[BAD, BAD]
    ),
    "gallery": lambda: gallery([BAD], [BAD], details={BAD: [BAD]}, row_titles=[BAD]),
    "band_gallery": lambda: band_gallery(np.ones((1, 4, 4)), np.eye(4)[None], [BAD], details={BAD: [BAD]}),
    "field": lambda: field(np.eye(9), wcs=wcs(), candidates=SKY, title=BAD),
    "member_field": lambda: member_field(np.zeros((9, 9, 3)), wcs(), sources=SKY, details=[BAD], pixels=9),
    "extent_plane": lambda: extent_plane(EXTENT, details=[BAD], pictures=[BAD]),
    "intervals": lambda: intervals(BESIDE),
    "roc": lambda: roc({BAD: [ROC]}),
    "colour_magnitude": lambda: colour_magnitude([1.0, 2], [1.0, 2], [BAD] * 2, details={BAD: [BAD] * 2}),
}


@pytest.mark.parametrize("name", FIGURES)
def test_what_the_pointer_shows_is_text(name):
    """Bokeh escapes values of columns and labels of pairs; the rest is ours, so are columns' names."""
    plot = FIGURES[name]()
    models = (
        [plot]
        if hasattr(plot, "toolbar") and not hasattr(plot, "children")
        else [c for c, *_ in plot.children]
    )
    for tool in [tool for one in models for tool in one.select(HoverTool)]:
        templates = [tool.tooltips] if isinstance(tool.tooltips, str) else [text for _, text in tool.tooltips]
        for template in templates:
            assert dangerous(template) == []
            assert "alert(1)</" not in template
            columns = set().union(*(r.data_source.column_names for r in tool.renderers))
            asked = {
                word for words in re.findall(r"@(?:\{([^}]*)\}|(\w+))", template) for word in words if word
            }
            assert asked <= columns, "each value is that of a column"

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

from labkit.evaluate import member_profile
from labkit.predictions import Predictions
from labkit.sample import Sample
from labkit.sources.mosaics import Mosaics
from labkit.views.activations import (
    activation_overlay,
    deletion_curves,
    filter_grid,
    index_chart,
    randomisation_curve,
    sensitivity_curves,
)
from labkit.views.angora import configurations, redshift_bins, training_ranges, training_size
from labkit.views.angora_galaxies import (
    colour_magnitude,
    contamination_distribution,
    error_distributions,
    magnitude_distribution,
    member_profiles,
)
from labkit.views.angora_methods import method_agreement, method_rocs, threshold_curves
from labkit.views.curves import roc
from labkit.views.distributions import class_counts, histogram, linked_scatters
from labkit.views.gallery import gallery
from labkit.views.kosiba import band_gallery, intervals
from labkit.views.member_pictures import band_sheet, member_gallery
from labkit.views.plots import bars, curves, points
from labkit.views.sky import extent_plane, field, member_field, mosaic_field
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
INDEX = Table(
    {"layer": [BAD], "filter": [0], "index": [0.9], "index_low": [0.8], "index_high": [1.0], "kind": [BAD]},
    meta={"bands": [BAD, "other"]},
)
STEPS = Table({"step": [BAD, "b"], "rank": [1.0, 0.5], "rank_low": [1.0, 0.4], "rank_high": [1.0, 0.6]})
DROPS = Table(
    {"share": [0.1], "drop": [0.3], "reference": [0.1], "difference_low": [0.1], "difference_high": [0.2]}
)
FOLDS = Table({"set": [BAD], "train": [500], "runs": [2]})
for measure in ("accuracy", "purity", "completeness", "f1"):
    FOLDS[measure], FOLDS[f"{measure}_std"], FOLDS[f"{measure}_error"] = 0.8, 0.02, 0.01
JUDGED = Predictions.from_arrays(
    list("abcd"), np.c_[[0.9, 0.2, 0.6, 0.3], [0.1, 0.8, 0.4, 0.7]], classes=("other", "member"),
    true=["other", "member"] * 2, experiment=BAD, positive="member",
)  # fmt: skip


def members() -> tuple[Sample, Predictions]:
    """Two objects whose ids, clusters and bands are markup."""
    catalogue = QTable(
        {"object_id": [BAD, "b"], "ra": [1, 2] * u.deg, "dec": [1, 2] * u.deg, "cluster": [BAD] * 2}
    )
    catalogue["label"], catalogue["redshift"], catalogue["velocity"] = "member", 0.4, 10.0
    images = np.random.default_rng(0).random((2, 2, 16, 16))
    sample = Sample(images, catalogue, bands=(BAD, "F814"), pixel_scale=0.065 * u.arcsec)
    p = np.array([[0.1, 0.9], [0.9, 0.1]])
    return sample, Predictions.from_arrays(
        sample.object_ids,
        p,
        classes=("other", "member"),
        true=["member"] * 2,
        experiment=BAD,
        positive="member",
    )


PIXELS = np.random.default_rng(0).random((60, 60)).astype(np.float32)
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
    "filter_grid": lambda: filter_grid(
        {BAD: np.eye(4)}, {BAD: np.ones((1, 4, 4))}, {BAD: [0]}, kinds={BAD: [BAD]}
    ),
    "activation_overlay": lambda: activation_overlay(
        np.ones((1, 8, 8)), np.eye(8)[None], np.eye(8)[None], [BAD], pixel_scale=4 * u.arcsec
    ),
    "index_chart": lambda: index_chart(INDEX, title=BAD),
    "sensitivity_curves": lambda: sensitivity_curves([0.5, 1], [[1, 2]], [0.7], band=BAD, title=BAD),
    "randomisation_curve": lambda: randomisation_curve({BAD: STEPS}, between=0.3),
    "deletion_curves": lambda: deletion_curves({BAD: DROPS}),
    "configurations": lambda: configurations(FOLDS, FOLDS, by="set", published_by="set", data=BAD),
    "training_size": lambda: training_size(FOLDS, by="set"),
    "redshift_bins": lambda: redshift_bins(FOLDS, FOLDS, by="set", bins={BAD: (0.1, 0.2)}, title=BAD),
    "training_ranges": lambda: training_ranges(FOLDS, FOLDS, cluster="set", training="set"),
    "method_agreement": lambda: method_agreement(
        Table({BAD: [True, False], "members": [3, 1], "non_members": [2, 2]}), title=BAD
    ),
    "threshold_curves": lambda: threshold_curves({BAD: JUDGED}, resamples=5),
    "method_rocs": lambda: method_rocs(
        {BAD: JUDGED}, Table({"object_id": list("abcd"), "cluster": [BAD] * 4})
    ),
    "magnitude_distribution": lambda: magnitude_distribution([20.0], [BAD], stacked=[BAD], x=BAD),
    "error_distributions": lambda: error_distributions({BAD: [20.0, 21.0]}, ["TP", "FN"]),
    "contamination_distribution": lambda: contamination_distribution([0.1, 0.2], ["TP", "FN"], x=BAD),
    "member_profiles": lambda: member_profiles(
        {BAD: member_profile(np.linspace(0.01, 0.2, 30), edges=[0, 0.1, 0.2], resamples=5)}
    ),
    "member_gallery": lambda: member_gallery(*members(), columns=2, title=BAD),
    "band_sheet": lambda: band_sheet(members()[0], [BAD]),
    "mosaic_field": lambda: mosaic_field(
        Mosaics.from_arrays({BAD: PIXELS}, wcs()), sources=SKY, details=[BAD], pixels=9
    ),
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

"""Texts from data reach a page as text: no tag of theirs is ever part of its markup."""

import re

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table
from astropy.wcs import WCS
from bokeh.models import HoverTool
from bs4 import BeautifulSoup

from labkit.evaluate import member_profile
from labkit.predictions import Predictions
from labkit.sample import Sample
from labkit.sources.mosaics import Mosaics
from labkit.views import activations, angora, angora_galaxies, angora_methods, kosiba, plots, sky
from labkit.views.distributions import class_counts, histogram, linked_scatters
from labkit.views.gallery import gallery
from labkit.views.roc import roc
from labkit.views.tables import bullet_list, table

BAD = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'"


def dangerous(page: str) -> list[str]:
    tags = BeautifulSoup(page, "html.parser").find_all(True)
    return [tag.name for tag in tags if tag.name == "script" or any(a.startswith("on") for a in tag.attrs)]


@pytest.mark.parametrize(
    "page",
    [
        table(Table({BAD: [BAD]}), caption=BAD),
        table(QTable({"a": [1.0] * u.m}), caption=BAD, formats={"a": ".1f"}),
        bullet_list([BAD]),
    ],
)
def test_tables_and_lists_escape_what_they_hold(page):
    assert dangerous(str(page)) == []
    assert "alert(1)" in BeautifulSoup(str(page), "html.parser").get_text()


def wcs() -> WCS:
    frame = WCS(naxis=2)
    frame.wcs.ctype, frame.wcs.crval, frame.wcs.crpix = ["RA---TAN", "DEC--TAN"], [150, 2], [5, 5]
    frame.wcs.cdelt = [-4 / 3600, 4 / 3600]
    return frame


ROWS = Table({"x": [1.0, 2.0], "y": [0.5, 1.5], "y_low": [0.1, 0.2], "y_high": [1.0, 2.0], "g": [BAD, BAD],
              "named": [BAD, "b"], BAD: [BAD, BAD]})  # fmt: skip
NAMED = Table({"object_id": [BAD, "b"], "label": [BAD, BAD], "x": [1.0, 2.0], BAD: [1.0, 2.0]})
SKY = Table({"ra": [150.0], "dec": [2.0], "group": [BAD], BAD: [BAD]})
EXTENT = Table({"extent": [7.0], "extension_likelihood": [50.0], "class": [BAD], BAD: [BAD]})
BESIDE = Table({"experiment": [BAD], "auc": [0.9], "auc_low": [0.8], "auc_high": [1.0],
                "auc_published": [0.9]})  # fmt: skip
INDEX = Table(
    {"layer": [BAD], "filter": [0], "index": [0.9], "index_low": [0.8], "index_high": [1.0], "kind": [BAD]},
    meta={"bands": [BAD, "other"]},
)
STEPS = Table({"step": [BAD, "b"], "rank": [1.0, 0.5], "rank_low": [1.0, 0.4], "rank_high": [1.0, 0.6]})
DROPS = Table({"share": [0.1], "drop": [0.3], "reference": [0.1], "difference_low": [0.1],
               "difference_high": [0.2]})  # fmt: skip
FOLDS = Table({"bands": [BAD], "cluster": [BAD], "training": [BAD], "train": [500], "runs": [2]})
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
    return sample, Predictions.from_arrays(
        sample.object_ids, [[0.1, 0.9], [0.9, 0.1]], classes=("other", "member"), true=["member"] * 2,
        experiment=BAD, positive="member",
    )  # fmt: skip


PIXELS = np.random.default_rng(0).random((60, 60)).astype(np.float32)
ONE, EYE = np.ones((1, 8, 8)), np.eye(8)[None]
FIGURES = {
    "points": lambda: plots.points(ROWS, "x", "y", by="g", details={BAD: ""}, notes={BAD: BAD}, title=BAD),
    "points at names": lambda: plots.points(ROWS, "named", "y", by="g"),
    "curves": lambda: plots.curves(ROWS, "x", "y", by="g"),
    "bars": lambda: plots.bars(ROWS, "named", "y", by="g", labels={BAD: BAD}, details={BAD: ""}),
    "class_counts": lambda: class_counts([BAD], by=[BAD]),
    "histogram": lambda: histogram([1.0, 2.0], by=[BAD, BAD], label=BAD),
    "linked_scatters": lambda: linked_scatters(NAMED, [("x", BAD)], pictures=[BAD] * 2),
    "gallery": lambda: gallery([BAD], [BAD], details={BAD: [BAD]}, row_titles=[BAD]),
    "band_gallery": lambda: kosiba.band_gallery(ONE, EYE, [BAD]),
    "field": lambda: sky.field(np.eye(9), wcs=wcs(), candidates=SKY, title=BAD),
    "member_field": lambda: sky.member_field(
        np.zeros((9, 9, 3)), wcs(), sources=SKY, details=[BAD], pixels=9
    ),
    "mosaic_field": lambda: sky.mosaic_field(
        Mosaics.from_arrays({BAD: PIXELS}, wcs()), sources=SKY, details=[BAD], pixels=9
    ),
    "extent_plane": lambda: sky.extent_plane(EXTENT, details=[BAD]),
    "intervals": lambda: kosiba.intervals(BESIDE),
    "roc": lambda: roc({BAD: [Table({"fpr": [0.0, 1.0], "tpr": [0.0, 1.0]})]}),
    "filter_grid": lambda: activations.filter_grid(
        {BAD: np.eye(4)}, {BAD: np.ones((1, 4, 4))}, {BAD: [0]}, kinds={BAD: [BAD]}
    ),
    "activation_overlay": lambda: activations.activation_overlay(
        ONE, EYE, EYE, [BAD], pixel_scale=4 * u.arcsec
    ),
    "index_chart": lambda: activations.index_chart(INDEX, title=BAD),
    "sensitivity_curves": lambda: activations.sensitivity_curves(
        [0.5, 1], [[1, 2]], [0.7], band=BAD, title=BAD
    ),
    "randomisation_curve": lambda: activations.randomisation_curve({BAD: STEPS}, between=0.3),
    "deletion_curves": lambda: activations.deletion_curves({BAD: DROPS}),
    "configurations": lambda: angora.configurations(FOLDS, FOLDS, by="bands", data=BAD),
    "training_size": lambda: angora.training_size(FOLDS),
    "redshift_bins": lambda: angora.redshift_bins(
        FOLDS, FOLDS, by="bands", bins={BAD: (0.1, 0.2)}, title=BAD
    ),
    "training_ranges": lambda: angora.training_ranges(FOLDS, FOLDS),
    "method_agreement": lambda: angora_methods.method_agreement(
        Table({BAD: [True, False], "members": [3, 1], "non_members": [2, 2]}), title=BAD
    ),
    "threshold_curves": lambda: angora_methods.threshold_curves({BAD: JUDGED}, resamples=5),
    "method_rocs": lambda: angora_methods.method_rocs(
        {BAD: JUDGED}, Table({"object_id": list("abcd"), "cluster": [BAD] * 4})
    ),
    "error_distributions": lambda: angora_methods.error_distributions({BAD: [20.0, 21.0]}, ["TP", "FN"]),
    "contamination_distribution": lambda: angora_methods.contamination_distribution(
        [0.1, 0.2], ["TP", "FN"], title=BAD
    ),
    "magnitude_distribution": lambda: angora_galaxies.magnitude_distribution(
        [20.0], ["candidate member"], title=BAD
    ),
    "member_profiles": lambda: angora_galaxies.member_profiles(
        {BAD: member_profile(np.linspace(0.01, 0.2, 30), edges=[0, 0.1, 0.2], resamples=5)}
    ),
    "member_gallery": lambda: angora_galaxies.member_gallery(*members(), columns=2, title=BAD),
    "band_sheet": lambda: angora_galaxies.band_sheet(members()[0], [BAD]),
    "colour_magnitude": lambda: angora_galaxies.colour_magnitude(
        [1.0, 2], [1.0, 2], [BAD] * 2, details={BAD: [BAD] * 2}
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_what_the_pointer_shows_is_text(name):
    """Bokeh escapes values of columns and labels of pairs; the rest is ours, so are columns' names."""
    plot = FIGURES[name]()
    panels = [panel for panel, *_ in plot.children] if hasattr(plot, "children") else [plot]
    for tool in [tool for panel in panels for tool in panel.select(HoverTool)]:
        templates = [tool.tooltips] if isinstance(tool.tooltips, str) else [text for _, text in tool.tooltips]
        for template in templates:
            assert dangerous(template) == []
            assert "alert(1)</" not in template
            columns = set().union(*(r.data_source.column_names for r in tool.renderers))
            asked = {
                word for words in re.findall(r"@(?:\{([^}]*)\}|(\w+))", template) for word in words if word
            }
            assert asked <= columns, "each value is that of a column"

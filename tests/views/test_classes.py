"""Figures of several classes and folds: ROC panels, and a confusion matrix that opens cut-outs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy.table import Table
from bokeh.models import CustomJS, ImageURL, Legend, Line, Rect, TapTool, Text

from labkit.errors import InputError
from labkit.evaluate import area_under, class_rocs, roc_curve
from labkit.predictions import Predictions
from labkit.views import save_page
from labkit.views.cells import cell_cutouts, cell_examples, cutouts_of
from labkit.views.matrices import confusion_gallery
from labkit.views.rocs import by_class, by_fold
from labkit.views.style import CLASS_COLOURS

CLASSES = ("low-z cluster", "point source", "other")


def curves(seed):
    rng = np.random.default_rng(seed)
    true = np.repeat(np.arange(3), 30)
    p = rng.dirichlet(np.ones(3), 90) + 0.5 * np.eye(3)[true]
    return class_rocs(true, p, classes=CLASSES)


def legend(plot):
    return [item.label.value for item in plot.select_one(Legend).items]


def lines(plot):
    return {r.name: r for r in plot.renderers if isinstance(r.glyph, Line) and r.name}


def test_one_panel_a_network_and_one_curve_a_class_with_dashed_averages():
    runs = [curves(0), curves(1)]
    grid = by_class({"MN": runs, "CN": [curves(2)]})
    left, right = (child[0] for child in grid.children)
    assert (left.title.text, right.title.text) == ("MN", "CN")
    assert (left.xaxis[0].axis_label, left.yaxis[0].axis_label) == (
        "false positive rate",
        "true positive rate",
    )
    drawn = lines(right)
    assert list(drawn) == [*CLASSES, "macro average", "micro average"]
    for name in CLASSES:
        assert drawn[name].glyph.line_color == CLASS_COLOURS[name]
        assert drawn[name].glyph.line_dash == []
    assert drawn["macro average"].glyph.line_dash
    assert drawn["micro average"].glyph.line_dash != drawn["macro average"].glyph.line_dash
    areas = [area_under(run["point source"]) for run in runs]
    assert f"point source: AUC {np.mean(areas):.3f} ± {np.std(areas, ddof=1):.3f}" in legend(left)
    np.testing.assert_array_equal(drawn["other"].data_source.data["y"], curves(2)["other"]["tpr"])


def test_a_class_that_a_run_lacks_is_averaged_over_the_others():
    lacking = curves(0)
    del lacking["other"]
    plot = by_class({"MN": [lacking, curves(1)]}).children[0][0]
    assert f"other: AUC {area_under(curves(1)['other']):.3f}" in legend(plot)


def test_folds_are_thin_and_their_mean_is_thick():
    rng = np.random.default_rng(1)
    true = np.tile([True, False], 20)
    folds = {str(f): roc_curve(true, rng.normal(true, 1)) for f in range(10)}
    plot = by_fold(folds, out_of_fold=folds["0"])
    drawn = lines(plot)
    assert [drawn[f"fold {f}"].glyph.line_width for f in range(10)] == [1] * 10
    assert drawn["mean"].glyph.line_width > 2
    assert legend(plot)[0].startswith("mean of 10 folds: AUC ")
    assert legend(plot)[1] == f"all objects, out of fold: AUC {area_under(folds['0']):.3f}"
    assert len(legend(by_fold(folds))) == 1


def test_figures_without_curves_are_refused():
    with pytest.raises(InputError, match="networks must hold one network or more"):
        by_class({})
    with pytest.raises(InputError, match=r"networks\['MN'\] must hold the curves of one run"):
        by_class({"MN": []})
    with pytest.raises(InputError, match="'other' must have one curve or more with the columns fpr and tpr"):
        by_class({"MN": [{"other": Table({"x": [1]})}]})
    with pytest.raises(InputError, match="'folds' must have one curve or more"):
        by_fold({})


def test_examples_are_the_highest_of_each_cell():
    rng = np.random.default_rng(0)
    true, decided, score = rng.integers(0, 3, 200), rng.integers(0, 3, 200), rng.random(200)
    rows = cell_examples(true, decided, score, limit=4)
    for one in range(3):
        for two in range(3):
            here = np.flatnonzero((true == one) & (decided == two))
            expected = here[np.argsort(-score[here])][:4]
            assert rows[(true[rows] == one) & (decided[rows] == two)].tolist() == expected.tolist()
    assert len(cell_examples([], [], [])) == 0
    with pytest.raises(InputError, match="of one length and limit at least 1"):
        cell_examples([1], [1], [0.5], limit=0)


def test_cutouts_are_pictures_with_their_classes():
    images = np.random.default_rng(0).poisson(3, (2, 2, 24, 24))
    table = cell_cutouts(["a", "b"], ["b", "b"], ["x", "y"], optical=images[0], xray=images[1], size_px=32)
    assert table.colnames == ["true", "predicted", "picture", "title"]
    assert all(uri.startswith("data:image/png;base64,") for uri in table["picture"])
    assert table["picture"][0] != table["picture"][1]
    with pytest.raises(InputError, match=r"must be of one length, got \[2, 2, 1, 2, 2\]"):
        cell_cutouts(["a", "b"], ["b", "b"], ["x"], optical=images[0], xray=images[1])


def test_only_the_surest_objects_of_each_cell_are_read(small_sample):
    p = np.tile([[0.9, 0.1], [0.2, 0.8]], (6, 1)) - np.linspace(0, 0.05, 12)[:, None] * [[1, -1]]
    run = Predictions.from_arrays(
        small_sample.object_ids, p, classes=("a", "b"), true=["a", "a", "b", "b"] * 3, experiment="E"
    )
    table = cutouts_of(run, small_sample, limit=1, white_sky=False)
    pairs = list(zip(table["true"], table["predicted"], strict=True))
    assert pairs == [("a", "a"), ("a", "b"), ("b", "a"), ("b", "b")]
    assert table["title"][0] == "p = 0.90"


@pytest.fixture
def layout():
    counts = [[5, 2, 0], [1, 7, 4], [0, 0, 3]]
    cells = [(0, 1)] * 2 + [(1, 2)] * 3 + [(1, 1)]
    cutouts = Table(
        {
            "true": [CLASSES[a] for a, _ in cells],
            "predicted": [CLASSES[b] for _, b in cells],
            "picture": [f"data:image/png;base64,{n}" for n in range(6)],
            "title": [f"object {n}" for n in range(6)],
        }
    )
    return confusion_gallery(counts, CLASSES, cutouts, title="CN"), cutouts


def test_it_opens_on_the_most_frequent_confusion(layout):
    plot, sheet = layout[0].children
    matrix = next(r for r in plot.renderers if isinstance(r.glyph, Rect)).data_source
    assert matrix.selected.indices == [5]
    assert sheet.title.text == "point source taken for other: 3 of 4"
    shown = next(r for r in sheet.renderers if isinstance(r.glyph, ImageURL)).data_source
    assert shown.data["title"] == ["object 2", "object 3", "object 4"]
    assert len({len(values) for values in shown.data.values()}) == 1


def test_a_click_has_all_it_needs_in_the_page(layout, tmp_path):
    plot, sheet = layout[0].children
    cells = next(r for r in plot.renderers if isinstance(r.glyph, Rect))
    assert plot.select_one(TapTool).renderers == [cells]
    assert all(r.nonselection_glyph is None for r in plot.renderers if isinstance(r.glyph, Rect | Text))
    callback = cells.data_source.selected.js_property_callbacks["change:indices"][0]
    assert isinstance(callback, CustomJS)
    assert callback.args["all"].data["uri"] == list(layout[1]["picture"])
    assert callback.args["matrix"] is cells.data_source
    assert callback.args["heading"] is sheet.title
    assert len(callback.args["grid"].data["x"]) == 3, "room for the fullest cell"
    for name in callback.args:
        assert name in callback.code
    page = save_page(layout[0], tmp_path / "page.html").read_text()
    assert json.dumps(layout[1]["picture"][0])[1:-1] in page


def test_cutouts_that_do_not_fit_are_refused(layout):
    counts, cutouts = np.eye(3, dtype=int), layout[1]
    with pytest.raises(InputError, match=r"cutouts must have the columns .* \['title'\] missing"):
        confusion_gallery(counts, CLASSES, cutouts["true", "predicted", "picture"])
    with pytest.raises(
        InputError, match=r"cutouts must be of the classes .* got \['low-z cluster', 'other', 'p"
    ):
        confusion_gallery(np.eye(2, dtype=int), CLASSES[:2], cutouts)
    with pytest.raises(InputError, match="one or more, got"):
        confusion_gallery(counts, CLASSES, cutouts[:0])

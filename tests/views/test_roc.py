"""Curves over thresholds, of runs, classes and folds, and histories."""

import numpy as np
import pytest
from astropy.table import Table
from bokeh.models import Line, Step

from labkit.errors import InputError
from labkit.evaluate import area_under, class_rocs, roc_curve
from labkit.predictions import Predictions
from labkit.views.roc import purity_completeness, roc, roc_by_class, roc_by_fold
from labkit.views.style import CLASS_COLOURS
from labkit.views.training import history

CLASSES = ("low-z cluster", "point source", "other")


def roc_table(fpr, tpr) -> Table:
    return Table({"fpr": np.array(fpr, dtype=float), "tpr": np.array(tpr, dtype=float)})


def predictions(experiment: str = "CN", seeds: int = 2, positive: str | None = "cluster", true="known"):
    """Twenty objects and runs of one experiment; the last object is of unknown class."""
    rng, ids = np.random.default_rng(3), [f"X{i}" for i in range(20)]
    names = {"known": ["cluster", "other"] * 9 + ["cluster", ""], "one": ["other"] * 20, "none": [""] * 20}[
        true
    ]
    parts = []
    for seed in range(seeds):
        p = rng.uniform(0, 1, 20)
        parts.append(
            Predictions.from_arrays(ids, np.c_[1 - p, p], classes=("other", "cluster"), true=names,
                                    experiment=experiment, seed=seed, positive=positive)
        )  # fmt: skip
    return Predictions.concatenate(parts)


def test_roc_shows_each_run_their_mean_and_the_area(look):
    runs = {"perfect": [roc_table([0, 0, 1], [0, 1, 1])] * 2, "guess": [roc_table([0, 1], [0, 1])]}
    plot = roc(runs)
    assert look.axis_labels(plot) == ("false positive rate", "true positive rate")
    assert look.legend(plot) == ["perfect: AUC 1.000 ± 0.000", "guess: AUC 0.500"]
    widths = [r.glyph.line_width for r in look.glyphs(plot, Line)]
    assert (widths.count(2.8), widths.count(1)) == (2, 2)


def test_predictions_have_a_curve_for_each_run(look):
    known = predictions().known
    expected = [area_under(roc_curve(rows.true_codes == 1, rows.score)) for _, rows in known.runs()]
    words = f"CN: AUC {np.mean(expected):.3f} ± {np.std(expected, ddof=1):.3f}"
    both = Predictions.concatenate([predictions(), predictions("MN", seeds=1)])
    plot = roc(both, title="Candidates")
    assert look.legend(plot)[0] == words
    assert look.legend(plot)[1].startswith("MN: AUC ")
    assert look.legend(roc({"mine": predictions()})) == [words.replace("CN", "mine")]
    purity = purity_completeness(predictions(seeds=1))
    assert look.data(purity, "CN")["y"][-1] == pytest.approx(10 / 19)


def test_purity_is_averaged_at_equal_completeness(look):
    one = Table({"completeness": [0.0, 0.5, 1.0], "purity": [1.0, 1.0, 0.5]})
    two = Table({"completeness": [0.0, 0.5, 1.0], "purity": [0.8, 0.8, 0.5]})
    plot = purity_completeness({"net": [one, two]}, base_rate=0.5)
    assert look.axis_labels(plot) == ("completeness", "purity")
    mean = next(r for r in look.glyphs(plot, Line) if r.glyph.line_width == 2.8).data_source.data
    assert np.interp(0.25, mean["x"], mean["y"]) == pytest.approx(0.9)


def test_history_has_a_panel_for_each_quantity(look):
    rows = [
        {"epoch": e, "train_loss": 1 / (e + 1), "validation_loss": 1.0, "learning_rate": 0.1}
        for e in range(4)
    ]
    grid = history({"CN-E": [rows, rows[1:]], "MN-E": [rows]})
    panels = [child for child, *_ in grid.children]
    assert [look.axis_labels(p) for p in panels] == [("epoch", "loss"), ("epoch", "learning rate")]
    assert panels[0].x_range is panels[1].x_range
    assert look.legend(panels[0]) == ["CN-E", "MN-E", "training"]
    assert len(look.glyphs(panels[1], Step)) == 3


def curves(seed):
    rng = np.random.default_rng(seed)
    true = np.repeat(np.arange(3), 30)
    p = rng.dirichlet(np.ones(3), 90) + 0.5 * np.eye(3)[true]
    p /= p.sum(1, keepdims=True)
    ids = [f"X{i}" for i in range(90)]
    made = Predictions.from_arrays(ids, p, classes=CLASSES, true=np.array(CLASSES)[true], experiment="one")
    return class_rocs(made)["one"][0]


def lines(plot):
    return {r.name: r for r in plot.renderers if isinstance(r.glyph, Line) and r.name}


def test_one_panel_per_network_and_one_curve_per_class_with_dashed_averages(look):
    runs = [curves(0), curves(1)]
    grid = roc_by_class({"MN": runs, "CN": [curves(2)]})
    left, right = (child[0] for child in grid.children)
    assert (left.title.text, right.title.text) == ("MN", "CN")
    assert look.axis_labels(left) == ("false positive rate", "true positive rate")
    drawn = lines(right)
    assert list(drawn) == [*CLASSES, "macro average", "micro average"]
    for name in CLASSES:
        assert drawn[name].glyph.line_color == CLASS_COLOURS[name]
        assert drawn[name].glyph.line_dash == []
    assert drawn["macro average"].glyph.line_dash
    assert drawn["micro average"].glyph.line_dash != drawn["macro average"].glyph.line_dash
    areas = [area_under(run["point source"]) for run in runs]
    assert f"point source: AUC {np.mean(areas):.3f} ± {np.std(areas, ddof=1):.3f}" in look.legend(left)
    np.testing.assert_array_equal(drawn["other"].data_source.data["y"], curves(2)["other"]["tpr"])
    del runs[0]["other"]
    plot = roc_by_class({"MN": runs}).children[0][0]
    assert f"other: AUC {area_under(runs[1]['other']):.3f}" in look.legend(plot), "averaged over the others"


def test_folds_are_thin_and_their_mean_is_thick(look):
    rng = np.random.default_rng(1)
    true = np.tile([True, False], 20)
    folds = {str(f): roc_curve(true, rng.normal(true, 1)) for f in range(10)}
    plot = roc_by_fold(folds, out_of_fold=folds["0"])
    drawn = lines(plot)
    assert [drawn[f"fold {f}"].glyph.line_width for f in range(10)] == [1] * 10
    assert drawn["mean"].glyph.line_width > 2
    assert look.legend(plot)[0].startswith("mean of 10 folds: AUC ")
    assert look.legend(plot)[1] == f"all objects, out of fold: AUC {area_under(folds['0']):.3f}"
    assert len(look.legend(roc_by_fold(folds))) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: history({"a": [[{"loss": 1.0}]]}), "with the column 'epoch'"),
        (lambda: history({"a": [[]]}), "with the column 'epoch'"),
        (lambda: history({"a": [[{"epoch": 1}]]}), "loss, accuracy or"),
        (lambda: roc({"net": []}), r"runs\['net'\] must hold one curve or more"),
        (lambda: roc([1, 2]), "runs must be Predictions, or a mapping .* got list"),
        (lambda: roc({"net": [1.0]}), "with the columns"),
        (lambda: roc(predictions(positive=None)), "'CN' must have a positive class"),
        (lambda: roc(predictions(true="one")), "both classes in each run, got one in 'CN', seed 0"),
        (lambda: roc(predictions(true="none")), "objects of known class, got none of 40"),
        (lambda: purity_completeness({"net": [roc_table([0, 1], [0, 1])]}), "with the columns"),
        (lambda: roc_by_class({}), "networks must hold one network or more"),
        (lambda: roc_by_class({"MN": []}), r"networks\['MN'\] must hold the curves of one run"),
        (lambda: roc_by_class({"MN": [{"other": Table({"x": [1]})}]}), "other must hold one curve or more"),
        (lambda: roc_by_fold({}), "folds must hold one curve or more"),
    ],
)
def test_what_cannot_be_drawn_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()

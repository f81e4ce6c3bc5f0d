"""Figures of Kosiba et al. (2020): the decision tree, votes, measures beside print, confusion matrices."""

import json

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table
from bokeh.models import CustomJS, ImageURL, MultiLine, Rect, TapTool, Text

from labkit.errors import InputError
from labkit.predictions import Predictions
from labkit.taxonomy import BINARY
from labkit.views import save_page
from labkit.views.confusion import cell_cutouts, cell_examples, confusion, confusion_gallery
from labkit.views.kosiba import (
    agreement,
    band_gallery,
    decision_tree,
    expert_sheet,
    extent_planes,
    intervals,
    sample_overlap,
    volunteer_sheet,
)
from labkit.views.style import ABSENT
from labkit.votes import read_tree


def boxes(plot) -> dict[str, list]:
    (renderer,) = [each for each in plot.renderers if isinstance(each.glyph, Rect)]
    return dict(renderer.data_source.data)


def test_every_question_and_ending_answer_has_a_box(look):
    tree = read_tree("hunt")
    plot = decision_tree(tree, title="The Hunt")
    data = boxes(plot)
    assert sorted(data["whole"]) == sorted([*(q.text for q in tree.questions), *tree.endings])
    assert len(look.drawn(plot, "connection")) == len(tree.choices)
    colour = dict(zip(data["whole"], data["colour"], strict=True))
    assert colour["nearby cluster"] == colour["distant cluster"]
    kind = dict(zip(data["whole"], data["class"], strict=True))
    assert (kind["point"], kind[tree.questions[0].text]) == ("non-cluster", "question")
    assert colour["point"] == colour["edge"] != colour["nearby cluster"]


def test_boxes_do_not_overlap():
    for name in ("hunt", "presence_absence"):
        data = boxes(decision_tree(read_tree(name), counts=np.ones(len(read_tree(name).choices))))
        x, y, height = (np.array(data[key]) for key in ("x", "y", "height"))
        for column in np.unique(x):
            here = np.flatnonzero(x == column)
            here = here[np.argsort(y[here])]
            bottoms, tops = (y + height / 2)[here], (y - height / 2)[here]
            assert (bottoms[:-1] <= tops[1:]).all()


def test_shares_are_of_all_classifications():
    tree = read_tree("hunt")
    counts = np.zeros(len(tree.choices))
    counts[[0, tree.endings["edge"], tree.endings["point"]]] = 150, 50, 30
    data = boxes(decision_tree(tree, counts=counts))
    share = dict(zip(data["whole"], data["share"], strict=True))
    assert (share["edge"], share["point"], share["no emission"]) == ("25%", "15%", "0.0%")
    assert share[tree.questions[1].text] == "75%"
    assert share[tree.questions[0].text] == ""


def ends(fractions: list[float]) -> QTable:
    return QTable(
        {
            "ending": ["point", "not a nearby cluster", "nearby cluster"],
            "class": ["non-cluster", "non-cluster", "cluster"],
            "experts": ["point source", "", "low-z cluster"],
            "answers": [1200, 30, 8],
            "fraction": fractions,
        }
    )


def test_agreement_leaves_out_what_experts_cannot_say(look):
    plot = agreement(ends([0.25, np.nan, 0.75]), title="Fig. 6")
    assert plot.yaxis[0].major_label_overrides == {0: "point", 1: "nearby cluster"}
    assert look.data(plot, "words")["text"].tolist() == ["25% of 1,200", "75% of 8"]
    assert look.data(plot, "cluster")["right"].tolist() == [0.75]
    assert look.data(plot, "cluster")["experts"].tolist() == ["low-z cluster"]
    assert "agree with the experts" in plot.xaxis.axis_label


def test_measured_stands_beside_the_published(look):
    both = Table({"experiment": ["CN-E", "MN-E"], "auc": [0.9, 0.8], "auc_low": [0.8, 0.7],
                  "auc_high": [0.95, 0.9], "auc_published": [0.96, np.nan]})  # fmt: skip
    plot = intervals(both)
    words = "measured, with interval"
    ours, theirs = look.data(plot, words), look.data(plot, f"{words}, published")
    assert (ours["x"].tolist(), ours["low"].tolist()) == ([0.9, 0.8], [0.8, 0.7])
    assert ours["place"].tolist() == ["CN-E", "MN-E"]
    assert ours["y"] == pytest.approx([-0.189, 0.811])
    assert theirs["x"] == pytest.approx([0.96, np.nan], nan_ok=True)
    assert theirs["y"] == pytest.approx([0.189, 1.189])
    assert look.legend(plot) == ["measured, with interval", "published"]
    assert look.axis_labels(plot)[0] == "auc"
    assert plot.yaxis[0].major_label_overrides == {0: "CN-E", 1: "MN-E"}
    with pytest.raises(InputError, match=r"\['f1', 'f1_low', 'f1_high', 'f1_published'\] missing"):
        intervals(both, "f1")


def test_bands_are_shown_alone_and_combined(look):
    images = np.random.default_rng(0).poisson(3, (2, 12, 12))
    plot = band_gallery(images, images, ["a", "b"])
    shown = look.glyphs(plot, ImageURL)[0].data_source.data
    assert shown["title"] == ["a", "", "", "b", "", ""]
    assert len(set(shown["uri"])) == 6


def test_confusion_shows_counts_and_shares_of_the_true_class(look):
    plot = confusion([[8, 2], [0, 0]], ["non-cluster", "cluster"])
    shown = look.glyphs(plot, Text)[0].data_source.data
    assert shown["count"] == ["8", "2", "0", "0"]
    assert shown["percent"] == ["80.0 %", "20.0 %", "0.0 %", "0.0 %"]
    assert plot.y_range.factors == ["cluster", "non-cluster"]


CLASSES = ("low-z cluster", "point source", "other")


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


def test_only_the_surest_objects_of_each_cell_are_read(small_sample):
    p = np.tile([[0.9, 0.1], [0.2, 0.8]], (6, 1)) - np.linspace(0, 0.05, 12)[:, None] * [[1, -1]]
    run = Predictions.from_arrays(
        small_sample.object_ids, p, classes=("a", "b"), true=["a", "a", "b", "b"] * 3, experiment="E"
    )
    table = cell_cutouts(run, small_sample, limit=1)
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


PLAIN = np.ones((2, 4, 4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda _: decision_tree(read_tree("hunt"), counts=[0] * 3), "one number per answer, 14, got"),
        (lambda _: agreement(ends([np.nan] * 3)), "must have ending answers with a fraction"),
        (lambda _: band_gallery(PLAIN, PLAIN[:1]), "the same objects, got 2 and 1"),
        (lambda _: confusion([[1, 2, 3]], ["a", "b"]), "counts must be 2 x 2"),
        (lambda _: cell_examples([1], [1], [0.5], limit=0), "of one length and limit at least 1"),
        (lambda c: confusion_gallery(np.eye(3), CLASSES, c["true", "predicted", "picture"]),
         r"cutouts must have the columns .* \['title'\] missing"),
        (lambda c: confusion_gallery(np.eye(2), CLASSES[:2], c), r"of the classes .* \['other'\]"),
        (lambda c: confusion_gallery(np.eye(3), CLASSES, c[:0]), "cutouts must have a row at least"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(layout, call, message):
    with pytest.raises(InputError, match=message):
        call(layout[1])


@pytest.fixture(scope="module")
def halo() -> tuple[np.ndarray, np.ndarray]:
    """Photons of a halo a sixth of the side to the left of the middle, and a blank plate."""
    rng = np.random.default_rng(2)
    y, x = np.indices((180, 180)) - 89.5
    xray = rng.poisson(1 + 9 * np.exp(-0.5 * ((x + 30) ** 2 + y**2) / 8**2)).astype(np.float32)
    return xray, rng.normal(5, 1, (180, 180)).astype(np.float32)


def test_contours_and_cross_lie_on_the_pictures_that_volunteers_see(look, halo):
    plot = volunteer_sheet(*halo, title="seen")
    (pictures,) = look.glyphs(plot, ImageURL)
    corners = np.column_stack([pictures.data_source.data[axis] for axis in "xy"])
    (cross,) = look.drawn(plot, "candidate")
    assert np.column_stack([cross.data_source.data[axis] for axis in "xy"]) == pytest.approx(
        corners[:2] + 0.5
    )
    (lines,) = look.glyphs(plot, MultiLine)
    points = np.column_stack([np.concatenate(lines.data_source.data[axis]) for axis in ("xs", "ys")])
    for corner in corners[:2]:
        inside = ((points >= corner) & (points <= corner + 1)).all(axis=1)
        assert np.median(points[inside], axis=0) - corner == pytest.approx([1 / 3, 0.5], abs=0.03)
    assert (points[:, 1] >= corners[:2, 1].min()).all(), "none on the pictures below"
    urls = pictures.data_source.data["uri"]
    assert urls[:2] == urls[2:]


def test_experts_see_the_middle_of_the_plate_with_contours_of_the_same_sky(look, halo):
    plot = expert_sheet(*halo)
    (pictures,) = look.glyphs(plot, ImageURL)
    corners = np.column_stack([pictures.data_source.data[axis] for axis in "xy"])
    (lines,) = look.glyphs(plot, MultiLine)
    points = np.column_stack([np.concatenate(lines.data_source.data[axis]) for axis in ("xs", "ys")])
    means = []
    for number in (0, 2, 3):
        inside = ((points >= corners[number]) & (points <= corners[number] + 1)).all(axis=1)
        means.append(np.median(points[inside] - corners[number], axis=0))
    assert means[0] == pytest.approx([1 / 3, 0.5], abs=0.03)
    assert means[1] == pytest.approx([1 / 3, 0.5], abs=0.03)
    assert means[2] == pytest.approx([0.5 - 7 / 4 / 6, 0.5], abs=0.03)


def test_extents_stand_by_experts_and_by_volunteers(look):
    survey = QTable({"object_id": list("abcd"), "label": ["low-z cluster", "artefact", "point source", ""]})
    survey["split"] = ["test", "test", "train", ""]
    assert ABSENT in extent_planes(survey).tags
    survey["fitted_extent"], survey["extension_likelihood"] = [20.0, 8, 6, 30] * u.arcsec, [90.0, 40, 8, 60]
    survey["detection_likelihood"] = survey["fitted_counts"] = np.full(4, 100.0)
    about = {"classes": BINARY.classes, "positive": "cluster", "experiment": "weighted"}
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
    judged = Predictions.from_arrays(["a", "b", "d"], p, true=["cluster", "non-cluster", ""], **about)
    panels = look.panels(extent_planes(survey, judged))
    drawn = [
        {r.name: look.data(one, r.name)["object_id"].tolist() for r in look.glyphs(one)} for one in panels
    ]
    assert drawn == [
        {"cluster": ["a"], "non-cluster": ["b"]},
        {"non-cluster": ["a", "b"]},
        {"non-cluster": ["c"]},
        {"cluster": ["d"]},
    ]
    (single,) = look.panels(extent_planes(survey))
    assert set(look.legend(single)) == {"low-z cluster", "artefact", "point source"}
    assert [one.title.text for one in panels][:2] == ["test set, by experts", "test set, by volunteers"]


def test_what_samples_share_is_counted_in_the_legend(look):
    survey = QTable({"object_id": list("abcd"), "split": ["test", "train", "", "validation"]})
    plot = sample_overlap(survey, ["a", "c", "d"], title="Whose")
    assert look.legend(plot) == [
        "experts + the Hunt + test (1)", "experts + the Hunt (1)", "experts (1)", "the Hunt (1)"
    ]  # fmt: skip

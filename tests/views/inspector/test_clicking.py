"""The inspector, clicked without a browser: every message that the browser would send, and what it leaves."""

import asyncio
import csv
import re
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table
from bs4 import BeautifulSoup

from labkit.errors import InputError
from labkit.predictions import Predictions
from labkit.runfolder import HEADLESS
from labkit.sample import Sample
from labkit.views.inspector import ErrorState, Inspector, Pictures, error_sheet, gather, inspect_errors
from labkit.views.inspector.markup import contour_svg, links, sexagesimal
from labkit.views.inspector.pictures import activation_overlay, contour_lines, styles_for
from labkit.views.inspector.state import Selection
from labkit.views.inspector.static import error_page


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def sent(part, **content) -> None:
    """What the browser's message does."""
    part._handle_custom_msg(content, [])


def shown(widget: Inspector) -> list[str]:
    return [card["id"] for card in widget.controls.sheet.cards]


def chosen(widget: Inspector) -> str:
    return str(widget.state.objects.object_id[widget.chosen])


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "verdicts.csv"


@pytest.fixture
def widget(sample, predictions, path) -> Inspector:
    made = inspect_errors(sample, predictions, verdicts=path, user="ada", page_size=3)
    assert len(made.controls.experiment.options) == 2
    return made


def test_the_first_page_shows_the_surest_false_positives(widget):
    state, c = widget.state, widget.controls
    expected = state.objects.object_id[state.page(Selection("FP"), 0, size=3)].tolist()
    assert shown(widget) == expected
    assert chosen(widget) == expected[0]
    assert c.sheet.cards[0]["probability"] == f"p {state.score[widget.chosen]:.3f}"
    assert len(c.sheet.cards[0]["pictures"]) == 3
    assert "0 objects judged so far" in c.status.value


def test_moving_the_threshold_moves_point_counts_and_gallery(widget):
    c = widget.controls
    c.threshold.value = 0.9
    summary = widget.state.summary
    assert c.curve.point == pytest.approx([summary.fpr, summary.recall])
    assert f"FN <b>{summary.counts['FN']}</b>" in c.counts.value
    assert c.groups["FN"].description == f"FN {summary.counts['FN']}"
    assert len(shown(widget)) == min(3, summary.counts["FP"])
    sent(c.curve, fpr=0.0, tpr=0.0)
    assert c.threshold.value == pytest.approx(widget.state.threshold)
    assert widget.state.summary.counts["TP"] + widget.state.summary.counts["FP"] == 0
    assert "no false positives" in c.sheet.empty
    assert (shown(widget), widget.chosen, c.detail.value) == ([], -1, "")


def test_curve_and_counts_are_drawn_where_they_belong(widget):
    state, summary = widget.state, widget.state.summary
    curve = BeautifulSoup(widget.controls.curve.svg, "html.parser")
    left, top, side = map(float, curve.svg["data-box"].split())
    line = np.array([pair.split(",") for pair in curve.polyline["points"].split()], dtype=float)
    expected = [left + side * state.roc["fpr"], top + side * (1 - state.roc["tpr"])]
    np.testing.assert_allclose(line.T, expected, atol=0.051)
    point = [float(curve.circle[name]) for name in ("cx", "cy")]
    expected = [left + side * summary.fpr, top + side * (1 - summary.recall)]
    np.testing.assert_allclose(point, expected, atol=0.051)
    heights = {text.get_text(): float(text["y"]) for text in curve.find_all("text", {"text-anchor": "end"})}
    assert (heights["1.0"], heights["0.0"]) == pytest.approx((top + 4, top + side + 4))
    cells = BeautifulSoup(widget.controls.counts.value, "html.parser").find_all("td")
    assert [cell.get_text() for cell in cells] == [
        f"{n} {summary.counts[n]}" for n in ("TP", "FN", "FP", "TN")
    ]


def test_the_gallery_waits_until_the_slider_rests(sample, predictions):
    async def drag() -> None:
        widget = inspect_errors(sample, predictions)
        before = shown(widget)
        for value in (0.6, 0.7, 0.95):
            widget.controls.threshold.value = value
        assert widget.state.threshold == 0.95
        assert shown(widget) == before
        await asyncio.sleep(0.4)
        assert len(shown(widget)) < len(before)

    asyncio.run(drag())


def test_groups_are_chosen_by_their_buttons(widget):
    for name in ("TP", "FN", "TN", "FP"):
        widget.controls.groups[name].click()
        assert {widget.state.group_of(widget.state.objects.find(i)) for i in shown(widget)} == {name}
        assert "lk-on" in widget.controls.groups[name]._dom_classes
    assert widget.controls.groups["new"].layout.display == "none"


def test_sorting_filtering_and_paging(widget):
    c = widget.controls
    c.groups["TN"].click()
    c.sort.value = "counts"
    counts = [float(widget.state.column("counts")[widget.state.objects.find(name)]) for name in shown(widget)]
    assert counts == sorted(counts, reverse=True)
    assert f"counts {counts[0]:.4g}" in c.sheet.cards[0]["foot"]
    first = shown(widget)
    c.forward.click()
    assert c.page.value == 2
    assert not set(first) & set(shown(widget))
    c.back.click()
    c.back.click()
    assert (c.page.value, shown(widget)) == (1, first)
    c.descending.value = False
    assert c.descending.description == "↑"
    assert shown(widget) != first
    c.text.value = "label = other"
    assert {card["foot"].split(" · ")[0] for card in c.sheet.cards} == {"other"}
    c.text.value = "colour = red"
    assert "lk-wrong" in c.status.value
    assert "column must be one of" in c.status.value
    assert {card["foot"].split(" · ")[0] for card in c.sheet.cards} == {"other"}, "the last good filter stays"
    widget.press("ArrowRight")
    assert "lk-wrong" not in c.status.value, "the message goes with the next thing that works"
    assert "Verdicts go to" in c.status.value
    c.text.value = "X99"
    assert "that match" in c.sheet.empty
    c.text.value = ""
    c.page_size.value = 24
    assert len(shown(widget)) == widget.state.summary.counts["TN"]
    c.shown.value = "X-ray"
    assert all(len(card["pictures"]) == 1 for card in c.sheet.cards)


def test_keys_walk_through_the_objects_and_over_pages(widget):
    widget.controls.groups["TP"].click()
    names = widget.state.objects.object_id[widget.state.members(widget.selection)].tolist()
    for key in ("ArrowRight", "ArrowRight", "ArrowRight"):
        sent(widget.controls.keys, key=key)
    assert (chosen(widget), widget.controls.page.value) == (names[3], 2)
    sent(widget.controls.keys, key="ArrowLeft")
    assert (chosen(widget), widget.controls.page.value) == (names[2], 1)
    sent(widget.controls.keys, key="ArrowDown")
    assert chosen(widget) == names[5]
    sent(widget.controls.keys, key="PageDown")
    assert chosen(widget) == names[6]
    sent(widget.controls.keys, key="Home")
    assert chosen(widget) == names[0]
    sent(widget.controls.sheet, pick=1)
    assert (chosen(widget), widget.controls.sheet.chosen) == (names[1], 1)
    assert names[1] in widget.controls.detail.value
    sent(widget.controls.sheet, pick=99)
    sent(widget.controls.keys, key="Q")
    assert chosen(widget) == names[1]


def test_verdicts_by_mouse_and_keyboard_are_on_disk_at_once(widget, path, sample):
    c = widget.controls
    first, second, third = shown(widget)
    c.agree.click()
    assert chosen(widget) == second, "goes on to the next"
    sent(c.keys, key="d")
    c.label.value = "low-z cluster"
    sent(c.keys, key="r")
    found = lines(path)
    labels = dict(zip(sample.object_ids, sample.labels, strict=True))
    assert [(line["object_id"], line["verdict"], line["label"]) for line in found] == [
        (first, "agree", labels[first]),
        (second, "doubtful", ""),
        (third, "relabel", "low-z cluster"),
    ]
    assert {(line["experiment"], line["threshold"], line["user"]) for line in found} == {
        ("CN-E", "0.5", "ada")
    }
    score = widget.state.score[widget.state.objects.find(first)]
    assert float(found[0]["probability"]) == pytest.approx(score, rel=1e-5)
    c.page.value = 1
    assert [card["verdict"] for card in c.sheet.cards] == ["agree", "doubtful", "relabel"]
    assert "Saved to" in c.status.value


def test_a_key_judges_only_what_was_on_the_screen(widget, path):
    first, second, _ = shown(widget)
    sent(widget.controls.keys, key="a", object=first)
    sent(widget.controls.keys, key="a", object=first)  # pressed again before the next picture came
    assert f"not recorded: the verdict was for {first}, now there is {second}" in widget.controls.status.value
    sent(widget.controls.keys, key="d", object=second)
    assert [line["object_id"] for line in lines(path)] == [first, second]


def test_undo_and_redo(widget, path):
    c = widget.controls
    name = chosen(widget)
    c.relabel.click()
    assert chosen(widget) != name
    c.undo.click()
    assert chosen(widget) == name, "undo shows the object that it changed"
    assert [line["verdict"] for line in lines(path)] == ["relabel", "withdrawn"]
    assert c.sheet.cards[0]["verdict"] == ""
    sent(c.keys, key="y")
    assert lines(path)[-1]["verdict"] == "relabel"
    sent(c.keys, key="u")
    sent(c.keys, key="u")
    assert "Nothing to undo here" in c.status.value
    assert len(lines(path)) == 4


def test_a_note_keeps_the_verdict_and_stays_with_the_object(widget, path):
    c, name = widget.controls, chosen(widget)
    c.advance.value = False
    c.label.value = "low-z cluster"
    c.relabel.click()
    assert chosen(widget) == name
    c.note.value = 'group at the edge, "maybe"'
    (_, noted) = lines(path)
    assert (noted["verdict"], noted["label"], noted["note"]) == (
        "relabel", "low-z cluster", 'group at the edge, "maybe"',
    )  # fmt: skip
    sent(c.keys, key="ArrowRight")
    assert c.note.value == ""
    c.note.value = "only a note"
    assert lines(path)[-1]["verdict"] == "note"
    sent(c.keys, key="ArrowLeft")
    assert c.note.value.startswith("group at the edge")
    assert "group at the edge" in c.detail.value


def test_a_digit_picks_the_label_and_overlays_have_keys(sample, predictions, path):
    asked = []

    def activation(one: Sample, *, target: str) -> np.ndarray:
        asked.append((one.object_ids.tolist(), target))
        return np.full((1, *one.shape[2:]), 0.7)

    widget = inspect_errors(sample, predictions, verdicts=path, activation=activation)
    c = widget.controls
    sent(c.keys, key="2")
    assert c.label.value == c.label.options[1]
    plain = c.detail.value
    sent(c.keys, key="c")
    assert "lk-contours" in plain
    assert "lk-contours" not in c.detail.value
    sent(c.keys, key="m")
    assert asked[0] == ([chosen(widget)], "cluster")
    assert c.detail.value != plain
    before = len(asked)
    sent(c.keys, key="c")
    assert len(asked) == before, "a picture is made once"


def test_earlier_verdicts_come_back_and_two_inspectors_share_a_file(sample, predictions, path, widget):
    name = chosen(widget)
    widget.controls.agree.click()
    other = inspect_errors(sample, predictions, verdicts=path, user="bob", page_size=3)
    assert "1 objects judged so far" in other.controls.status.value
    assert other.controls.sheet.cards[0]["verdict"] == "agree"
    other.controls.doubtful.click()
    widget.controls.undo.click()
    assert "judged again by bob" in widget.controls.status.value
    assert widget.controls.sheet.cards[0]["id"] == name
    widget.controls.page_size.value = 9
    assert widget.controls.sheet.cards[0]["verdict"] == "doubtful"
    widget.controls.text.value = "verdict = none"
    assert name not in shown(widget)
    judged = chosen(widget)
    widget.controls.agree.click()
    assert judged not in shown(widget), "what is judged leaves the list of those that are not"
    assert len(lines(path)) == 3


def test_another_experiment_and_another_positive_class(widget, sample):
    widget.controls.experiment.value = "MN-E"
    assert widget.state.summary.accuracy == 1
    assert "MN-E, one run" in widget.controls.head.value
    assert shown(widget) == []
    p = np.random.default_rng(2).dirichlet(np.ones(3), len(sample))
    true = np.array(["a", "b", "c", ""])[np.arange(len(sample)) % 4]
    three = Predictions.from_arrays(sample.object_ids, p, classes=("a", "b", "c"), true=true, experiment="x")
    other = inspect_errors(sample, three, positive="a", threshold=0.3)
    other.controls.positive.value = "b"
    assert other.state.summary.counts["TP"] == ((true == "b") & (p[:, 1] > 0.3)).sum()
    assert other.controls.groups["new"].layout.display == ""
    other.controls.groups["new"].click()
    assert {other.state.true(other.state.objects.find(i)) for i in shown(other)} == {""}


def test_without_a_file_nothing_can_be_judged(sample, predictions):
    widget = inspect_errors(sample, predictions)
    assert widget.controls.agree.disabled
    for key in "ardu":
        widget.press(key)
    assert "give verdicts=" in widget.controls.status.value


def test_a_verdict_that_cannot_be_saved_is_not_shown_as_saved(widget, path):
    path.unlink()
    name = chosen(widget)
    widget.controls.agree.click()
    assert "the verdict was not saved" in widget.controls.status.value
    assert chosen(widget) == name
    assert widget.controls.sheet.cards[0]["verdict"] == ""


def test_only_the_rows_of_the_page_are_read_of_very_many(many, path):
    sample, predictions, images = many
    widget = inspect_errors(sample, predictions, verdicts=path, page_size=12)
    seen = set(images.rows)
    assert len(seen) == 12
    for step in (
        lambda: setattr(widget.controls.threshold, "value", 0.8),
        lambda: widget.turn(1),
        lambda: setattr(widget.controls.page, "value", 100),
        lambda: setattr(widget.controls.sort, "value", "counts"),
        lambda: widget.press("a"),
    ):
        images.rows.clear()
        step()
        page = widget.state.objects.row[widget._page].tolist()
        assert len(page) == 12
        assert sorted(images.rows) == sorted(set(page) - seen)
        seen |= set(images.rows)
    assert 36 < len(seen) <= 72, "the first page stays when the threshold moves, the others are new"


def test_facts_of_the_chosen_object(sample, predictions):
    votes = Table({"object_id": sample.object_ids[:20], "n_votes": np.arange(20)})
    widget = inspect_errors(sample, predictions, votes=votes)
    widget.controls.groups["TP"].click()
    widget.controls.text.value = "X04"
    page = BeautifulSoup(widget.controls.detail.value, "html.parser")
    text = page.get_text(" ")
    assert "n_votes 4" in text
    assert "off_axis 1.231 ′" in text
    assert "simulated position" in text
    assert "class of its label cluster" in " ".join(text.split())
    assert sexagesimal(sample.catalogue["ra"][4], sample.catalogue["dec"][4]) in text
    assert [a.get_text() for a in page.find_all("a")] == ["Aladin Lite", "SIMBAD", "NED", "ESASky"]
    widget.controls.text.value = "counts >= 0 and n_votes != 0"
    sent(widget.controls.sheet, pick=int(np.argmax([name >= "X20" for name in shown(widget)])))
    assert chosen(widget) >= "X20"
    assert "votes none" in BeautifulSoup(widget.controls.detail.value, "html.parser").get_text(" ")


def test_positions_are_written_as_astronomers_do_and_may_be_missing(sample, predictions):
    ra, dec = 150.25 * u.deg, -2.5 * u.deg
    assert sexagesimal(ra, dec) == "10h01m00.00s -02d30m00.0s"
    found = links(ra, dec, width=7 * u.arcmin)
    assert "target=150.250000%20-2.500000&fov=0.117" in found["Aladin Lite"]
    assert "ra=150.250000d&dec=-2.500000d&radius=3.50" in found["NED"]
    assert "Radius=3.50&Radius.unit=arcmin" in found["SIMBAD"]
    catalogue = sample.catalogue.copy()
    catalogue["ra"][:] = np.nan * u.deg
    lost = Sample(sample.images, catalogue, bands=sample.bands, pixel_scale=sample.pixel_scale)
    widget = inspect_errors(lost, predictions)
    assert "position unknown" in widget.controls.detail.value
    assert "<a " not in widget.controls.detail.value


def test_names_from_a_catalogue_cannot_become_markup(sample, predictions):
    catalogue = sample.catalogue.copy()
    for name in ("label", "cluster"):
        catalogue[name] = ["<script>x</script>"] * 40
    strange = Sample(sample.images, catalogue, bands=sample.bands, pixel_scale=sample.pixel_scale)
    detail = inspect_errors(strange, predictions).controls.detail.value
    assert "lk-field" in detail
    assert "<script>" not in detail
    assert "<script>x" not in str(inspect_errors(strange, predictions, headless=True))


def test_blank_and_broken_cutouts_are_black_not_errors(sample, predictions):
    images = sample.images.astype(float).copy()
    images[:, 0] = np.nan
    images[::2, 1] = np.nan
    images[1::4, 1, :5] = np.nan
    broken = Sample(images, sample.catalogue, bands=sample.bands, pixel_scale=sample.pixel_scale)
    widget = inspect_errors(broken, predictions)
    for name in ("TP", "FP", "TN"):
        widget.controls.groups[name].click()
        assert widget.chosen >= 0
    pictures = Pictures(broken)
    assert pictures.levels(0, "combined").max() == 0
    assert pictures.levels(1, "combined").max() > 0
    assert pictures.contours(1, "optical") == []


def test_contours_surround_the_source_and_are_drawn_upright():
    y, x = np.mgrid[:60, :60]
    image = 5 * np.exp(-0.5 * ((x - 40) ** 2 + (y - 10) ** 2) / 16) + np.random.default_rng(0).normal(
        0, 0.05, (60, 60)
    )
    found = contour_lines(image)
    heights = [height for height, _ in found]
    assert heights == sorted(heights)
    assert heights[-1] < image.max()
    top = np.concatenate(found[-1][1])
    assert top.mean(axis=0) == pytest.approx([40, 10], abs=1)
    sizes = [np.ptp(max(pieces, key=len)[:, 0]) for _, pieces in found]
    assert sizes == sorted(sizes, reverse=True)
    drawn = contour_svg(found[-1:], size=(60, 60))
    places = np.array(re.findall(r"[ML]([\d.]+) ([\d.]+)", drawn), dtype=float)
    assert places.mean(axis=0) == pytest.approx([40.5, 49.5], abs=1)
    assert contour_lines(np.zeros((9, 9))) == []


def test_activation_tints_where_it_acts():
    levels, activation = np.full((2, 2), 0.5), np.array([[0.0, 1.0], [0.0, np.nan]])
    tinted = activation_overlay(levels, activation)
    assert tinted[0, 0].tolist() == tinted[1, 1].tolist() == [0.5] * 3
    assert not np.allclose(tinted[0, 1], 0.5)
    assert activation_overlay(tinted, activation).shape == (2, 2, 3)


def test_other_bands_have_styles_too(predictions, sample):
    rng = np.random.default_rng(0)
    members = Sample(
        rng.gamma(2, 1, (40, 4, 16, 16)), sample.catalogue, bands=("F435W", "F606W", "F814W", "F160W"),
        pixel_scale=0.065 * u.arcsec,
    )  # fmt: skip
    assert [style.name for style in styles_for(members.bands)] == ["colour", *members.bands]
    widget = inspect_errors(members, predictions)
    assert len(widget.controls.sheet.cards[0]["pictures"]) == 5
    assert [style.name for style in styles_for(["F814W"])] == ["F814W"]


def test_the_static_twin_shows_the_same_and_fetches_nothing(sample, predictions, path, monkeypatch, widget):
    widget.controls.agree.click()
    monkeypatch.setenv(HEADLESS, "1")
    page = BeautifulSoup(str(inspect_errors(sample, predictions, verdicts=path)), "html.parser")
    assert page.find("script") is None
    assert all(image["src"].startswith("data:image/") for image in page.find_all("img"))
    text = page.get_text(" ")
    for name, words in (("TP", "true positives"), ("FN", "false negatives")):
        assert f"{words}: {widget.state.summary.counts[name]}" in text
    assert "threshold 0.500" in text
    assert "Verdicts: 1 agree" in text
    assert page.select_one("svg.lk-curve circle")["cx"]
    assert [card.get_text() for card in page.select(".lk-kind-FP .lk-card-id")] == shown(widget)
    assert len(page.select(".lk-kind-TP .lk-card")[0].select(".lk-contours path")) == 3
    empty = str(inspect_errors(sample, predictions, experiment="MN-E", verdicts=path))
    assert "no false positives" in empty
    monkeypatch.setenv(HEADLESS, "")
    assert isinstance(inspect_errors(sample, predictions), Inspector)


def test_a_sheet_has_a_row_for_each_of_the_surest(sample, predictions):
    state = ErrorState(gather(sample, predictions), sample.catalogue)
    pictures = Pictures(sample, activation=lambda one, *, target: np.full((1, *one.shape[2:]), 0.5))
    page = BeautifulSoup(str(error_sheet(state, pictures, "FN", objects=2, target="cluster")), "html.parser")
    names = state.objects.object_id[state.page(Selection("FN"), 0, size=2)].tolist()
    assert [head.get_text() for head in page.find_all("h4")] == names
    assert [c.get_text() for c in page.find_all("figcaption")][:4] == [
        "optical + X-ray contours", "X-ray", "combined", "optical + X-ray contours + activation",
    ]  # fmt: skip
    assert not page.select(".lk-small"), "all of a sheet's pictures are of one size"
    state.threshold = 1.0
    assert "no false positives at this threshold" in str(error_sheet(state, pictures, "FP"))


def flat(_one, *, target: str) -> np.ndarray:
    return np.zeros((1, 3, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s, p, folder: inspect_errors(s, p, verdicts=folder), "verdicts must be a CSV that can be"),
        (lambda s, p, _: inspect_errors(s, p, page_size=0), "page_size must be at least 1"),
        (lambda s, *_: Pictures(s).uri(0, "optical", target="cluster"), "activation must be given"),
        (lambda s, *_: Pictures(s, activation=flat).uri(0, "optical", target="cluster"),
         r"activation must give a map of shape \(1, 24, 24\), got \(1, 3, 3\)"),
        (lambda s, p, _: error_page(ErrorState(gather(s, p), s.catalogue), Pictures(s), objects=0),
         "objects must be at least 1"),
        (lambda s, p, _: error_sheet(ErrorState(gather(s, p), s.catalogue), Pictures(s), "FP", objects=0),
         "objects must be at least 1"),
    ],
)  # fmt: skip
def test_wrong_input_is_named(sample, predictions, tmp_path, call, message):
    with pytest.raises(InputError, match=message):
        call(sample, predictions, tmp_path)

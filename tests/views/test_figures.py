"""Figures by their labels and by the data that they plot."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from astropy.wcs import WCS
from bokeh.models import GlyphRenderer, Image, ImageURL, Legend, Line, Scatter, Step, Text

from labkit.errors import InputError
from labkit.views.curves import history, purity_completeness, roc
from labkit.views.distributions import class_counts, histogram, linked_scatters
from labkit.views.matrices import confusion
from labkit.views.skies import compare_cutouts, field
from labkit.views.style import CLASS_COLOURS, PALETTE, class_colours, colours
from labkit.views.tables import bullet_list, intervals, table
from labkit.views.thumbnails import band_gallery, gallery, thumbnails


def glyphs(plot, kind):
    return [r for r in plot.select(GlyphRenderer) if isinstance(r.glyph, kind)]


def legend(plot) -> list[str]:
    return [item.label.value for item in plot.select_one(Legend).items]


def axis_labels(plot) -> tuple[str, str]:
    return plot.xaxis[0].axis_label, plot.yaxis[0].axis_label


def roc_table(fpr, tpr) -> Table:
    return Table({"fpr": np.array(fpr, dtype=float), "tpr": np.array(tpr, dtype=float)})


def test_roc_shows_each_run_their_mean_and_the_area():
    runs = {"perfect": [roc_table([0, 0, 1], [0, 1, 1])] * 2, "guess": [roc_table([0, 1], [0, 1])]}
    plot = roc(runs)
    assert axis_labels(plot) == ("false positive rate", "true positive rate")
    assert legend(plot) == ["perfect: AUC 1.000 ± 0.000", "guess: AUC 0.500"]
    widths = [r.glyph.line_width for r in glyphs(plot, Line)]
    assert widths.count(2.8) == 2
    assert widths.count(1) == 2


def test_purity_is_averaged_at_equal_completeness():
    one = Table({"completeness": [0.0, 0.5, 1.0], "purity": [1.0, 1.0, 0.5]})
    two = Table({"completeness": [0.0, 0.5, 1.0], "purity": [0.8, 0.8, 0.5]})
    plot = purity_completeness({"net": [one, two]}, base_rate=0.5)
    assert axis_labels(plot) == ("completeness", "purity")
    mean = next(r for r in glyphs(plot, Line) if r.glyph.line_width == 2.8).data_source.data
    assert np.interp(0.25, mean["x"], mean["y"]) == pytest.approx(0.9)


def test_curves_without_runs_or_columns_are_refused():
    with pytest.raises(InputError, match=r"runs\['net'\] must hold one curve or more"):
        roc({"net": []})
    with pytest.raises(InputError, match="with the columns"):
        purity_completeness({"net": [roc_table([0, 1], [0, 1])]})


def test_history_has_a_panel_for_each_quantity():
    rows = [
        {"epoch": e, "train_loss": 1 / (e + 1), "validation_loss": 1.0, "learning_rate": 0.1}
        for e in range(4)
    ]
    grid = history({"CN-E": [rows, rows[1:]], "MN-E": [rows]})
    panels = [child for child, *_ in grid.children]
    assert [axis_labels(p) for p in panels] == [("epoch", "loss"), ("epoch", "learning rate")]
    assert panels[0].x_range is panels[1].x_range
    assert legend(panels[0]) == ["CN-E", "MN-E", "training"]
    assert len(glyphs(panels[1], Step)) == 3


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"loss": 1.0}], "with the column 'epoch'"),
        ([], "with the column 'epoch'"),
        ([{"epoch": 1}], "loss, accuracy or"),
    ],
)
def test_history_without_its_columns_is_refused(rows, message):
    with pytest.raises(InputError, match=message):
        history({"a": [rows]})


def test_confusion_shows_counts_and_shares_of_the_true_class():
    plot = confusion([[8, 2], [0, 0]], ["non-cluster", "cluster"])
    data = glyphs(plot, Text)[0].data_source.data
    assert data["count"] == ["8", "2", "0", "0"]
    assert data["percent"] == ["80.0 %", "20.0 %", "0.0 %", "0.0 %"]
    assert plot.y_range.factors == ["cluster", "non-cluster"]
    with pytest.raises(InputError, match="counts must be 2 x 2"):
        confusion([[1, 2, 3]], ["a", "b"])


WCS_FIELD = WCS(naxis=2)
WCS_FIELD.wcs.ctype = ["RA---TAN", "DEC--TAN"]
WCS_FIELD.wcs.crval = [150, 2]
WCS_FIELD.wcs.crpix = [50.5, 50.5]
WCS_FIELD.wcs.cdelt = [-4 / 3600, 4 / 3600]


def test_a_field_puts_east_to_the_left_and_ranks_candidates():
    image = np.zeros((100, 100))
    image[50, 20] = 100  # east of the centre: RA grows to the left
    east = WCS_FIELD.pixel_to_world(20, 50)
    sky = SkyCoord([east, WCS_FIELD.pixel_to_world(60, 50)])
    candidates = QTable({"ra": sky.ra, "dec": sky.dec, "p": [0.2, 0.9], "name": ["a", "b"]})
    plot = field(image, wcs=WCS_FIELD, candidates=candidates, score="p", title="t")
    assert axis_labels(plot) == ("offset to the east (arcmin)", "offset to the north (arcmin)")
    assert plot.x_range.start == pytest.approx(100 * 4 / 60 / 2)
    marks = glyphs(plot, Scatter)[0].data_source.data
    assert marks["rank"].tolist() == [2, 1]
    assert marks["x"][0] == pytest.approx((49.5 - 20) * 4 / 60, abs=1e-6)
    shown = glyphs(plot, Image)[0].data_source.data["image"][0]
    assert shown[50, 99 - 20] == 255


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "one of wcs and pixel_scale"),
        ({"wcs": WCS_FIELD, "pixel_scale": 4 * u.arcsec}, "one of wcs and pixel_scale"),
        (
            {"pixel_scale": 4 * u.arcsec, "candidates": Table({"ra": [1.0]})},
            "candidates need wcs and the columns",
        ),
    ],
)
def test_a_field_without_its_frame_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        field(np.eye(10), **options)
    with pytest.raises(InputError, match="image must have shape"):
        field(np.zeros((2, 10, 10)), pixel_scale=1 * u.arcsec)


def test_compared_cutouts_share_one_grey_scale():
    bright, faint = np.full((1, 8, 8), 10.0), np.zeros((1, 8, 8))
    plot = compare_cutouts({"real": bright, "simulated": faint}, pixel_scale=60 * u.arcsec, stretch="linear")
    data = glyphs(plot, ImageURL)[0].data_source.data
    assert data["sum"] == ["640", "0"]
    assert data["uri"][0] != data["uri"][1]
    assert "8.0′ wide, same grey scale from 0 to 10" in plot.title.text
    with pytest.raises(InputError, match="groups must have one shape"):
        compare_cutouts({"a": bright, "b": np.zeros((2, 8, 8))}, pixel_scale=1 * u.arcsec)


def test_a_gallery_places_pictures_row_by_row():
    uris = thumbnails(np.random.default_rng(0).poisson(1, (5, 9, 9)), size_px=20, sigma_px=1)
    plot = gallery(uris, [f"X{i}" for i in range(5)], details={"p": list("abcde")}, columns=3)
    data = glyphs(plot, ImageURL)[0].data_source.data
    assert data["title"][4] == "X4"
    assert (data["x"][3], data["x"][4]) == (data["x"][0], data["x"][1])
    assert data["y"][3] < data["y"][0]
    with pytest.raises(InputError, match="as many titles and details"):
        gallery(uris, ["one"])
    with pytest.raises(InputError, match="pictures must be one or more"):
        gallery([])


def test_bands_are_shown_alone_and_combined():
    images = np.random.default_rng(0).poisson(3, (2, 12, 12))
    data = glyphs(band_gallery(images, images, ["a", "b"], details={"p": [0.1, 0.9]}), ImageURL)[
        0
    ].data_source.data
    assert data["title"] == ["a", "", "", "b", "", ""]
    assert data["p"] == [0.1] * 3 + [0.9] * 3
    with pytest.raises(InputError, match="colours must be"):
        band_gallery(images, images, colours="sepia")
    with pytest.raises(InputError, match="the same objects"):
        band_gallery(images, images[:1])


def test_class_counts_are_stacked_and_sum_up():
    plot = class_counts(["a", "b", "a", ""], by=["train", "test", "test", "test"])
    assert plot.y_range.factors[-1] == "a"
    data = plot.select(GlyphRenderer)[0].data_source.data
    assert dict(zip(data["class"], data["total"], strict=True)) == {"a": 2, "b": 1, "unknown": 1}
    assert axis_labels(plot)[0] == "number of objects"
    with pytest.raises(InputError, match="labels must hold objects"):
        class_counts([])


def test_a_histogram_counts_every_shown_value():
    plot = histogram([0.1, 1.0, 10.0, np.nan, -1.0] * u.ks, label="exposure (ks)", log=True, bins=3)
    assert axis_labels(plot) == ("exposure (ks)", "number of objects")
    assert sum(glyphs(plot, Line)[0].data_source.data["y"][1:-1:2]) == 3
    share = histogram([1.0, 2, 3, 4], by=["a", "a", "b", "b"], label="x", normalised=True)
    assert [sum(r.data_source.data["y"][1:-1:2]) for r in glyphs(share, Line)] == [1, 1]
    edges = histogram([-3.0, -1.0, 1.0, 1.5, 9.0], label="x", bins=[-2, 0, 2])
    assert glyphs(edges, Line)[0].data_source.data["y"][1:-1:2].tolist() == [1, 2]
    with pytest.raises(InputError, match="finite entries above zero"):
        histogram([-1.0], label="x", log=True)
    with pytest.raises(InputError, match="one entry for each value"):
        histogram([1.0, 2.0], by=["a"], label="x")


def test_linked_scatters_share_one_source():
    table = QTable(
        {"object_id": ["a", "b"], "label": ["cluster", "other"], "z": [0.1, 0.2], "L": [1.0, 0.0] * u.W}
    )
    grid = linked_scatters(table, [("z", "L"), ("L", "z")], log=["L"], pictures=["u", "v"])
    first, second = (child for child, *_ in grid.children)
    assert axis_labels(first) == ("z", "L (W)")
    sources = [glyphs(plot, Scatter)[0].data_source for plot in (first, second)]
    assert sources[0] is sources[1]
    assert np.isnan(sources[0].data["L"][1])
    with pytest.raises(InputError, match=r"\['mass'\] missing"):
        linked_scatters(table, [("z", "mass")])
    with pytest.raises(InputError, match="pictures must be one for each row"):
        linked_scatters(table, [("z", "L")], pictures=["u"])


def test_a_table_has_units_dashes_and_counts_the_rest():
    rows = QTable({"name": ["b", "c"], "L": [1.23456, np.nan] * u.W, "picture": ["data:u", "data:v"]})
    text = str(table(rows, caption="Table 1", formats={"L": ".2f"}, pictures=("picture",), longest=2))
    assert "L (W)" in text
    assert ">1.23<" in text
    assert ">–<" in text
    assert '<img src="data:v" height="72">' in text
    assert "1 more rows" in table(rows, longest=1)._repr_html_()
    assert "more rows" not in text
    with pytest.raises(InputError, match=r"got \['M'\]"):
        table(rows, formats={"M": ".1f"})


def test_sentences_are_a_list():
    text = str(bullet_list(["one", "two"]))
    assert text.count("<li") == 2
    assert str(bullet_list([])) == ""


def test_measured_stands_on_the_line_of_the_published():
    both = Table(
        {
            "network": ["CN-E", "CN-E"],
            "from": ["published, table5", "measured"],
            "auc": [0.96, 0.9],
            "auc_low": [np.nan, 0.8],
            "auc_high": [np.nan, 0.95],
        }
    )
    plot = intervals(both, unit="AUC")
    values = [r.data_source.data["value"].tolist() for r in glyphs(plot, Scatter)]
    assert sorted(values) == [[0.9], [0.96]]
    assert legend(plot) == ["measured, with interval", "published"]
    with pytest.raises(InputError, match=r"\['f1', 'f1_low', 'f1_high'\] missing"):
        intervals(both, "f1")


def test_classes_keep_their_colours_and_others_take_free_ones():
    assert class_colours(["cluster", "new"])["cluster"] == CLASS_COLOURS["cluster"]
    assert class_colours(["cluster", "new"])["new"] != CLASS_COLOURS["cluster"]
    assert list(colours("abcdefghi").values()) == [*PALETTE, PALETTE[0]]

"""Figures of cool cores: what is drawn, by its labels and data."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table
from bokeh.models import ImageURL, Line, Span

from labkit.errors import InputError
from labkit.predictions import Estimates, Predictions
from labkit.sample import Sample
from labkit.views.su import attention, class_examples, confusions, cooling_times, number_checks

CLASSES = ("CC", "WCC", "NCC")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


@pytest.fixture
def catalogue(rng) -> QTable:
    table = QTable({"object_id": [f"C{k}" for k in range(12)], "label": np.repeat(CLASSES, 4)})
    table["ra"], table["dec"] = np.zeros((2, 12)) * u.deg
    table["t_cool"] = np.repeat([0.5, 3.0, 12.0], 4) * rng.uniform(0.9, 1.1, 12) * u.Gyr
    table["m500"] = rng.uniform(1, 9, 12) * 1e14 * u.M_sun
    return table


def test_cooling_times_stand_beside_the_limits(catalogue, look):
    counts, places = look.panels(cooling_times(catalogue, title="clusters"))
    for plot in (counts, places):
        assert sorted(span.location for span in plot.select(Span)) == [1.0, 7.7]
    assert look.axis_labels(places) == ("central cooling time (Gyr)", "log10 M500 (solar masses)")
    times = look.data(places, "NCC")["t_cool"]
    assert sorted(times) == pytest.approx(sorted(catalogue["t_cool"].value[8:]))
    assert sum(len(look.data(places, name)["log_m500"]) for name in CLASSES) == 12


def test_examples_go_by_class_and_cooling_time(catalogue, rng, look):
    images = rng.poisson(3, (12, 1, 16, 16)).astype(np.float32)
    sample = Sample(images, catalogue, bands=("xray",), pixel_scale=16 * u.arcsec)
    (shown,) = look.glyphs(class_examples(sample, columns=3), ImageURL)
    titles = [float(words.removesuffix(" Gyr")) for words in shown.data_source.data["title"]]
    assert len(titles) == 9
    assert all(row == sorted(row) for row in (titles[:3], titles[3:6], titles[6:]))
    assert max(titles[:3]) < 1 < min(titles[3:6]) < 7.7 < min(titles[6:])
    with pytest.raises(InputError, match="columns must be at most 4, the number of CC, got 5"):
        class_examples(sample, columns=5)


def test_numbers_stand_beside_the_truth_and_their_widths(rng, look):
    true = rng.normal(0, 1, (40, 2))
    true[5] = np.nan
    predicted = true + rng.normal(0, 0.2, true.shape)
    predicted[5], predicted[7, 0] = 0, true[7, 0] + 9
    options = {"true": true, "targets": ["log t_cool", "ne"], "units": ["Gyr", ""], "experiment": "n"}
    ids = [f"C{k}" for k in range(40)]
    sets = {name: Estimates.from_arrays(ids, predicted, np.full((40, 2), width), **options)
            for name, width in (("as trained", 0.1), ("calibrated", 0.2))}  # fmt: skip
    first, pulls, second, others = look.panels(number_checks(sets))
    assert look.axis_labels(first) == ("true log t_cool (Gyr)", "predicted log t_cool (Gyr)")
    assert look.axis_labels(second) == ("true ne", "predicted ne")
    shown = look.data(first, "predicted")
    np.testing.assert_allclose(shown["y"], predicted[np.isfinite(true[:, 0]), 0])
    np.testing.assert_allclose(shown["high"] - shown["low"], 0.4)
    line = look.data(first, "predicted fit")
    np.testing.assert_array_equal(line["x"], line["y"])
    assert look.legend(pulls) == ["as trained", "calibrated", "normal"]
    for plot in (pulls, others):
        for name in sets:
            heights = look.data(plot, name, Line)["y"]
            assert heights[1:-1:2].sum() == 39, "an outlier is in the last bin"


def test_each_method_has_its_matrix(catalogue, look):
    shared = {"classes": CLASSES, "true": catalogue["label"], "split": "test"}
    ids = catalogue["object_id"].tolist()
    right = np.repeat(np.eye(3), 4, axis=0)
    both = Predictions.concatenate(
        [
            Predictions.from_arrays(ids, right, experiment="right", **shared),
            Predictions.from_arrays(ids, np.roll(right, 1, axis=1), experiment="wrong", **shared),
        ]
    )
    first, second = look.panels(confusions(both))
    assert (first.title.text, second.title.text) == ("right", "wrong")
    counts = [look.glyphs(plot)[0].data_source.data["count"] for plot in (first, second)]
    assert counts == [
        ["4", "0", "0", "0", "4", "0", "0", "0", "4"],
        ["0", "4", "0", "0", "0", "4", "4", "0", "0"],
    ]


def test_networks_are_seen_beside_each_other(look):
    names, kinds = ("trained", "shuffled labels"), np.array(["CC", "CC", "NCC"])
    maps = {name: np.ones((3, 8, 8)) * (k + 1) for k, name in enumerate(names)}
    places = [(kind, radius) for kind in ("CC", "NCC") for radius in (30, 90)]
    rows = [(name, *place, 2, 3, 2, 4) for name in names for place in places]
    columns = ("network", "class", "radius", "objects", "value", "value_low", "value_high")
    table = Table(rows=rows, names=columns)
    sheet, panels = attention(maps, kinds, table, table, title="maps").children
    (pictures,) = look.glyphs(sheet, ImageURL)
    assert pictures.data_source.data["title"] == [f"{n} ({m})" for n in names for m in (2, 1)]
    plots = look.panels(panels)
    assert [plot.title.text[:3] for plot in plots] == ["CC:", "NCC", "CC:", "NCC"]
    assert look.data(plots[0], "trained")["y"].tolist() == [3, 3]
    assert look.legend(plots[3]) == list(names)
    with pytest.raises(InputError, match="maps must be one for each of the 3 classes, got 2"):
        attention({"trained": np.ones((2, 8, 8))}, kinds, table, table)

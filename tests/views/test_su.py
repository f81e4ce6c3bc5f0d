"""Figures of cool cores: what is drawn, by its labels and data."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table
from bokeh.models import ImageURL, Span

from labkit.errors import InputError
from labkit.predictions import Predictions
from labkit.sample import Sample
from labkit.views.su import attention, class_examples, confusions, cooling_times

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

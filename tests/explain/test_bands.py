"""The filter index and the sensitivity on networks whose filters are known."""

import numpy as np
import pytest
import torch
from torch import nn

from labkit.errors import InputError
from labkit.explain import band_index, index_summary, sensitivity, typical_filters


class Looks(nn.Module):
    """Filters for X-ray, optical, both, neither and mostly X-ray; and for X-ray above three brightnesses."""

    WEIGHTS = ((1, 0), (0, 1), (0.9, 0.3), (0, 0), (1, 0.1), (1, 0), (1, 0), (1, 0))
    BIASES = (0, 0, 0, 0, 0, -0.4, -0.8, -2.0)

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act = nn.Conv2d(2, len(self.BIASES), 1), nn.ReLU()
        self.head = nn.Linear(len(self.BIASES), 2)
        with torch.no_grad():
            self.conv.weight[:, :, 0, 0] = torch.tensor(self.WEIGHTS)
            self.conv.bias[:] = torch.tensor(self.BIASES)

    def forward(self, images):
        return self.head(self.act(self.conv(images)).mean((2, 3)))


@pytest.fixture
def known(make_model):
    return make_model(Looks())


@pytest.fixture
def even(sample):
    """Images whose X-ray band is flat at one half, the optical one as it is."""
    pixels = sample.images.copy()
    pixels[:, 0] = 128
    return pixels


def test_the_index_is_that_of_the_root_mean_square_changes(known, sample, rng):
    table = band_index(known, sample, layers=["act"], rng=rng, batch_size=7)
    kinds = ["xray", "optical", "both", "dead", "both", "xray", "xray", "dead"]  # the last ReLU never opens
    assert table["kind"].tolist() == kinds
    rms = np.sqrt(((sample.images / 255.0) ** 2).mean((0, 2, 3)))
    np.testing.assert_allclose(table["change_xray"][:2], [rms[0], 0], atol=1e-6)
    np.testing.assert_allclose(table["change_optical"][:2], [0, rms[1]], atol=1e-6)
    np.testing.assert_allclose(table["index"][:2], [1, -1])
    np.testing.assert_allclose(table["index"][2], (3 * rms[0] - rms[1]) / (3 * rms[0] + rms[1]), atol=1e-5)
    wanted = (rms[0] - 0.1 * rms[1]) / (rms[0] + 0.1 * rms[1])
    np.testing.assert_allclose(table["index"][4], wanted, atol=1e-5)
    alive = table["kind"] != "dead"
    low, index, high = (np.asarray(table[name]) for name in ("index_low", "index", "index_high"))
    assert np.isnan([low[~alive], index[~alive], high[~alive]]).all()
    assert ((low <= index + 1e-9) & (index <= high + 1e-9))[alive].all()
    assert table["index_high"][2] - table["index_low"][2] > 0.02


def test_another_order_of_the_bands_turns_the_sign(known, sample):
    one, two = (
        band_index(known, sample, layers=["act"], rng=np.random.default_rng(0), bands=bands)
        for bands in (("xray", "optical"), ("optical", "xray"))
    )
    np.testing.assert_allclose(one["index"], -two["index"], atol=1e-6)
    np.testing.assert_allclose(one["index_low"], -two["index_high"], atol=1e-6)
    assert list(one["kind"]) == list(two["kind"])


def test_shuffling_counts_only_what_differs_between_objects(known, even, rng):
    shuffled = band_index(known, even, layers=["act"], rng=rng, replace="shuffle")
    assert shuffled["kind"][0] == "dead"  # the X-ray band is the same everywhere
    assert shuffled["index"][2] == pytest.approx(-1)
    empty = band_index(known, even, layers=["act"], rng=rng)
    assert empty["kind"][0] == "xray"
    pixels = even[:2].copy()
    pixels[1, 0] = 0
    pair = band_index(known, pixels, layers=["act"], rng=rng, replace="shuffle")
    assert pair["change_xray"][0] == pytest.approx(128 / 255, abs=1e-6), "none is shuffled onto itself"


def test_a_summary_counts_each_kind_by_layer(known, sample, rng):
    summary = index_summary(band_index(known, sample, layers=["conv", "act"], rng=rng))
    assert list(summary["layer"]) == ["conv", "act"]
    assert list(summary["filters"]) == [8, 8]
    assert (summary["xray"] + summary["optical"] + summary["both"] + summary["dead"] == 8).all()
    assert list(summary["optical"]) == [1, 1]
    assert list(summary["dead"]) == [1, 2]


def test_sensitivity_finds_the_brightness_where_a_filter_opens(known, even, rng):
    """On flat images the answer is ReLU(b + bias): half of it is reached half way from the opening to 1."""
    found = sensitivity(known, even, layer="act", rng=rng)
    np.testing.assert_allclose(found.threshold[[0, 5, 6]], [0.5, 0.7, 0.9], atol=1e-5)
    assert np.isnan(found.threshold[[1, 3, 7]]).all()
    np.testing.assert_allclose(found.response[0], found.brightness, atol=1e-5)
    np.testing.assert_allclose(found.low[[0, 5]], found.high[[0, 5]], atol=1e-5)  # all objects are alike
    assert found.table.colnames == ["layer", "filter", "threshold", "low", "high", "response"]


def test_sensitivity_of_the_other_band_and_without_empty_objects(known, even, rng):
    found = sensitivity(known, even, layer="act", rng=rng, band="optical")
    assert np.isfinite(found.threshold[1])
    assert np.isnan(found.threshold[0])
    pixels = even.copy()
    pixels[3:, 0] = 0
    assert sensitivity(known, pixels, layer="act", rng=rng).objects == 3
    pixels[:, 0] = 0
    with pytest.raises(InputError, match="images must have emission in the band 'xray', got none in all 24"):
        sensitivity(known, pixels, layer="act", rng=rng)


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (slice(24), {"replace": "noise"}, "replace must be one of .*'sky'.*, got 'noise'"),
        (slice(24), {"layers": "act"}, r"layers must be one name or more in a list, got 'act'"),
        (slice(24), {"layers": ["act", "relu"]}, "layer must be one of the network's"),
        (slice(24), {"bands": ("xray", "radio")}, r"two of the model's, .* got \('xray', 'radio'\)"),
        ([0], {"replace": "shuffle"}, "two objects or more for replace='shuffle', got 1"),
        ([], {}, "images must be at least 1, got none"),
    ],
)
def test_what_has_no_index_is_said(known, sample, rng, rows, options, message):
    with pytest.raises(InputError, match=message):
        band_index(known, sample.select(rows), rng=rng, **({"layers": ["act"]} | options))


def test_bands_that_a_network_lacks_are_named(known, make_model, sample, rng):
    with pytest.raises(InputError, match=r"bands must be two of the model's, \('xray',\)"):
        band_index(make_model("custom", bands=("xray",)), sample, layers=["conv1"], rng=rng)
    with pytest.raises(InputError, match="band must be one of .* got 'radio'"):
        sensitivity(known, sample, layer="act", rng=rng, band="radio")


def test_typical_filters_run_from_one_band_to_the_other(known, sample, rng):
    table = band_index(known, sample, layers=["act"], rng=rng)
    assert typical_filters(table, "act") == [4, 2, 1]  # the stronger half of six that live
    table["kind"] = "dead"
    assert typical_filters(table, "act") == []
    with pytest.raises(InputError, match=r"layer must be among the measured \['act'\], got 'conv'"):
        typical_filters(table, "conv")

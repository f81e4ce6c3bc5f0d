"""Columns added to a Sample's catalogue."""

from __future__ import annotations

import numpy as np
import pytest

from labkit.errors import InputError
from labkit.sample import Sample, with_columns


def test_columns_are_added_with_pixels_unread(small_sample, tmp_path):
    small_sample.save(tmp_path / "s")
    stored = Sample.load(tmp_path / "s")
    joined = with_columns(stored, {"group": np.arange(12)}, provenance={"groups": 12})
    assert "images" not in joined.__dict__
    assert joined.catalogue["group"].tolist() == list(range(12))
    assert "group" not in stored.catalogue.colnames
    assert joined.provenance["groups"] == 12
    assert "groups" not in stored.provenance
    np.testing.assert_array_equal(joined.images, small_sample.images)


def test_only_labels_and_splits_change_what_a_sample_is(small_sample):
    before = small_sample.content_hash
    assert with_columns(small_sample, {"label_mixed": small_sample.labels}).content_hash == before
    assert with_columns(small_sample, {"label": small_sample.labels}).content_hash == before
    assert with_columns(small_sample, {"label": ["edge"] * 12}).content_hash != before


def test_columns_must_fit(small_sample):
    with pytest.raises(InputError, match=r"column 'x' must have one value per object, 12, got \(3,\)"):
        with_columns(small_sample, {"x": [1, 2, 3]})
    with pytest.raises(InputError, match=r"columns must not be any of .*, got \['ra'\]"):
        with_columns(small_sample, {"ra": np.zeros(12)})

import numpy as np
import pytest

from labkit.errors import InputError
from labkit.experiment import Augmentation, preset
from labkit.learn.previews import augmented_views, layer_rows


def test_custom_network_layers_are_those_of_table_3():
    rows = layer_rows(preset("CN-E"))
    assert len(rows) == 15
    assert [row["input"] for row in rows[::2]][:7] == [
        "356x356x3",
        "178x178x64",
        "89x89x32",
        "45x45x32",
        "23x23x32",
        "12x12x32",
        "6x6x32",
    ]
    assert [row["input"] for row in rows[-2:]] == ["1152", "256"]
    assert sum(row["parameters"] for row in rows) == 352_930


def test_other_networks_list_their_layers_too():
    rows = layer_rows(preset("MN-E"))
    assert sum(row["parameters"] for row in rows) > 3_000_000
    assert rows[0]["type"] == "Conv2d"


def test_views_differ_and_follow_the_seed(sample, quick):
    views = augmented_views(quick, sample, "B001", number=4, seed=1)
    assert views.shape == (4, 2, 32, 32)
    assert views.dtype == np.uint8
    assert len({view.tobytes() for view in views}) == 4
    np.testing.assert_array_equal(views, augmented_views(quick, sample, "B001", number=4, seed=1))


def test_views_without_any_transformation_are_the_object(sample, quick):
    still = quick.changed(augmentation=Augmentation(scale=1, rotation_deg=0, shift_px=0))
    views = augmented_views(still, sample, "B001", number=2)
    bands = sample.select(["B001"], bands=still.named_bands).images
    np.testing.assert_array_equal(views, np.repeat(bands, 2, axis=0))
    with pytest.raises(InputError, match="unknown ids"):
        augmented_views(quick, sample, "nobody")

"""A source may fill the image, and sep's limits are as they were."""

import numpy as np
import pytest
import sep

from labkit.errors import InputError
from labkit.images.segments import extract_segments


def test_a_source_that_fills_the_image_is_one_source_and_limits_stay():
    before = sep.get_extract_pixstack(), sep.get_sub_object_limit()
    y, x = np.mgrid[:600, :600] - 299.5
    image = 20 / (1 + (x**2 + y**2) / 150**2)
    assert image.size > before[0]
    found, segments = extract_segments(image, 0.3, err=np.ones(image.shape, np.float32), filter_kernel=None)
    assert len(found) == 1
    assert (segments == 1).all()
    assert found["x"][0] == pytest.approx(299.5, abs=0.1)
    assert (sep.get_extract_pixstack(), sep.get_sub_object_limit()) == before
    with pytest.raises(InputError, match=r"sources must be separable in the image of \(600, 600\) pixels"):
        extract_segments(image, 0.3, err=np.ones((2, 2), np.float32))
    assert (sep.get_extract_pixstack(), sep.get_sub_object_limit()) == before

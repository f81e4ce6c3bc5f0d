"""Sources as connected pixels, by sep, whose limits are raised for one call only."""

from typing import Any

import numpy as np
import sep
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError

_SUB_OBJECTS = 16_384  # that one source can be deblended into; sep gives up at 1024
_LEAST_STACK = 300_000


def extract_segments(image: ArrayLike, threshold: float, **options: Any) -> tuple[NDArray, NDArray[np.int32]]:
    """Sources of an image (y, x) and the number of the source of each pixel, from 1.

    `options` are those of `sep.extract`. A source may fill the whole image: sep's pixel stack grows with it,
    and is as it was afterwards.
    """
    image = np.ascontiguousarray(image, dtype=np.float32)
    before = sep.get_extract_pixstack(), sep.get_sub_object_limit()
    sep.set_extract_pixstack(max(_LEAST_STACK, before[0], image.size + sum(image.shape)))
    sep.set_sub_object_limit(max(_SUB_OBJECTS, before[1]))
    try:
        objects, segments = sep.extract(image, threshold, segmentation_map=True, **options)
    except Exception as error:  # sep raises bare ones
        raise InputError(
            f"sources must be separable in the image of {image.shape} pixels, but sep gave up ({error}); "
            "raise the threshold or deblend less"
        ) from error
    finally:
        sep.set_extract_pixstack(before[0])
        sep.set_sub_object_limit(before[1])
    return objects, np.asarray(segments, dtype=np.int32)

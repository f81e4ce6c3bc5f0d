"""Which channel of a stacked colour image is the X-ray image, which the optical one, which is empty.

The published training set comes with two descriptions that contradict each other: [empty, optical, X-ray]
(its archive record) and red = empty, green = X-ray, blue = optical (Kosiba et al. 2020, section 3.1). The
pixels know better, whatever their brightness, contrast and polarity (XAmin draws bright sources dark). The
empty channel has next to one grey level in every image. Counts of 5-20 ks are few, on pixels of 2.5" to 4.4"
that become blocks in a 356-pixel image, so neighbours are very often equal and the levels carry few bits; a
scanned photographic plate is sky, grain and stars on a continuous scale. On real XMM-Newton cut-outs after
XAmin's normalisation the share of equal neighbours is 0.80 to 0.90 with enlarged pixels (0.14 to 0.39 if they
were interpolated) and the entropy 1.1 to 3.3 bits (5.2 to 6.8); on cut-outs of a real red Schmidt plate 0.03
to 0.32 and 5.9 to 7.6 bits. One image can mislead, by a saturated star or a flat nebula; it then abstains, or
is outvoted.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from labkit.errors import InputError

#: What a channel may be.
ROLES = ("empty", "xray", "optical")
_EMPTY_SPAN = 2  # grey levels between the 1st and 99th percentile
_EQUAL_RATIO, _ENTROPY_GAP = 1.5, 0.5
_AGREEMENT, _TURNOUT, _EMPTY_SHARE = 0.9, 0.5, 0.95


def channel_statistics(image: np.ndarray) -> np.ndarray:
    """Span, equal neighbours, entropy and commonest level of each channel: (y, x, channel) -> (channel, 4).

    Grey levels between the 1st and 99th percentile; share of horizontally and vertically neighbouring pixels
    with the same level, 0 to 1; entropy of the levels, in bits; the most frequent level.
    """
    rows = []
    for plane in np.moveaxis(np.asarray(image), -1, 0):  # (y, x)
        share = np.bincount(plane.ravel(), minlength=256) / plane.size
        low, high = np.searchsorted(np.cumsum(share), (0.01, 0.99))
        equal = 0.5 * ((plane[1:] == plane[:-1]).mean() + (plane[:, 1:] == plane[:, :-1]).mean())
        used = share[share > 0]
        rows.append((high - low, equal, -(used * np.log2(used)).sum(), share.argmax()))
    return np.array(rows)


def decide_channels(images: Iterable[np.ndarray]) -> dict[str, Any]:
    """Find the role of each channel from some tens of images of all kinds, uint8, (y, x, 3) each.

    The answer, plain data for a Sample's provenance, holds the ``order`` of the roles and what decided it:
    ``votes_for`` of the ``images`` looked at, ``votes_against`` of those that voted for the exchanged order,
    and by role the medians of equal neighbours, entropy and commonest level (in X-ray images empty sky).

    An image votes for a channel as the X-ray one if its neighbours are equal at least 1.5 times as often
    as the other channel's *and* its entropy is at least 0.5 bits lower; otherwise it abstains. An
    InputError says that no channel, or more than one, is empty; or that fewer than half of the images
    vote, or fewer than nine in ten of those agree.
    """
    table = np.array([channel_statistics(image) for image in images])  # (image, channel, statistic)
    if not len(table):
        raise InputError("images must hold at least one image to decide the channel order, got none")
    flat = (table[:, :, 0] <= _EMPTY_SPAN).mean(axis=0)  # (channel,)
    if (flat >= _EMPTY_SHARE).sum() != 1:
        raise InputError(
            "exactly one channel must be empty (one grey level) in nearly all images, got "
            f"{(flat >= _EMPTY_SHARE).sum()} (shares of flat images: {flat.round(2).tolist()}); "
            "check the images, or give channels=('empty', 'xray', 'optical') in the order that you know"
        )
    empty = int(flat.argmax())
    first, second = (channel for channel in range(3) if channel != empty)
    equal, entropy = table[:, :, 1], table[:, :, 2]
    gap = entropy[:, second] - entropy[:, first]
    for_first = (equal[:, first] >= _EQUAL_RATIO * equal[:, second]) & (gap >= _ENTROPY_GAP)
    for_second = (equal[:, second] >= _EQUAL_RATIO * equal[:, first]) & (-gap >= _ENTROPY_GAP)
    votes = sorted(((int(for_first.sum()), first), (int(for_second.sum()), second)), reverse=True)
    (most, xray), (fewest, _) = votes
    if most < _AGREEMENT * (most + fewest) or most + fewest < _TURNOUT * len(table) or not most:
        raise InputError(
            f"X-ray and optical channels must differ clearly, got {most} to {fewest} votes of {len(table)} "
            f"images for channel {xray} of {first} and {second} as X-ray; look at the images and give "
            "channels=('empty', 'xray', 'optical') in the order that you know"
        )
    names = {empty: "empty", xray: "xray", 3 - empty - xray: "optical"}
    medians = np.median(table, axis=0).round(4)  # (channel, statistic)
    return {
        "order": [names[channel] for channel in range(3)],
        "images": len(table),
        "votes_for": most,
        "votes_against": fewest,
        "equal_neighbours": {names[channel]: float(medians[channel, 1]) for channel in range(3)},
        "entropy_bits": {names[channel]: float(medians[channel, 2]) for channel in range(3)},
        "commonest_level": {names[channel]: int(medians[channel, 3]) for channel in range(3)},
    }

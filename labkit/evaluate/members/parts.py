"""Parts of a member sample by magnitude and differential colour."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError

__all__ = ["bright_and_red", "magnitude_and_colour_cuts"]


def bright_and_red(
    magnitude: ArrayLike,
    differential_colour: ArrayLike,
    member: ArrayLike,
    *,
    faint_above: float | None = None,
    blue_below: float = -0.16,
) -> dict[str, NDArray[np.bool_]]:
    """The parts of Table 2 of Angora et al. (2020).

    Parameters
    ----------
    magnitude, differential_colour : array_like, shape (n,)
        Mag; objects without one are in neither part.
    member : array_like of bool, shape (n,)
        True members.
    faint_above : float, optional
        Magnitude between bright and faint; without it, the median of the members, which gives equal parts.
    blue_below : float
        Differential colour between bluer and redder; -0.157 to -0.165 in the paper.

    Returns
    -------
    dict of str to ndarray of bool
        "bright", "faint", "redder", "bluer".

    Raises
    ------
    InputError
        If no member has a magnitude.
    """
    m, colour = np.asarray(magnitude, dtype=np.float64), np.asarray(differential_colour, dtype=np.float64)
    theirs = m[np.asarray(member, dtype=bool) & np.isfinite(m)]
    if faint_above is None and not len(theirs):
        raise InputError("member must name objects with a magnitude, got none; give faint_above")
    limit = float(np.median(theirs)) if faint_above is None else faint_above
    with np.errstate(invalid="ignore"):
        return {
            "bright": m <= limit,
            "faint": m > limit,
            "redder": colour >= blue_below,
            "bluer": colour < blue_below,
        }


def magnitude_and_colour_cuts(
    magnitude: ArrayLike,
    differential_colour: ArrayLike,
    *,
    faintest: float = 25.0,
    very_blue: float = -0.5,
) -> dict[str, NDArray[np.bool_]]:
    """The rows of Table 3 and the samples of Table 4 of Angora et al. (2020).

    Parameters
    ----------
    magnitude, differential_colour : array_like, shape (n,)
        Mag; objects without one are in no part that needs it.
    faintest : float
        Magnitude between the first two parts.
    very_blue : float
        Differential colour below which an object is very blue.

    Returns
    -------
    dict of str to ndarray of bool
        "all", bright, faint, very blue, blue (which holds the very blue, as in the paper) and red parts, and
        last the sample that is bright and not very blue.
    """
    m, colour = np.asarray(magnitude, dtype=np.float64), np.asarray(differential_colour, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return {
            "all": np.ones(m.shape, dtype=bool),
            f"magnitude < {faintest:g}": m < faintest,
            f"magnitude >= {faintest:g}": m >= faintest,
            f"colour < {very_blue:g}": colour < very_blue,
            "colour < 0": colour < 0,
            "colour >= 0": colour >= 0,
            f"magnitude < {faintest:g}, colour >= {very_blue:g}": (m < faintest) & (colour >= very_blue),
        }

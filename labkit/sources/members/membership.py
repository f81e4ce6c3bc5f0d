"""Who belongs to a cluster: by velocity, or by a flag that someone gave."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.constants import c
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError
from labkit.taxonomy import MEMBER

__all__ = ["LABELS", "V_MAX", "flag_labels", "velocity", "velocity_labels"]

#: Members lie within this velocity of the cluster (Angora et al. 2020, section 2).
V_MAX = 3000 * u.km / u.s
#: Labels of others and of members.
LABELS = MEMBER.classes
_WORDS = {
    "": ("", "unknown", "nan", "none", "-"),
    LABELS[0]: (LABELS[0], "non member", "nonmember", "interloper", "field", "false", "f", "no", "n", "0"),
    LABELS[1]: (LABELS[1], "true", "t", "yes", "y", "1"),
}


def velocity(redshift: ArrayLike, cluster_redshift: float) -> u.Quantity:
    """Velocity along the line of sight in a cluster's rest frame, v = c (z - z_cl) / (1 + z_cl).

    Parameters
    ----------
    redshift : array_like
        Redshifts z of any shape.
    cluster_redshift : float
        Redshift z_cl of the cluster.

    Returns
    -------
    Quantity
        km/s, NaN where there is no redshift (Angora et al. 2020, section 2; Danese et al. 1980).
    """
    z = np.asarray(redshift, dtype=np.float64)
    return (c * (z - cluster_redshift) / (1 + cluster_redshift)).to(u.km / u.s)


def velocity_labels(velocities: u.Quantity, *, v_max: u.Quantity = V_MAX) -> NDArray[np.str_]:
    """Labels by velocity: member within +- `v_max`, the limit included; empty where it is not known.

    Parameters
    ----------
    velocities : Quantity, shape (n,)
        Velocities in the cluster's rest frame.
    v_max : Quantity
        Largest velocity of members.

    Returns
    -------
    ndarray of str, shape (n,)
        "member", "non-member" or "".

    Raises
    ------
    InputError
        If `v_max` is not one positive velocity.
    """
    limit = u.Quantity(v_max)
    if not (limit.isscalar and limit.unit.is_equivalent(u.km / u.s) and limit > 0 * u.km / u.s):
        raise InputError(f"v_max must be one positive velocity, such as 3000 * u.km / u.s, got {v_max!r}")
    labels = np.where(np.abs(velocities) <= limit, LABELS[1], LABELS[0])
    return np.where(np.isfinite(velocities), labels, "")


def flag_labels(flags: ArrayLike, *, name: str) -> NDArray[np.str_]:
    """Labels by a column that says who is a member.

    Parameters
    ----------
    flags : array_like, shape (n,)
        Booleans; 1 and 0; or words: the labels themselves, true, yes, false, no, interloper, field, in any
        case. Masked, NaN, empty, "unknown" and "-" mean that it is not known.
    name : str
        Name of the column, for messages.

    Returns
    -------
    ndarray of str, shape (n,)
        "member", "non-member" or "".

    Raises
    ------
    InputError
        If there are other values.
    """
    masked: np.ma.MaskedArray = np.ma.asarray(flags)
    unknown, values = np.ma.getmaskarray(masked), np.ma.getdata(masked)
    if values.dtype.kind in "biuf":
        number = values.astype(np.float64)
        unknown = unknown | np.isnan(number)
        words = np.where(number == 1, "1", np.where(number == 0, "0", values.astype(str)))
    else:
        words = np.char.lower(np.char.strip(values.astype(str)))
    words = np.where(unknown, "", words)
    meaning = {word: label for label, known in _WORDS.items() for word in known}
    if strange := sorted(set(words.tolist()) - set(meaning)):
        raise InputError(
            f"column {name!r} must say who is a member by true and false, 1 and 0 or {LABELS}, "
            f"got {strange[:5]}"
        )
    return np.array([meaning[word] for word in words.tolist()], dtype=str)

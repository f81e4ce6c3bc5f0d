"""The list of everything in a field: columns, absolute magnitudes and the shapes that go with them."""

from __future__ import annotations

from collections.abc import Sequence

import astropy.units as u
import numpy as np
from astropy.table import Table, vstack
from numpy.typing import NDArray

from labkit.simulate.hst.bands import BANDS
from labkit.simulate.hst.clusters import COSMOLOGY
from labkit.simulate.hst.templates import HIGHEST_REDSHIFT, magnitudes

__all__ = ["FAINTEST", "absolute_magnitude", "bodies", "half_light_arcsec", "join", "k_correction"]

#: Faintest F814 magnitude that is painted.
FAINTEST = 28.5
F814 = list(BANDS).index("F814")

#: Column and value where a kind of object has no use for it.
_COLUMNS: dict[str, object] = {
    "origin": "field",
    "kind": "late",
    "x_arcsec": 0.0,
    "y_arcsec": 0.0,
    "redshift": 0.0,
    "magnitude": 30.0,
    "bulge": 0.0,
    "old": 0.0,
    "young": 0.0,
    "tilt": 0.0,
    "bulge_tilt": 0.0,
    "re_arcsec": 0.0,
    "sersic_n": 1.0,
    "axis_ratio": 1.0,
    "position_angle": 0.0,
    "temperature": 5000.0,
}


def bodies(n: int, **columns: object) -> Table:
    """Table of `n` bodies with the given columns, the others at their neutral value.

    Parameters
    ----------
    n : int
        Number of rows.
    **columns : array or scalar
        ``origin`` ("cluster" or "field"), ``kind`` ("early", "late", "bcg", "icl", "arc", "star"),
        ``x_arcsec`` and ``y_arcsec`` (from the centre to the west and north), ``redshift``, ``magnitude``
        (total, F814), ``bulge`` (share of the F814 light in the spheroid, whose spectrum is old), ``old`` and
        ``young`` (shares of the disc's rest-frame r light), ``tilt`` and ``bulge_tilt`` (bluer when
        positive), ``re_arcsec`` (half-light radius along the major axis), ``sersic_n``, ``axis_ratio``,
        ``position_angle`` (deg, north through east), ``temperature`` (K, of stars).

    Returns
    -------
    `~astropy.table.Table`
        All columns.
    """
    full: dict[str, NDArray] = {}
    for name, neutral in _COLUMNS.items():
        value = np.asarray(columns.pop(name, neutral))
        full[name] = np.broadcast_to(value, (n,)).astype("U8" if value.dtype.kind == "U" else float)
    if columns:
        raise TypeError(f"no such columns: {sorted(columns)}")
    return Table(full)


def join(parts: Sequence[Table]) -> Table:
    """All bodies in one table."""
    return vstack(list(parts), metadata_conflicts="silent")


def k_correction(redshift: NDArray, *, old: NDArray | float) -> NDArray:
    """What is to be added to M_r + DM for the F814 magnitude, of a mixture of old and intermediate spectra.

    Parameters
    ----------
    redshift : ndarray, shape (n,)
        Redshifts.
    old : ndarray, shape (n,), or float
        Share of the old template in rest-frame r.

    Returns
    -------
    ndarray, shape (n,)
        Magnitudes.
    """
    old = np.broadcast_to(old, np.shape(redshift))
    return magnitudes(redshift, np.stack([old, 1 - old, 0 * old], axis=1))[:, F814]


def absolute_magnitude(magnitude: NDArray, redshift: NDArray, *, old: NDArray | float) -> NDArray:
    """Rest-frame r magnitudes of galaxies of given F814 magnitude and redshift; shape (n,)."""
    z = np.clip(redshift, 0.005, HIGHEST_REDSHIFT)
    distance = COSMOLOGY.distmod(z).to_value(u.mag)
    return magnitude - distance - k_correction(z, old=old)


def half_light_arcsec(
    rng: np.random.Generator, absolute: NDArray, redshift: NDArray, early: NDArray
) -> NDArray:
    """Half-light radii from luminosity, redshift and type, with scatter.

    Early types follow L^0.6 down to dwarfs of about 1 kpc, late types L^0.25, both (1 + z)^-0.8 and 0.17 dex
    wide: about Shen et al. 2003 (MNRAS 343, 978) and van der Wel et al. 2014 (ApJ 788, 28).

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    absolute, redshift : ndarray, shape (n,)
        Rest-frame r magnitudes and redshifts.
    early : ndarray of bool, shape (n,)
        Whether a galaxy is of early type.

    Returns
    -------
    ndarray, shape (n,)
        Arcsec.
    """
    luminosity = -0.4 * (absolute + 21.2)
    giant, dwarf = 4.2 * 10 ** (0.6 * luminosity), 1.1 * 10 ** (0.12 * (luminosity + 1.6))
    kpc = np.where(early, np.maximum(giant, dwarf), 5.2 * 10 ** (0.25 * luminosity))
    kpc *= 10 ** rng.normal(0, 0.17, len(kpc)) * (1 + redshift) ** -0.8
    z = np.clip(redshift, 0.005, None)
    return kpc * COSMOLOGY.arcsec_per_kpc_proper(z).to_value(u.arcsec / u.kpc)

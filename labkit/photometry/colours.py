"""What photometric classifiers see: colours, magnitudes and redshifts relative to the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from astropy.cosmology import FLRW
from astropy.table import Table
from numpy.typing import ArrayLike, NDArray

from labkit.cosmology import COSMOLOGY
from labkit.errors import InputError
from labkit.tables import magnitudes


def colours(
    table: Table,
    *,
    bands: Sequence[str],
    reference: str | None = None,
    column: str = "mag_{band}",
    limits: tuple[float, float] = (-5.0, 10.0),
) -> Table:
    """Colours of each source.

    Parameters
    ----------
    table : Table
        Magnitudes, NaN or masked where missing.
    bands : sequence of str
        Bands by wavelength.
    reference : str, optional
        Band against which the others are taken (band minus reference); without it, each band minus the next.
    column : str
        Name of the columns, with ``{band}`` for the band.
    limits : tuple of float
        Colours beyond these, mag, are failed measurements and become NaN.

    Returns
    -------
    Table
        A column ``<band>-<other>`` a colour, mag, NaN where a band is missing.
    """
    if len(bands) < 2 or len(set(bands)) < len(bands):
        raise InputError(f"bands must name two different bands at least, got {list(bands)}")
    if reference is not None and reference not in bands:
        raise InputError(f"reference must be one of the bands {list(bands)}, got {reference!r}")
    if missing := [band for band in bands if column.format(band=band) not in table.colnames]:
        raise InputError(f"table must have the columns {column!r} of all bands, got none for {missing}")
    values = {band: magnitudes(table[column.format(band=band)]) for band in bands}
    pairs = (
        list(pairwise(bands))
        if reference is None
        else [(band, reference) for band in bands if band != reference]
    )
    found = Table()
    for first, second in pairs:
        colour = values[first] - values[second]
        with np.errstate(invalid="ignore"):
            colour[(colour < limits[0]) | (colour > limits[1])] = np.nan
        found[f"{first}-{second}"] = colour
    return found


def magnitude_at(magnitude: ArrayLike, redshift: ArrayLike, *, cosmology: FLRW = COSMOLOGY) -> NDArray:
    """Absolute magnitude that a source would have at the cluster's redshift, without K correction.

    Parameters
    ----------
    magnitude : array_like, shape (n,)
        Apparent, mag.
    redshift : array_like, shape (n,) or scalar
        Of the cluster.
    cosmology : `~astropy.cosmology.FLRW`
        Gives the distance modulus.
    """
    z = np.asarray(redshift, dtype=np.float64)
    if not (z > 0).all():
        raise InputError(f"redshift must be positive, got {z.min() if z.size else z}")
    different, place = np.unique(z, return_inverse=True)
    return np.asarray(magnitude, dtype=np.float64) - cosmology.distmod(different).value[place].reshape(
        z.shape
    )


def redshift_offset(redshift: ArrayLike, cluster_redshift: ArrayLike) -> NDArray[np.float64]:
    """Offset from the cluster, (z - z_cl) / (1 + z_cl), the velocity in units of c in its rest frame.

    Parameters
    ----------
    redshift, cluster_redshift : array_like, shape (n,) or scalar
        Of the source (photometric or spectroscopic) and of its cluster.
    """
    z_cl = np.asarray(cluster_redshift, dtype=np.float64)
    return (np.asarray(redshift, dtype=np.float64) - z_cl) / (1 + z_cl)

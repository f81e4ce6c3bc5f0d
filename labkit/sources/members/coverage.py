"""What the mosaics of listed fields cover around their clusters, and what their catalogues hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import astropy.units as u
import numpy as np
from astropy.table import QTable, vstack
from numpy.typing import ArrayLike, NDArray

from labkit.sources.members.fields import ListedField
from labkit.sources.mosaics import annulus_shares, read_mosaics
from labkit.tables import read_catalogue


def annulus_coverage(
    fields: Iterable[ListedField],
    edges: ArrayLike,
    *,
    bands: Sequence[str] | None = None,
    margin: u.Quantity = 0 * u.arcsec,
) -> dict[str, NDArray[np.float64]]:
    """Share of annuli in units of R200 in which all bands of a field have data.

    Parameters
    ----------
    fields : iterable of ListedField
        From `read_fields`; those without centre or R200 are left out.
    edges : array_like, shape (bin + 1,)
        Of the annuli, units of R200, rising.
    bands : sequence of str, optional
        By default all that the field has.
    margin : Quantity
        Half a cut-out, where a source must have a whole one, see `~labkit.sources.mosaics.annulus_shares`.

    Returns
    -------
    dict of str to ndarray of float64, shape (bin,)
        By cluster.

    Raises
    ------
    InputError
        As for `~labkit.sources.mosaics.annulus_shares`.
    MissingDataError
        If a mosaic is not there.
    """
    radii = np.asarray(edges, dtype=np.float64)
    return {
        one.cluster: annulus_shares(
            read_mosaics(one.folder, bands=bands), one.centre, radii * one.r200_angle, margin=margin
        )
        for one in fields
        if one.centre is not None and one.r200_angle is not None
    }


def field_sources(fields: Iterable[ListedField], columns: Sequence[str]) -> QTable:
    """All catalogued sources of several fields, with these columns.

    Parameters
    ----------
    fields : iterable of ListedField
        From `read_fields`.
    columns : sequence of str
        Such as ``ra``, ``dec`` and ``mag_F814``.

    Returns
    -------
    `~astropy.table.QTable`
        One row for each source, in the order of the fields.

    Raises
    ------
    InputError
        If a column is missing.
    """
    tables = [read_catalogue(one.catalogue, list(columns)) for one in fields]
    return vstack(tables, metadata_conflicts="silent")

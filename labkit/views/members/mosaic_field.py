"""A field's mosaics as one colour picture with its sources marked (Angora et al. 2020, Figs 1 and 8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import astropy.units as u
import numpy as np
from bokeh.plotting import figure

from labkit.sources.mosaics import Mosaics, registered
from labkit.views.composites import colour_composite, composite_limits
from labkit.views.members.field import member_field

__all__ = ["mosaic_field"]


def mosaic_field(
    mosaics: Mosaics,
    *,
    bands: Sequence[str] | None = None,
    pixels: int = 640,
    dim: float = 0.12,
    saturated: float = 2e-4,
    **options: Any,
) -> figure:
    """A colour picture of a field straight from its mosaics, whatever grids they are on.

    Mosaics are averaged to the pixels of the picture first, so that the scale is that of the noise one sees
    and no more pixels are coloured than are shown.

    Parameters
    ----------
    mosaics : Mosaics
        Of one field.
    bands : sequence of str, optional
        Bands of the colours, in the order of wavelength; by default all.
    pixels : int
        Pixels of the picture along a side; never more than the largest mosaic has.
    dim, saturated : float
        As for `~labkit.views.composites.colour_composite` and `~labkit.views.composites.composite_limits`.
    **options
        Of `~labkit.views.members.member_field`: ``sources``, ``group``, ``redshift``, ``title``, ``width``
        and others.

    Returns
    -------
    bokeh.plotting.figure
        As `~labkit.views.members.member_field` draws it.

    Raises
    ------
    MissingDataError
        If a band is not there.
    InputError
        As for `~labkit.views.members.member_field`.
    """
    chosen = mosaics if bands is None else mosaics.select(bands)
    side = max(max(one.shape) * one.pixel_scale.to_value(u.arcsec) for one in chosen.mosaics)
    finest = max(one.pixel_scale.to_value(u.arcsec) for one in chosen.mosaics)
    there = registered(chosen, pixel_scale=max(side / pixels, finest) * u.arcsec)
    images = np.stack([one.data for one in there.mosaics])
    limits = composite_limits(images, there.bands, saturated=saturated)
    colours = colour_composite(images, there.bands, limits=limits, dim=dim)
    return member_field(colours, there.mosaics[0].wcs, pixels=pixels, **options)

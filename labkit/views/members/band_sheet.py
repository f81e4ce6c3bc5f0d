"""Cut-outs of single objects in colour and band by band (Angora et al. 2020, Fig. 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from bokeh.plotting import figure

from labkit.errors import InputError
from labkit.sample import Sample
from labkit.views.composites import BandLimits
from labkit.views.gallery import gallery
from labkit.views.sample_colours import SampleColours
from labkit.views.scaling import png_uri

__all__ = ["band_sheet"]


def band_sheet(
    sample: Sample,
    object_ids: Sequence[str],
    *,
    bands: Sequence[str] | None = None,
    limits: Mapping[str, BandLimits] | None = None,
    size_px: int = 96,
    title: str = "",
) -> figure:
    """One object a row: its colours, then each band, all pictures of a band on one scale.

    Parameters
    ----------
    sample : Sample
        Raw cut-outs or those of "fixed-asinh"; only the pixels of the objects are read, and some for the
        limits. Rows are named by its columns ``cluster`` and ``redshift`` where it has them.
    object_ids : sequence of str
        Objects from top to bottom.
    bands : sequence of str, optional
        In the order of wavelength; the Sample's by default.
    limits : mapping, optional
        See `~labkit.views.sample_colours.SampleColours`.
    size_px : int
        Width and height of a picture on the screen.
    title : str
        Title of the figure.

    Returns
    -------
    bokeh.plotting.figure
        The sheet.

    Raises
    ------
    InputError
        If no object is named, or one is not in the Sample.
    """
    if not len(object_ids):
        raise InputError("object_ids must name one object at least, got none")
    chosen = sample.select(bands=bands)
    colours = SampleColours(chosen, limits=limits)
    shown = chosen.select(list(map(str, object_ids)))
    pictures = [
        png_uri(picture)
        for pixels in shown.images
        for picture in (colours.composite(pixels), *map(colours.grey, chosen.bands, pixels))
    ]
    columns = ["colour", *chosen.bands]
    layout = {"columns": len(columns), "column_titles": columns, "row_titles": _names(shown)}
    return gallery(pictures, size_px=size_px, title=title, **layout)  # type: ignore[arg-type]


def _names(shown: Sample) -> list[str]:
    table = shown.catalogue
    hosts = np.asarray(table["cluster"], dtype=str) if "cluster" in table.colnames else shown.object_ids
    if "redshift" not in table.colnames:
        return [str(host) for host in hosts]
    pairs = zip(hosts, np.asarray(table["redshift"], dtype=float), strict=True)
    return [f"{host}, z {z:.3f}" if np.isfinite(z) else str(host) for host, z in pairs]

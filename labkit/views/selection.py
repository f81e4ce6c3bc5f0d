"""Figures of a selection function: completeness against flux, and the sky area that is left."""

import numpy as np
from astropy.table import QTable, Table
from bokeh.plotting import figure
from numpy.typing import ArrayLike

from labkit.evaluate import SelectionFunction, completeness, expected_completeness
from labkit.tables import numbers
from labkit.views import style
from labkit.views.plots import curves, points

_FLUX = "flux, erg/s/cm² (0.5–2 keV)"


def completeness_curves(
    injections: Table,
    function: SelectionFunction | None = None,
    *,
    selected: str = "c1",
    threshold: float | None = None,
    extent: ArrayLike | None = None,
    title: str = "",
) -> figure:
    """Share of injected clusters that were selected against flux: counted, and by a selection function.

    Points with 95 % intervals are counted in a grid of injections (`labkit.finder.inject`), curves are the
    mean of the function over the same places; of all extents (arcsec) that were injected, or those given.
    """
    counted = completeness(injections, selected=selected, threshold=threshold)
    if extent is not None:
        counted = counted[np.isin(counted["extent"].value, extent)]
    named = _named(counted)
    palette = style.colours(dict.fromkeys(named["core radius"].tolist()))
    words = {"x_label": _FLUX, "y_label": "completeness"}
    # an empty frame first: points themselves have no logarithmic axis
    plot = style.axes(title=title, x=_FLUX, y="completeness", width=620, height=400, x_axis_type="log")
    points(named, "flux", "completeness", by="core radius", palette=palette, on=plot,
           details={"clusters": ""})  # fmt: skip
    if function is not None:
        fluxes = np.geomspace(*function.domain["flux"], 60)
        extents = np.unique(counted["extent"].value)
        model = expected_completeness(function, injections, flux=fluxes, extent=extents)
        curves(_named(model), "flux", "completeness", by="core radius", palette=palette, on=plot, **words)
    plot.y_range = style.unit_range()
    return style.legend_above(plot)


def area_curves(
    function: SelectionFunction, injections: Table, *, extent: ArrayLike, title: str = ""
) -> figure:
    """Sky area, deg2, on which clusters of some core radii (arcsec) are selected, against their flux."""
    fluxes = np.geomspace(*function.domain["flux"], 60)
    model = expected_completeness(function, injections, flux=fluxes, extent=extent)
    plot = curves(_named(model), "flux", "area", by="core radius", log=True, title=title, x_label=_FLUX,
                  y_label="sky area, deg²", width=620)  # fmt: skip
    return style.legend_above(plot)


def _named(table: QTable) -> QTable:
    """The table with its extents as words."""
    table["core radius"] = [f"{extent:.3g}″" for extent in numbers(table["extent"])]
    return table

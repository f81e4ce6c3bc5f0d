"""Figures of a selection function: completeness against flux, and the sky area that is left."""

from collections.abc import Sequence

import numpy as np
from astropy.table import Table
from bokeh.plotting import figure

from labkit.evaluate import SelectionFunction, counted_completeness, expected_completeness
from labkit.tables import numbers
from labkit.views import style
from labkit.views.plots import curves, points

_UNIT = 1e-14  # erg/s/cm2, of the axes
_LABEL = "flux (0.5–2 keV), 10⁻¹⁴ erg/s/cm²"
_CURVE = 80  # points of a curve


def completeness_curves(
    injections: Table,
    function: SelectionFunction | None = None,
    *,
    selected: str = "c1",
    threshold: float | None = None,
    extent: Sequence[float] | None = None,
    title: str = "",
) -> figure:
    """Share of injected clusters that were selected against flux: counted, and by a selection function.

    Points with 95 % intervals are counted in a grid of injections (`labkit.finder.inject`), those of several
    extents side by side; curves are the mean of the function over the same places. Of all extents (arcsec)
    that were injected, or some.
    """
    counted = counted_completeness(injections, selected=selected, threshold=threshold)
    if extent is not None:
        counted = counted[np.isin(counted["extent"].value, extent)]
    extents, number = np.unique(counted["extent"].value, return_inverse=True)
    plot = _axes(counted["flux"].value, "completeness", title)
    palette = style.colours(_names(extents))
    if function is not None:
        fluxes = np.geomspace(*function.domain["flux"], _CURVE)
        model = expected_completeness(function, injections, flux=fluxes, extent=extents)
        curves(_named(model), "flux", "completeness", by="core radius", palette=palette, on=plot)
    beside = 1.03 ** (number - (len(extents) - 1) / 2)  # a step on a logarithmic axis
    points(_named(counted, beside), "flux", "completeness", by="core radius", palette=palette, size=7,
           details={"clusters": ""}, on=plot)  # fmt: skip
    plot.y_range = style.unit_range()
    return style.legend_above(plot)


def area_curves(
    function: SelectionFunction, injections: Table, *, extent: Sequence[float], title: str = ""
) -> figure:
    """Sky area, deg2, on which clusters of some core radii (arcsec) are selected, against their flux."""
    fluxes = np.geomspace(*function.domain["flux"], _CURVE)
    model = expected_completeness(function, injections, flux=fluxes, extent=extent)
    plot = _axes(fluxes, "sky area, deg²", title)
    curves(_named(model), "flux", "area", by="core radius", on=plot)
    return style.legend_above(plot)


def _axes(fluxes: np.ndarray, y: str, title: str) -> figure:
    plot = style.axes(title=title, x=_LABEL, y=y, width=620, height=400, x_axis_type="log")
    style.log_ticks(plot.xaxis[0], float(fluxes.min()) / _UNIT, float(fluxes.max()) / _UNIT)
    return plot


def _named(table: Table, beside: np.ndarray | float = 1.0) -> Table:
    """The table with its extents as words, and fluxes in the unit of the axis."""
    named = Table(table)
    named["core radius"], named["flux"] = _names(table["extent"]), numbers(table["flux"]) * beside / _UNIT
    return named


def _names(extents: object) -> list[str]:
    return [f"core radius {extent:.3g}″" for extent in numbers(extents)]

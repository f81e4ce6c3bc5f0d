"""Figures of a selection function: counted points beside its curves, and the sky area."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from bokeh.models import Line, Scatter

from labkit.evaluate import counted_completeness, expected_completeness, fit_selection
from labkit.views.selection import area_curves, completeness_curves

FLUXES, EXTENTS = [1e-14, 3e-14, 1e-13], [10.0, 30.0]


@pytest.fixture(scope="module")
def injected():
    rng = np.random.default_rng(0)
    flux, extent = (np.repeat(one.ravel(), 20) for one in np.meshgrid(FLUXES, EXTENTS))
    columns = {"flux": flux * u.erg / u.s / u.cm**2, "extent": extent * u.arcsec}
    columns |= {name: rng.uniform(1, 2, 120) for name in ("off_axis", "exposure", "background", "distance")}
    columns |= {"copy": np.arange(120) % 10, "c1": rng.random(120) < flux / 1e-13}
    return QTable(columns, meta={"area": 0.2})


def lines(plot, kind):
    return {one.name: one.data_source.data for one in plot.renderers if isinstance(one.glyph, kind)}


def test_points_are_counted_and_curves_are_the_mean_of_the_function(injected):
    function = fit_selection(injected)
    plot = completeness_curves(injected, function, title="C1")
    counted, drawn = counted_completeness(injected), lines(plot, Scatter)
    counted = counted[counted["extent"].value == 30]
    assert list(drawn) == ["core radius 10″", "core radius 30″"]
    assert drawn["core radius 30″"]["y"] == pytest.approx(counted["completeness"])
    assert drawn["core radius 30″"]["low"] == pytest.approx(counted["completeness_low"])
    assert drawn["core radius 10″"]["x"] == pytest.approx([1, 3, 10], rel=0.03)
    curve = lines(plot, Line)["core radius 10″"]
    model = expected_completeness(function, injected, flux=1e-13, extent=10)["completeness"][0]
    assert (curve["x"][-1], curve["y"][-1]) == pytest.approx((10, model))
    assert [axis.axis_label for axis in plot.axis] == ["flux (0.5–2 keV), 10⁻¹⁴ erg/s/cm²", "completeness"]
    only = completeness_curves(injected, extent=[30.0])
    assert list(lines(only, Scatter)) == ["core radius 30″"]
    area = area_curves(function, injected, extent=EXTENTS)
    assert lines(area, Line)["core radius 10″"]["y"][-1] == pytest.approx(0.2 * model)
    assert area.yaxis[0].axis_label == "sky area, deg²"

"""ACCEPT, deprojected profiles of real clusters, and what their cores are (Cavagnolo et al. 2009)."""

from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import ascii as text_tables
from astropy.table import QTable, Table
from numpy.typing import NDArray
from scipy.optimize import curve_fit

from labkit.cooling import CORE_RADIUS, core_classes, mass_of_temperature
from labkit.cosmology import r500
from labkit.errors import MissingDataError, boundary
from labkit.tables import need_columns, numbers, text

_NEEDED = ("Name", "Rin", "Rout", "nelec", "Kitpl", "Tx", "Lambda", "tcool3/2")
_OUTSIDE = 0.15  # R500 beyond which the temperature is that of the cluster


def read_accept(path: str | Path) -> Table:
    """Read the file of all profiles of ACCEPT (Cavagnolo et al. 2009, ApJS 182, 12): one row per bin.

    It has ACCEPT's two lines of names and units; radii are in Mpc, other columns in the second line's units.
    """
    if not Path(path).is_file():
        raise MissingDataError(f"profiles {str(path)!r} do not exist; check the path")
    with boundary(f"profiles {str(path)!r} cannot be read", "fetch them again"):
        table = text_tables.read(str(path), format="commented_header", comment="#", fast_reader=False)
    need_columns(table, _NEEDED, f"profiles {str(path)!r}")
    return table


def accept_cores(profiles: Table, *, redshift: float = 0.1) -> QTable:
    """Core of each cluster of ACCEPT: density, temperature, cooling time of the innermost bin, and the class.

    One `redshift` serves all: the profiles have none, and R500 hardly depends on it. Columns: ``name``,
    ``kt_outside`` (beyond 0.15 R500), ``m500`` and ``r500`` from it, ``k0``, ``k100`` and ``slope`` of the
    entropy K0 + K100 (r / 100 kpc)^slope, fitted here, ``ne``, ``kt`` and ``t_cool`` (its own ``tcool3/2``)
    in the innermost bin, ``label`` ("CC", "WCC", "NCC"), and ``core_resolved``: whether that bin ends within
    0.012 R500, the sphere of Su et al. (2020).
    """
    names = text(profiles["Name"])
    rows = [_core(name, profiles[names == name], redshift) for name in dict.fromkeys(names.tolist())]
    table = QTable(rows=rows)
    units = {"kt_outside": u.keV, "m500": u.M_sun, "r500": u.kpc, "k0": u.keV * u.cm**2}
    units |= {"k100": u.keV * u.cm**2, "ne": u.cm**-3, "kt": u.keV, "t_cool": u.Gyr}
    for name, unit in units.items():
        table[name] = table[name] * unit
    return table


def _core(name: str, bins: Table, redshift: float) -> dict[str, Any]:
    columns = {one: numbers(bins[one]) for one in _NEEDED[1:]}
    inner, outer = 1e3 * columns["Rin"], 1e3 * columns["Rout"]  # kpc
    kt, radius = float(np.median(columns["Tx"])), 0.0
    for _ in range(4):  # the radius follows from the temperature and the bins from the radius
        m500 = float(mass_of_temperature(kt, redshift))
        radius = float(r500(m500 * u.M_sun, redshift).to_value(u.kpc))
        outside = (inner + outer) / 2 > _OUTSIDE * radius
        kt = float(np.median(columns["Tx"][outside if outside.any() else slice(None)]))
    known = np.isfinite([columns[one] for one in _NEEDED[3:]]).all(0)
    first = np.flatnonzero(known)[inner[known].argmin()]
    k0, k100, slope = _entropy((inner + outer) / 2, columns["Kitpl"])
    return {
        "name": name,
        "kt_outside": kt,
        "m500": m500,
        "r500": radius,
        "k0": k0,
        "k100": k100,
        "slope": slope,
        "ne": float(columns["nelec"][first]),
        "kt": float(columns["Tx"][first]),
        "t_cool": float(columns["tcool3/2"][first]),
        "label": str(core_classes(columns["tcool3/2"][first])),
        "core_resolved": bool(outer[first] <= CORE_RADIUS * radius),
    }


def _entropy(radius: NDArray, entropy: NDArray) -> NDArray[np.float64]:
    """K0, K100 and slope of the profile that fits best in logarithms."""

    def profile(r: NDArray, k0: float, k100: float, slope: float) -> NDArray:
        return np.log(k0 + k100 * (r / 100) ** slope)

    good = np.isfinite(entropy) & (entropy > 0) & (radius < 1e3)
    bounds = ([0.01, 1.0, 0.3], [1000.0, 1000.0, 3.0])
    start = (float(np.clip(entropy[good].min(), 0.1, 900)), 120.0, 1.1)
    found, _ = curve_fit(profile, radius[good], np.log(entropy[good]), p0=start, bounds=bounds)
    return found

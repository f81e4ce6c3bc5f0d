"""How fast the gas of clusters cools, and the classes of cool cores that follow from it (Su et al. 2020).

Temperatures are kT in keV, densities cm-3, metallicities solar, cooling times Gyr.
"""

from functools import lru_cache
from pathlib import Path

import astropy.constants as const
import astropy.units as u
import numpy as np
from astropy.table import Table
from numpy.typing import ArrayLike, NDArray

from labkit.cosmology import COSMOLOGY
from labkit.taxonomy import get_scheme

#: Cooling times that part cool, weak and non-cool cores, and the radius of the core in R500
#: (Su et al. 2020, Fig. 1, after Barnes et al. 2018, MNRAS 481, 1809).
COOLING_TIME_LIMITS = (1.0, 7.7)
CORE_RADIUS = 0.012
#: Central densities that part them, cm-3, densest first (Hudson et al. 2010; Barnes et al. 2018).
DENSITY_LIMITS = (0.015, 0.005)
#: (ne + ni) / ni with ni = 0.92 ne, as Su et al. (2020) define the cooling time, and n / nH, as ACCEPT
#: does. Lambda is per ne nH in both.
PARTICLES, ACCEPT_PARTICLES = 1.92 / 0.92, 2.3
_ERG_PER_KEV, _SECONDS_PER_GYR = (1 * u.keV).to_value(u.erg), (1 * u.Gyr).to_value(u.s)
_KEV_PER_KELVIN = (const.k_B * u.K).to_value(u.keV)


@lru_cache(maxsize=1)
def _table() -> tuple[NDArray, NDArray, NDArray]:
    """Logarithms of the temperature (n,) and of Lambda (metallicity, n), and the metallicities."""
    table = Table.read(Path(__file__).with_name("cooling.ecsv"), format="ascii.ecsv")
    names = table.colnames[1:]
    columns = np.array([table[name] for name in names])
    return np.asarray(table[table.colnames[0]]), columns, np.array([float(name[2:]) for name in names])


def cooling_function(kt: ArrayLike, metallicity: ArrayLike) -> NDArray[np.float64]:
    """Lambda(T, Z) in erg cm3/s, such that ne nH Lambda is radiated, of the common shape.

    Sutherland & Dopita (1993, ApJS 88, 253), linear in metallicity between its tables for 0, 0.316 and 1
    solar; outside them, and below 1e6 or above 3e8 K, as at the edge.
    """
    log_t, log_lambda, solar = _table()
    kt, metallicity = np.broadcast_arrays(np.asarray(kt, float), np.asarray(metallicity, float))
    place = np.log10(np.maximum(kt, 1e-9) / _KEV_PER_KELVIN)
    rates = np.stack([10 ** np.interp(place, log_t, column) for column in log_lambda])
    lower = np.clip(np.searchsorted(solar, metallicity, side="right") - 1, 0, len(solar) - 2)
    share = np.clip((metallicity - solar[lower]) / np.diff(solar)[lower], 0, 1)
    low, high = (np.take_along_axis(rates, (lower + step)[None], axis=0)[0] for step in (0, 1))
    return low + share * (high - low)


def cooling_time(
    ne: ArrayLike, kt: ArrayLike, rate: ArrayLike, *, particles: float = PARTICLES
) -> NDArray[np.float64]:
    """3/2 (ne + ni) kT / (ne ni Lambda) in Gyr, with `rate` the Lambda of `cooling_function`.

    With `ACCEPT_PARTICLES` it is the ``tcool3/2`` of ACCEPT (Cavagnolo et al. 2009, ApJS 182, 12).
    """
    energy = 1.5 * particles * np.asarray(kt) * _ERG_PER_KEV
    return energy / (np.asarray(ne) * np.asarray(rate)) / _SECONDS_PER_GYR


def core_classes(cooling_times: ArrayLike) -> NDArray[np.str_]:
    """Class of each central cooling time: "CC", "WCC" or "NCC"; of the shape given.

    `COOLING_TIME_LIMITS` part them; a time on a limit belongs to the class of longer ones.
    """
    codes = np.searchsorted(COOLING_TIME_LIMITS, np.asarray(cooling_times, dtype=float), side="right")
    return np.array(get_scheme("cool-core").classes)[codes]


def mass_of_temperature(kt: ArrayLike, redshift: ArrayLike = 0.0) -> NDArray[np.float64]:
    """M500 in solar masses of a cluster with that temperature outside its core.

    M500 E(z) = 3.02e14 / h (kT / 5 keV)^1.53, h = 0.72 (Vikhlinin et al. 2009, ApJ 692, 1033, Table 3).
    """
    growth = COSMOLOGY.efunc(redshift)
    return 3.02e14 / 0.72 * (np.asarray(kt, dtype=float) / 5) ** 1.53 / growth


def temperature_of_mass(m500: ArrayLike, redshift: ArrayLike = 0.0) -> NDArray[np.float64]:
    """Temperature kT in keV outside the core: the inverse of `mass_of_temperature`."""
    return 5 * (np.asarray(m500, dtype=float) / mass_of_temperature(5.0, redshift)) ** (1 / 1.53)

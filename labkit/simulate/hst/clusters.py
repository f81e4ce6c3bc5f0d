"""The fifteen clusters of Angora et al. (2020), Table 1, with place, mass and radius."""

from __future__ import annotations

from collections.abc import Iterable

import astropy.units as u
import numpy as np
from astropy.cosmology import FlatLambdaCDM
from astropy.table import QTable
from astropy.units import Quantity

from labkit.errors import InputError
from labkit.paths import data_folder

__all__ = ["COSMOLOGY", "clash_clusters", "pick_clusters", "r200", "velocity_dispersion"]

#: Cosmology of the paper (section 1).
COSMOLOGY = FlatLambdaCDM(H0=70, Om0=0.3)

#: Right ascension and declination of the brightest galaxy, degrees, rounded; from memory.
_PLACE = {
    "A383": (42.014, -3.529),
    "R2129": (322.416, 0.089),
    "A2744": (3.586, -30.400),
    "MS2137": (325.063, -23.661),
    "R2248": (342.183, -44.531),
    "M1931": (292.957, -26.576),
    "M1115": (168.966, 1.499),
    "A370": (39.970, -1.577),
    "M0416": (64.038, -24.067),
    "M1206": (181.551, -8.801),
    "M0329": (52.423, -2.196),
    "R1347": (206.878, -11.753),
    "M1311": (197.758, -3.178),
    "M1149": (177.399, 22.399),
    "M2129": (322.357, -7.691),
}
#: M200c of weak lensing in 10^14 solar masses, about those of Umetsu et al. (2018), from memory.
_LENSING_MASS = {"R2248": 18.8, "M0416": 10.7, "M1206": 18.2, "M1149": 25.0}
_FRONTIER = ("A2744", "A370", "R2248", "M0416", "M1149")


def clash_clusters() -> QTable:
    """The fifteen clusters: redshifts and numbers of spectra as published, masses known or assumed.

    Returns
    -------
    `~astropy.table.QTable`
        Columns of the published table, then ``ra``, ``dec`` (deg), ``frontier`` (bool: deeper in the bands of
        the Frontier Fields), ``m200c`` (solar masses), ``m200c_note`` (where the mass comes from) and
        ``r200`` (Mpc).

    Raises
    ------
    MissingDataError
        If the published table is not installed.
    """
    table = QTable.read(data_folder("published") / "angora2020_table1.ecsv", format="ascii.ecsv")
    names = [str(name) for name in table["short"]]
    place = np.array([_PLACE[name] for name in names])
    table["ra"], table["dec"] = place[:, 0] * u.deg, place[:, 1] * u.deg
    table["frontier"] = [name in _FRONTIER for name in names]
    assumed = _mass_of_richness(np.maximum(table["acs_members"], table["mixed_members"]))
    known = np.array([_LENSING_MASS.get(name, np.nan) for name in names])
    table["m200c"] = np.where(np.isnan(known), assumed, known) * 1e14 * u.M_sun
    table["m200c_note"] = [
        "about Umetsu et al. 2018, from memory" if name in _LENSING_MASS else "assumed" for name in names
    ]
    table["r200"] = r200(table["m200c"], table["redshift"])
    return table


def _mass_of_richness(members: np.ndarray) -> np.ndarray:
    """An assumption for clusters without a mass here, 10^14 solar masses: as the root of the spectra."""
    return np.round(15 * np.sqrt(np.asarray(members) / 150), 1)


def r200(m200c: Quantity, redshift: np.ndarray) -> Quantity:
    """Radius within which the mean density is 200 times critical, Mpc.

    (2 G M200c / (200 H(z)^2))^(1/3), Angora et al. (2020), footnote 3.
    """
    density = COSMOLOGY.critical_density(redshift)
    return ((3 * m200c / (800 * np.pi * density)) ** (1 / 3)).to(u.Mpc)


def velocity_dispersion(m200c: Quantity, redshift: float) -> float:
    """Dispersion along the line of sight, km/s, of a halo's matter (Evrard et al. 2008, ApJ 672, 122)."""
    mass = float((m200c / (1e15 * u.M_sun)).to_value(u.one))
    return 1082.9 * (float(COSMOLOGY.H(redshift).value) / 100 * mass) ** 0.3361


def pick_clusters(names: Iterable[str] | None) -> QTable:
    """Rows of `clash_clusters` by short name, in the order asked for; all for None.

    Raises
    ------
    InputError
        If a name is unknown or given twice.
    """
    table = clash_clusters()
    known = [str(name) for name in table["short"]]
    asked = known if names is None else [names] if isinstance(names, str) else list(names)
    if not asked or len(set(asked)) != len(asked) or set(asked) - set(known):
        raise InputError(f"clusters must be different names out of {tuple(known)}, got {tuple(asked)}")
    return table[[known.index(name) for name in asked]]

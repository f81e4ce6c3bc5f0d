"""The fifteen clusters of Angora et al. (2020), Table 1, with place, mass and radius."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import QTable, join
from astropy.units import Quantity

from labkit.cosmology import COSMOLOGY, r200
from labkit.errors import InputError
from labkit.paths import data_folder


def clash_clusters() -> QTable:
    """The fifteen clusters: redshifts and numbers of spectra as published, places and masses assumed."""
    table = QTable.read(data_folder("published") / "angora2020_table1.ecsv", format="ascii.ecsv")
    ours = QTable.read(Path(__file__).with_name("clusters.ecsv"), format="ascii.ecsv")
    table = join(table, ours, keys="short", keep_order=True, metadata_conflicts="silent")
    known = table["m200c"].value
    # An assumption for the others: as the root of the number of spectra.
    spectra = np.maximum(table["acs_members"], table["mixed_members"])
    of_spectra = np.round(15 * np.sqrt(np.asarray(spectra) / 150), 1)
    table["m200c"] = np.where(np.isnan(known), of_spectra, known) * 1e14 * u.M_sun
    notes = ("assumed, of the size of weak-lensing masses", "assumed, from the number of spectra")
    table["m200c_note"] = np.where(np.isnan(known), *notes[::-1])
    table["r200"] = r200(table["m200c"], table["redshift"])
    return table


def velocity_dispersion(m200c: Quantity, redshift: float) -> float:
    """Dispersion along the line of sight, km/s, of a halo's matter (Evrard et al. 2008, ApJ 672, 122)."""
    mass = float((m200c / (1e15 * u.M_sun)).to_value(u.one))
    return 1082.9 * (float(COSMOLOGY.H(redshift).value) / 100 * mass) ** 0.3361


def pick_clusters(names: Iterable[str] | None) -> QTable:
    """Rows of `clash_clusters` by short name, in the order asked for; all for None."""
    table = clash_clusters()
    known = [str(name) for name in table["short"]]
    asked = known if names is None else [names] if isinstance(names, str) else list(names)
    if not asked or len(set(asked)) != len(asked) or set(asked) - set(known):
        raise InputError(f"clusters must be different names out of {tuple(known)}, got {tuple(asked)}")
    return table[[known.index(name) for name in asked]]

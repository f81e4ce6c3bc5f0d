"""The cosmology of all three papers' fields, and the radius of a cluster in it."""

import astropy.units as u
import numpy as np
from astropy.cosmology import FLRW, FlatLambdaCDM
from numpy.typing import ArrayLike

from labkit.errors import InputError

#: Flat, as in Angora et al. (2020), section 1.
COSMOLOGY = FlatLambdaCDM(H0=70, Om0=0.3)


def r200(mass: u.Quantity, redshift: ArrayLike, *, cosmology: FLRW = COSMOLOGY) -> u.Quantity:
    """Radius within which the mean density is 200 times the critical one.

    R200 = (2 G M200c / (200 H(z)^2))^(1/3) (Angora et al. 2020, footnote 3).
    """
    return _radius(mass, redshift, 200, cosmology)


def r500(mass: u.Quantity, redshift: ArrayLike, *, cosmology: FLRW = COSMOLOGY) -> u.Quantity:
    """Radius within which the mean density is 500 times the critical one."""
    return _radius(mass, redshift, 500, cosmology)


def _radius(mass: u.Quantity, redshift: ArrayLike, contrast: int, cosmology: FLRW) -> u.Quantity:
    if not np.all(mass > 0):
        raise InputError(f"mass must be positive, got {mass}")
    return ((3 * mass / (4 * contrast * np.pi * cosmology.critical_density(redshift))) ** (1 / 3)).to(u.Mpc)

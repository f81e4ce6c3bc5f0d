"""The gas of a cluster in hydrostatic equilibrium: density, temperature and metallicity from its entropy.

The entropy K = kT / ne^(2/3) is K0 + K1 (r / R500)^a (Cavagnolo et al. 2009, ApJS 182, 12), the potential
that of Navarro, Frenk & White (1997, ApJ 490, 493), and the pressure Pe = ne kT = K ne^(5/3) at R500 the
universal one (Arnaud et al. 2010, A&A 517, A92). Inwards the pressure follows from equilibrium,
d(Pe^(2/5)) / dr = -(2/5) mu m_p g K^(-3/5), so that a core of low entropy is dense and cool.
"""

from dataclasses import dataclass
from functools import lru_cache

import astropy.constants as const
import astropy.units as u
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import cumulative_trapezoid

from labkit.cooling import CORE_RADIUS, cooling_function, cooling_time
from labkit.cosmology import COSMOLOGY, r500
from labkit.simulate.numbers import read_numbers

#: Radii of the profiles in R500; one of them is 1.
_RADII = 10 ** (np.arange(-500, 61) / 125)
#: mu m_p G in keV kpc per solar mass, for a mean molecular weight of 0.6.
_PULL = (0.6 * const.m_p * const.G).to_value(u.keV * u.kpc / u.M_sun)
_ELECTRONS_PER_PROTON = 1.2


@dataclass(frozen=True)
class Gas:
    """Spherical profiles, each (radius,), at radii in kpc that rise."""

    r500_kpc: float
    radius: NDArray[np.float64]
    density: NDArray[np.float64]  # ne, cm-3
    temperature: NDArray[np.float64]  # kT, keV
    metallicity: NDArray[np.float64]  # solar

    @property
    def cooling_time(self) -> NDArray[np.float64]:
        """3/2 (ne + ni) kT / (ne ni Lambda), Gyr."""
        rate = cooling_function(self.temperature, self.metallicity)
        return cooling_time(self.density, self.temperature, rate)

    @property
    def emissivity(self) -> NDArray[np.float64]:
        """Radiation in the band, erg/s/cm3."""
        rate = band_cooling(self.temperature, self.metallicity)
        return self.density**2 / _ELECTRONS_PER_PROTON * rate

    def core_mean(self, values: NDArray) -> float:
        """Mean of a profile in the sphere of 0.012 R500 (Su et al. 2020)."""
        edge = CORE_RADIUS * self.r500_kpc
        inside = np.append(self.radius[self.radius < edge], edge)
        volume = np.diff(inside**3, prepend=0.0)
        return float(np.average(np.interp(inside, self.radius, values), weights=volume))


@lru_cache
def _scales(redshift: float) -> tuple[float, float]:
    """E(z), and R500 in kpc of a cluster of 1e14 solar masses."""
    return float(COSMOLOGY.efunc(redshift)), float(r500(1e14 * u.M_sun, redshift).to_value(u.kpc))


def universal_pressure(x: ArrayLike, m500: float, redshift: float) -> NDArray[np.float64]:
    """Electron pressure, keV/cm3, at radii in R500 (Arnaud et al. 2010, equations 11 to 13)."""
    x = 1.177 * np.asarray(x, dtype=float)
    shape = 8.403 / (x**0.3081 * (1 + x**1.0510) ** ((5.4905 - 0.3081) / 1.0510))
    return 1.65e-3 * _scales(redshift)[0] ** (8 / 3) * (m500 / 3e14) ** (2 / 3 + 0.12) * shape


def band_cooling(kt: ArrayLike, metallicity: ArrayLike) -> NDArray[np.float64]:
    """The part of Lambda(T, Z), erg cm3/s, that is radiated in the band of the images.

    The continuum is that of gas without metals, with a spectrum exp(-E / kT) of constant Gaunt factor; of the
    metals' radiation a share falls into the band, most of it where iron's L lines rule. An assumption.
    """
    kt = np.asarray(kt, dtype=float)
    low, high = read_numbers("cores")["band"]["kev"]
    share, cool = (read_numbers("cores")["band"][name] for name in ("metal_share", "metal_kev"))
    continuum = cooling_function(kt, 0.0)
    metals = cooling_function(kt, metallicity) - continuum
    return continuum * (np.exp(-low / kt) - np.exp(-high / kt)) + metals * share / np.maximum(kt / cool, 1)


def entropy_scale(m500: ArrayLike, redshift: float) -> NDArray[np.float64]:
    """K500 in keV cm2, with a gas fraction of 0.15 (Pratt et al. 2010, A&A 511, A85, equation 3)."""
    return 106 * (np.asarray(m500, dtype=float) / 1e14 / 0.15 / _scales(redshift)[0]) ** (2 / 3)


def hydrostatic_gas(
    m500: float,
    redshift: float,
    *,
    k0: float,
    k1: float,
    slope: float,
    concentration: float = 3.0,
    pressure: float = 1.0,
    metals: float = 0.0,
) -> Gas:
    """Profiles of the gas with the entropy k0 + k1 (r / R500)^slope, keV cm2.

    `concentration` is that of the potential, R500 over its scale radius; `pressure` that at R500 in units of
    the universal one; `metals` the excess of the metallicity in the centre.
    """
    x, radius_kpc = _RADII, _scales(redshift)[1] * (m500 / 1e14) ** (1 / 3)
    entropy = k0 + k1 * x**slope
    scaled = concentration * np.append(x, 1.0)
    mass = np.log1p(scaled) - scaled / (1 + scaled)  # NFW
    pull = 0.4 * _PULL * m500 / radius_kpc * mass[:-1] / mass[-1] / x * entropy**-0.6  # of dx / x
    gained = cumulative_trapezoid(pull, np.log(x), initial=0.0)
    at_r500 = (pressure * universal_pressure(1.0, m500, redshift)) ** 0.4
    root = at_r500 + gained[x.searchsorted(1.0)] - gained
    electron_pressure = np.maximum(root, 1e-3 * at_r500) ** 2.5
    density = (electron_pressure / entropy) ** 0.6
    about = read_numbers("cores")["metallicity"]
    metallicity = about["outer"] + metals / (1 + (x / about["core"]) ** 2)
    return Gas(radius_kpc, radius_kpc * x, density, entropy * density ** (2 / 3), metallicity)

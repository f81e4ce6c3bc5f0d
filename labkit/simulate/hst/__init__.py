"""Simulated fields of the CLASH and Frontier Field clusters, as Angora et al. (2020) used the real ones.

What is looked through: `bands`, which also knows colours; at what, and where the cameras looked: `clusters`;
what is there: `galaxies`, `population`, which also knows what is detected and gets a redshift; how it is
painted: `painting`. Put together: `field`.
"""

from labkit.simulate.hst.bands import ACS_BANDS, BANDS, MIXED_BANDS, Band
from labkit.simulate.hst.field import simulate_fields

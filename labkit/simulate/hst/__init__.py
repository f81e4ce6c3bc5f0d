"""Simulated fields of the CLASH and Frontier Field clusters, as Angora et al. (2020) used the real ones.

What is looked through: `bands`, `footprints`; at what: `clusters`, `templates`, `bodies`, `members`,
`surroundings`, `population`; how it is painted: `sersic`, `components`, `painting`; what is known of it:
`detection`, `spectroscopy`. Put together: `field`, `fields`.
"""

from __future__ import annotations

from labkit.simulate.hst.bands import ACS_BANDS, BANDS, FRONTIER_BANDS, IR_BANDS, MIXED_BANDS, Band
from labkit.simulate.hst.clusters import clash_clusters
from labkit.simulate.hst.field import SimulatedField, simulate_field
from labkit.simulate.hst.fields import simulate_fields
from labkit.simulate.hst.spectroscopy import QUALITIES

__all__ = [
    "ACS_BANDS",
    "BANDS",
    "FRONTIER_BANDS",
    "IR_BANDS",
    "MIXED_BANDS",
    "QUALITIES",
    "Band",
    "SimulatedField",
    "clash_clusters",
    "simulate_field",
    "simulate_fields",
]

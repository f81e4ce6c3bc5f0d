"""Simulated skies: the physics, the instruments and the surveys that labkit shows first.

Both sides: `painting`, `numbers`. Candidates: `xray` and `galaxies` are what there is; `xmm` and `plates` are
how it is seen, by XMM-Newton and on plates; `injection` draws clusters into an observation; `field` is all
that a field holds, `observation` that field as files, `found` what the finder makes of it; `survey` makes a
survey of what was found; `volunteers` and `hunt` let people look at that. Members: `hst`, imported by its own
name. Cool cores: `gas`, `projection`, `cores`.
"""

from labkit.simulate.cores import simulate_cores
from labkit.simulate.found import read_recipe
from labkit.simulate.hunt import simulate_hunt
from labkit.simulate.injection import ECF, cluster_grid, cluster_population
from labkit.simulate.observation import field_files, simulate_observation
from labkit.simulate.survey import (
    KOSIBA_HUNT,
    KOSIBA_TABLE_2,
    HuntCounts,
    SurveyCounts,
    simulate_survey,
    survey_at,
)
from labkit.simulate.xmm import DEPTH, NUISANCES

"""Simulated skies: the physics, the instruments and the surveys that labkit shows first.

Candidates: `sky` is what there is; `xmm` and `schmidt` are how it is seen, by XMM-Newton and on plates;
`candidates` makes a survey of it, and `hunt` lets volunteers look at that. Members: `hst`, imported by its
own name. Imports go one way, sky -> xmm, schmidt -> candidates -> hunt; hst stands apart.
"""

from __future__ import annotations

from labkit.simulate.candidates.defaults import field_files, survey_at
from labkit.simulate.candidates.hunt_plan import KOSIBA_HUNT, HuntCounts
from labkit.simulate.candidates.plan import KOSIBA_TABLE_2, SurveyCounts
from labkit.simulate.candidates.survey import simulate_survey
from labkit.simulate.hunt.answers import HuntBiases
from labkit.simulate.hunt.hunt import Disorder, SimulatedHunt, simulate_hunt
from labkit.simulate.hunt.volunteers import Crowd
from labkit.simulate.xmm.observation import simulate_observation
from labkit.simulate.xmm.pointing import NUISANCES

__all__ = [
    "KOSIBA_HUNT",
    "KOSIBA_TABLE_2",
    "NUISANCES",
    "Crowd",
    "Disorder",
    "HuntBiases",
    "HuntCounts",
    "SimulatedHunt",
    "SurveyCounts",
    "field_files",
    "simulate_hunt",
    "simulate_observation",
    "simulate_survey",
    "survey_at",
]

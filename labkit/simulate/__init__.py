"""Simulated skies: the physics, the instruments and the surveys that labkit shows first.

What there is: `clusters`, `cluster_galaxies`, `nearby_galaxies`, `xray_sources`, `number_counts`.
How it is seen: `pointing`, `events`, `artefacts`; on plates `profiles`, `bodies`, `schmidt`, `plates`.
Put together: `positions`, `candidates`, `candidate_field`, `plan`, `hunt_plan`, `survey`, `observation`,
`defaults`. Who looks at it: `volunteers`, `hunt_answers`, `hunt_export`, `hunt`.
"""

from __future__ import annotations

from labkit.simulate.defaults import field_files, survey_at
from labkit.simulate.hunt import Disorder, SimulatedHunt, simulate_hunt
from labkit.simulate.hunt_answers import HuntBiases
from labkit.simulate.hunt_plan import KOSIBA_HUNT, HuntCounts
from labkit.simulate.observation import simulate_observation
from labkit.simulate.plan import KOSIBA_TABLE_2, SurveyCounts
from labkit.simulate.pointing import NUISANCES
from labkit.simulate.survey import simulate_survey
from labkit.simulate.volunteers import Crowd

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

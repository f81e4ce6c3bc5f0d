"""Simulated skies: the physics, the instruments and the surveys that labkit shows first.

What there is: `clusters`, `cluster_galaxies`, `nearby_galaxies`, `xray_sources`, `number_counts`.
How it is seen: `pointing`, `xmm`, `events`, `artefacts`; on plates `profiles`, `bodies`, `schmidt`, `plates`.
Put together: `positions`, `candidates`, `candidate_field`, `plan`, `survey`, `observation`, `defaults`.
"""

from __future__ import annotations

from labkit.simulate.defaults import field_files, survey_at
from labkit.simulate.observation import simulate_observation
from labkit.simulate.plan import KOSIBA_TABLE_2, SurveyCounts
from labkit.simulate.pointing import NUISANCES
from labkit.simulate.survey import simulate_survey

__all__ = [
    "KOSIBA_TABLE_2",
    "NUISANCES",
    "SurveyCounts",
    "field_files",
    "simulate_observation",
    "simulate_survey",
    "survey_at",
]

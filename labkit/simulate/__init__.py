"""Simulated skies: the physics, the instruments and the surveys that labkit shows first."""

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

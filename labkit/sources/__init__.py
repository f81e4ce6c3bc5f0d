"""Real input: XMM-Newton observations and candidate lists, optical plates, the published training set."""

from __future__ import annotations

from labkit.sources.candidates import read_candidates
from labkit.sources.kosiba2020 import fetch_kosiba2020, read_kosiba2020
from labkit.sources.plates import cut_plates, read_plates
from labkit.sources.xmm import Observation, read_observation
from labkit.sources.xmm_sample import candidates_sample

__all__ = [
    "Observation",
    "candidates_sample",
    "cut_plates",
    "fetch_kosiba2020",
    "read_candidates",
    "read_kosiba2020",
    "read_observation",
    "read_plates",
]

"""What a network looks at: maps of its filters, the bands they answer to, class activation and its checks."""

from __future__ import annotations

from labkit.explain.bands import Sensitivity, band_index, index_summary, sensitivity, typical_filters
from labkit.explain.checks import (
    Deletion,
    Randomisation,
    deletion,
    randomisation_check,
    rank_correlation,
    structural_similarity,
)
from labkit.explain.inputs import Computing
from labkit.explain.layers import layers
from labkit.explain.maps import METHODS, ClassActivation, class_activation, filter_maps

__all__ = [
    "METHODS",
    "ClassActivation",
    "Computing",
    "Deletion",
    "Randomisation",
    "Sensitivity",
    "band_index",
    "class_activation",
    "deletion",
    "filter_maps",
    "index_summary",
    "layers",
    "randomisation_check",
    "rank_correlation",
    "sensitivity",
    "structural_similarity",
    "typical_filters",
]

"""What a network looks at: activation maps, the band a filter answers to, class activation and its checks."""

from __future__ import annotations

from labkit.explain.attribution import (
    METHODS,
    ClassActivation,
    class_activation,
    class_activation_with_scale,
)
from labkit.explain.bands import filter_index, index_summary
from labkit.explain.choice import typical_filters
from labkit.explain.deletion import Deletion, deletion
from labkit.explain.layers import layers
from labkit.explain.maps import activation_maps
from labkit.explain.randomisation import Randomisation, randomisation_check
from labkit.explain.sensitivity import Sensitivity, sensitivity
from labkit.explain.similarity import rank_correlation, structural_similarity

__all__ = [
    "METHODS",
    "ClassActivation",
    "Deletion",
    "Randomisation",
    "Sensitivity",
    "activation_maps",
    "class_activation",
    "class_activation_with_scale",
    "deletion",
    "filter_index",
    "index_summary",
    "layers",
    "randomisation_check",
    "rank_correlation",
    "sensitivity",
    "structural_similarity",
    "typical_filters",
]

"""Figures of cluster members: fields, colour-magnitude diagrams, performance, agreement, profiles."""

from __future__ import annotations

from labkit.views.members.agreement import method_agreement
from labkit.views.members.band_sheet import band_sheet
from labkit.views.members.colour_magnitude import colour_magnitude, differential_colour_magnitude
from labkit.views.members.configurations import configurations
from labkit.views.members.crowding import contamination_distribution
from labkit.views.members.errors import error_distributions
from labkit.views.members.field import member_field
from labkit.views.members.gallery import member_gallery
from labkit.views.members.magnitudes import magnitude_distribution
from labkit.views.members.mosaic_field import mosaic_field
from labkit.views.members.performance import redshift_bins
from labkit.views.members.profiles import member_profiles
from labkit.views.members.thresholds import method_rocs, threshold_curves
from labkit.views.members.training_ranges import training_ranges
from labkit.views.members.training_size import training_size

__all__ = [
    "band_sheet",
    "colour_magnitude",
    "configurations",
    "contamination_distribution",
    "differential_colour_magnitude",
    "error_distributions",
    "magnitude_distribution",
    "member_field",
    "member_gallery",
    "member_profiles",
    "method_agreement",
    "method_rocs",
    "mosaic_field",
    "redshift_bins",
    "threshold_curves",
    "training_ranges",
    "training_size",
]

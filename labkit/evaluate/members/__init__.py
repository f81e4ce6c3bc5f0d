"""Cluster members: photometric classifiers, parts of the sample, crowding, methods compared, profiles."""

from __future__ import annotations

from labkit.evaluate.members.agreement import agreement_table, pair_table
from labkit.evaluate.members.classify import photometric_members, photometric_predictions
from labkit.evaluate.members.colour_model import ColourModel, fit_colour_model
from labkit.evaluate.members.common import common_scores
from labkit.evaluate.members.comparison import crossing, method_table
from labkit.evaluate.members.contamination import contamination_by_outcome, contamination_index
from labkit.evaluate.members.cuts import cut_table, error_table
from labkit.evaluate.members.folds import deal_folds, folds_of
from labkit.evaluate.members.methods import METHODS
from labkit.evaluate.members.outcomes import OUTCOMES, outcomes
from labkit.evaluate.members.parts import bright_and_red, magnitude_and_colour_cuts
from labkit.evaluate.members.radial import annulus_coverage, member_profile, projected_radius, r200

__all__ = [
    "METHODS",
    "OUTCOMES",
    "ColourModel",
    "agreement_table",
    "annulus_coverage",
    "bright_and_red",
    "common_scores",
    "contamination_by_outcome",
    "contamination_index",
    "crossing",
    "cut_table",
    "deal_folds",
    "error_table",
    "fit_colour_model",
    "folds_of",
    "magnitude_and_colour_cuts",
    "member_profile",
    "method_table",
    "outcomes",
    "pair_table",
    "photometric_members",
    "photometric_predictions",
    "projected_radius",
    "r200",
]

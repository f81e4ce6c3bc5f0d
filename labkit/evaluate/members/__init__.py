"""Cluster members: photometric classifiers, the paper's tables, trends, parts of the sample, profiles."""

from __future__ import annotations

from labkit.evaluate.members.agreement import agreement_table, pair_table
from labkit.evaluate.members.beside import beside
from labkit.evaluate.members.classify import photometric_members, photometric_predictions
from labkit.evaluate.members.colour_model import ColourModel, fit_colour_model
from labkit.evaluate.members.common import common_scores
from labkit.evaluate.members.comparison import crossing, method_deltas, method_table
from labkit.evaluate.members.completed import complete_members, completion_counts, member_groups
from labkit.evaluate.members.contamination import contamination_by_outcome, contamination_index
from labkit.evaluate.members.cuts import cut_table, error_table
from labkit.evaluate.members.fold_tables import growth_table, redshift_table
from labkit.evaluate.members.folds import deal_folds, folds_of
from labkit.evaluate.members.galaxies import error_shares, galaxy_parts, galaxy_table
from labkit.evaluate.members.lines import linear_fits
from labkit.evaluate.members.methods import METHODS
from labkit.evaluate.members.outcomes import OUTCOMES, outcomes
from labkit.evaluate.members.parts import bright_and_red, magnitude_and_colour_cuts
from labkit.evaluate.members.printed import as_printed
from labkit.evaluate.members.radial import annulus_coverage, member_profile, projected_radius, r200
from labkit.evaluate.members.scores import cluster_scores, configuration_table, range_table
from labkit.evaluate.members.trends import trend_sentences, trend_table
from labkit.evaluate.members.unseen import (
    Variant,
    catalogue_features,
    feature_sets,
    unseen_clusters,
    variant_predictions,
)

__all__ = [
    "METHODS",
    "OUTCOMES",
    "ColourModel",
    "Variant",
    "agreement_table",
    "annulus_coverage",
    "as_printed",
    "beside",
    "bright_and_red",
    "catalogue_features",
    "cluster_scores",
    "common_scores",
    "complete_members",
    "completion_counts",
    "configuration_table",
    "contamination_by_outcome",
    "contamination_index",
    "crossing",
    "cut_table",
    "deal_folds",
    "error_shares",
    "error_table",
    "feature_sets",
    "fit_colour_model",
    "folds_of",
    "galaxy_parts",
    "galaxy_table",
    "growth_table",
    "linear_fits",
    "magnitude_and_colour_cuts",
    "member_groups",
    "member_profile",
    "method_deltas",
    "method_table",
    "outcomes",
    "pair_table",
    "photometric_members",
    "photometric_predictions",
    "projected_radius",
    "r200",
    "range_table",
    "redshift_table",
    "trend_sentences",
    "trend_table",
    "unseen_clusters",
    "variant_predictions",
]

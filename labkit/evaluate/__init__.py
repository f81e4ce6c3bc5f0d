"""One statistics: measures with intervals, curves, comparisons, published numbers, photometric methods."""

from __future__ import annotations

from labkit.evaluate.comparison import compare, sentences
from labkit.evaluate.curves import area_under, class_rocs, crossing, mean_roc, purity_curve, roc_curve
from labkit.evaluate.derived import (
    error_shares,
    highest_counts,
    linear_fits,
    method_differences,
    over_classes,
    separations,
)
from labkit.evaluate.folds import (
    contradicted_labels,
    deal_folds,
    fold_rocs,
    fold_scatter,
    fold_table,
    folds_of,
    leak,
)
from labkit.evaluate.galaxies import (
    contamination_by_outcome,
    contamination_index,
    galaxy_parts,
    magnitude_and_colour_cuts,
    member_profile,
    projected_radius,
)
from labkit.evaluate.literature import as_text, join_published, published
from labkit.evaluate.measures import auc, binary_scores, confusion_matrix
from labkit.evaluate.members import (
    agreement_table,
    check_members,
    complete_members,
    completion_counts,
    member_groups,
    pair_table,
)
from labkit.evaluate.methods import METHODS, photometric_members, photometric_predictions
from labkit.evaluate.profiles import central_shares, cluster_profiles, covered_radius
from labkit.evaluate.resampling import Resampling, wilson
from labkit.evaluate.tables import measure
from labkit.evaluate.trainings import (
    OUTCOMES,
    common_scores,
    outcomes,
    rank,
    select_common,
    select_parts,
)
from labkit.evaluate.unseen import (
    Variant,
    catalogue_features,
    colour_methods,
    feature_sets,
    survey_columns,
    unseen_clusters,
    variant_predictions,
)
from labkit.evaluate.verdicts import vote_predictions, vote_table

__all__ = [
    "METHODS",
    "OUTCOMES",
    "Resampling",
    "Variant",
    "agreement_table",
    "area_under",
    "as_text",
    "auc",
    "binary_scores",
    "catalogue_features",
    "central_shares",
    "check_members",
    "class_rocs",
    "cluster_profiles",
    "colour_methods",
    "common_scores",
    "compare",
    "complete_members",
    "completion_counts",
    "confusion_matrix",
    "contamination_by_outcome",
    "contamination_index",
    "contradicted_labels",
    "covered_radius",
    "crossing",
    "deal_folds",
    "error_shares",
    "feature_sets",
    "fold_rocs",
    "fold_scatter",
    "fold_table",
    "folds_of",
    "galaxy_parts",
    "highest_counts",
    "join_published",
    "leak",
    "linear_fits",
    "magnitude_and_colour_cuts",
    "mean_roc",
    "measure",
    "member_groups",
    "member_profile",
    "method_differences",
    "outcomes",
    "over_classes",
    "pair_table",
    "photometric_members",
    "photometric_predictions",
    "projected_radius",
    "published",
    "purity_curve",
    "rank",
    "roc_curve",
    "select_common",
    "select_parts",
    "sentences",
    "separations",
    "survey_columns",
    "unseen_clusters",
    "variant_predictions",
    "vote_predictions",
    "vote_table",
    "wilson",
]

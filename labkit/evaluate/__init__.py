"""Statistics: measures with intervals, curves, comparisons, published numbers, photometric methods."""

from labkit.evaluate.calibration import calibrate_votes, fit_calibration, reliability_measures
from labkit.evaluate.candidates import (
    CUTS,
    FOUND,
    baselines,
    candidate_predictions,
    cut_predictions,
    cut_sentence,
    overlap_table,
)
from labkit.evaluate.comparison import compare, sentences
from labkit.evaluate.conformal import conformal_sets
from labkit.evaluate.cores import limit_predictions, morphology_estimates, morphology_predictions
from labkit.evaluate.domain import DomainShift, domain_shift
from labkit.evaluate.estimates import NUMBER_MEASURES, calibrate
from labkit.evaluate.folds import (
    contradicted_labels,
    fold_rocs,
    fold_scatter,
    fold_table,
    folds_of,
    leak,
    photometric_folds,
)
from labkit.evaluate.measure import measure
from labkit.evaluate.members import (
    check_members,
    complete_members,
    completion_counts,
    contamination_by_outcome,
    contamination_index,
    galaxy_parts,
    magnitude_and_colour_cuts,
    member_groups,
)
from labkit.evaluate.methods import METHODS, photometric_members, photometric_predictions
from labkit.evaluate.metrics import (
    area_under,
    auc,
    binary_scores,
    class_rocs,
    confusion_matrix,
    crossing,
    mean_roc,
    purity_curve,
    roc_curve,
)
from labkit.evaluate.operating import OperatingPoint, estimate_prevalence, operating_point
from labkit.evaluate.profiles import central_shares, cluster_profiles, covered_radius, member_profile
from labkit.evaluate.published import (
    as_text,
    error_shares,
    highest_counts,
    join_published,
    linear_fits,
    method_differences,
    over_classes,
    probability_bins,
    published,
    ranked_classes,
    reliability,
    separations,
    vote_table,
)
from labkit.evaluate.resampling import Resampling, wilson
from labkit.evaluate.selection import (
    SelectionFunction,
    counted_completeness,
    cross_validate,
    expected_completeness,
    false_candidates,
    fit_selection,
)
from labkit.evaluate.trainings import (
    OUTCOMES,
    agreement_table,
    common_scores,
    outcomes,
    pair_table,
    rank,
    select_common,
    select_parts,
)
from labkit.evaluate.unseen import (
    Variant,
    catalogue_features,
    catalogue_members,
    colour_methods,
    feature_sets,
    stamp_methods,
    survey_columns,
    unseen_clusters,
    variant_predictions,
)

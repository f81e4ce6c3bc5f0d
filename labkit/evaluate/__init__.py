"""Measures of classification with intervals, curves, paired comparison, and the published numbers."""

from __future__ import annotations

from labkit.evaluate.class_tables import class_summary, class_table, over_classes
from labkit.evaluate.compare import (
    DeLong,
    Difference,
    McNemar,
    delong,
    holm,
    mcnemar,
    paired_difference,
)
from labkit.evaluate.cross_validation import contradicted_labels, fold_rocs, fold_scatter, fold_table
from labkit.evaluate.curves import (
    area_under,
    class_rocs,
    class_rocs_by_run,
    mean_roc,
    purity_completeness_curve,
    roc_curve,
)
from labkit.evaluate.differences import difference_table
from labkit.evaluate.groups import recall_by
from labkit.evaluate.intervals import (
    Interval,
    OverSeeds,
    bootstrap_scores,
    over_seeds,
    percentile_interval,
    wilson,
)
from labkit.evaluate.leaks import Leak, leak
from labkit.evaluate.metrics import (
    Scores,
    auc,
    binary_scores,
    brier_score,
    confusion_matrix,
    log_loss,
)
from labkit.evaluate.multiclass import AVERAGES, METRICS, bootstrap_classes, class_scores, one_versus_rest
from labkit.evaluate.published import beside_published, published_table, published_tables
from labkit.evaluate.ranking import ranked_catalogue
from labkit.evaluate.tables import as_text, run_table, summary_table
from labkit.evaluate.vote_scores import beside_experts, vote_scores

__all__ = [
    "AVERAGES",
    "METRICS",
    "DeLong",
    "Difference",
    "Interval",
    "Leak",
    "McNemar",
    "OverSeeds",
    "Scores",
    "area_under",
    "as_text",
    "auc",
    "beside_experts",
    "beside_published",
    "binary_scores",
    "bootstrap_classes",
    "bootstrap_scores",
    "brier_score",
    "class_rocs",
    "class_rocs_by_run",
    "class_scores",
    "class_summary",
    "class_table",
    "confusion_matrix",
    "contradicted_labels",
    "delong",
    "difference_table",
    "fold_rocs",
    "fold_scatter",
    "fold_table",
    "holm",
    "leak",
    "log_loss",
    "mcnemar",
    "mean_roc",
    "one_versus_rest",
    "over_classes",
    "over_seeds",
    "paired_difference",
    "percentile_interval",
    "published_table",
    "published_tables",
    "purity_completeness_curve",
    "ranked_catalogue",
    "recall_by",
    "roc_curve",
    "run_table",
    "summary_table",
    "vote_scores",
    "wilson",
]

"""Measures of classification with intervals, curves, paired comparison, and the published numbers."""

from __future__ import annotations

from labkit.evaluate.compare import Difference, McNemar, mcnemar, paired_difference
from labkit.evaluate.curves import area_under, mean_roc, purity_completeness_curve, roc_curve
from labkit.evaluate.differences import difference_table
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
    one_versus_rest,
)
from labkit.evaluate.published import beside_published, published_table, published_tables
from labkit.evaluate.ranking import ranked_catalogue
from labkit.evaluate.tables import METRICS, as_text, class_table, run_table, summary_table

__all__ = [
    "METRICS",
    "Difference",
    "Interval",
    "Leak",
    "McNemar",
    "OverSeeds",
    "Scores",
    "area_under",
    "as_text",
    "auc",
    "beside_published",
    "binary_scores",
    "bootstrap_scores",
    "brier_score",
    "class_table",
    "confusion_matrix",
    "difference_table",
    "leak",
    "log_loss",
    "mcnemar",
    "mean_roc",
    "one_versus_rest",
    "over_seeds",
    "paired_difference",
    "percentile_interval",
    "published_table",
    "published_tables",
    "purity_completeness_curve",
    "ranked_catalogue",
    "roc_curve",
    "run_table",
    "summary_table",
    "wilson",
]

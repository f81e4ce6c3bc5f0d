"""Votes of volunteers: decision trees, answers, weights of volunteers, consensus of a subject."""

from __future__ import annotations

from labkit.votes.answers import Answers, answer_counts, drop_logged_out, drop_repeats, retire
from labkit.votes.consensus import (
    METHODS,
    DawidSkene,
    Weights,
    consensus,
    dawid_skene,
    krippendorff_alpha,
    log_odds_weights,
    soft_columns,
    weights,
)
from labkit.votes.labels import (
    KOSIBA_VALIDATION,
    agreement_with,
    cleaning_steps,
    retirement_table,
    training_labels,
    vote_predictions,
)
from labkit.votes.trees import (
    Choice,
    DecisionTree,
    Question,
    plain_text,
    read_tree,
    tree_names,
)
from labkit.votes.workflow import tree_from_workflow, tree_toml

__all__ = [
    "KOSIBA_VALIDATION",
    "METHODS",
    "Answers",
    "Choice",
    "DawidSkene",
    "DecisionTree",
    "Question",
    "Weights",
    "agreement_with",
    "answer_counts",
    "cleaning_steps",
    "consensus",
    "dawid_skene",
    "drop_logged_out",
    "drop_repeats",
    "krippendorff_alpha",
    "log_odds_weights",
    "plain_text",
    "read_tree",
    "retire",
    "retirement_table",
    "soft_columns",
    "training_labels",
    "tree_from_workflow",
    "tree_names",
    "tree_toml",
    "vote_predictions",
    "weights",
]

"""Votes of volunteers: decision trees, answers, weights of volunteers, consensus of a subject."""

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
from labkit.votes.trees import Choice, DecisionTree, Question, plain_text, read_tree, tree_names
from labkit.votes.workflow import tree_from_workflow, tree_toml

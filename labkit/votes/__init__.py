"""Votes of volunteers: decision trees, answers, weights of volunteers, consensus of a subject."""

from __future__ import annotations

from labkit.votes.answers import Answers
from labkit.votes.cleaning import drop_logged_out, drop_repeats
from labkit.votes.comparison import agreement_with, cleaning_steps
from labkit.votes.consensus import METHODS, consensus, ending_counts
from labkit.votes.dawid_skene import DawidSkene, dawid_skene
from labkit.votes.training import KOSIBA_VALIDATION, training_labels
from labkit.votes.tree import Choice, DecisionTree, Question, plain_text
from labkit.votes.trees import read_tree, tree_from_workflow, tree_names
from labkit.votes.weights import Weights, answer_counts, weights

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
    "ending_counts",
    "plain_text",
    "read_tree",
    "training_labels",
    "tree_from_workflow",
    "tree_names",
    "weights",
]

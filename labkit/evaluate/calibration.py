"""Soft labels of volunteers made probabilities, by objects of which the truth is known."""

from itertools import product

import numpy as np
from astropy.table import QTable, Table
from scipy.special import expit, logit

from labkit.errors import InputError
from labkit.evaluate.methods import platt_calibration
from labkit.sample.splits import deal_folds
from labkit.votes import soft_columns, vote_predictions

_LEAST = 1e-4  # of probabilities; shares of votes are held within what none of n votes tells (Jeffreys)


def calibrate_votes(votes: QTable, truth: Table, rng: np.random.Generator, *, folds: int = 5) -> QTable:
    """Soft labels of a `consensus` that are right as often as they say, by Platt's (1999) logistic fit.

    The log-odds of each class against the others get a slope and an intercept, then the classes are brought
    to the sum 1; ``label``, ``agreement``, ``entropy`` and ``tie`` follow. An object that `truth`
    (``object_id``, ``label``) knows is calibrated by the other folds, so that measures on it are honest; the
    rest, taken to be like them, by all. A class with fewer known objects than folds keeps its log-odds; there
    must be two with as many.
    """
    if folds < 2:
        raise InputError(f"folds must be at least 2, got {folds}")
    there = np.asarray(votes["n_votes"]) > 0
    one = vote_predictions({"votes": votes}, truth)["votes"]
    codes = np.where(there, one.true_codes, -1)
    number = np.bincount(codes[codes >= 0], minlength=len(one.classes))
    if (number >= folds).sum() < 2:
        counts = dict(zip(one.classes, number.tolist(), strict=True))
        raise InputError(f"truth must know {folds} objects with votes of two classes at least, got {counts}")
    fold = deal_folds(codes, folds=folds, rng=rng)
    shares = votes.meta.get("method") in ("weighted", "majority")
    least = (0.5 / (np.asarray(votes["n_votes"]) + 1) if shares else np.full(len(votes), _LEAST))[:, None]
    evidence = logit(np.clip(one.probabilities, least, 1 - least))
    found = expit(evidence)
    for part, k in product(range(-1, folds), np.flatnonzero(number >= folds)):
        inside, used = fold == part, (codes >= 0) & (fold != part)
        slope, shift = platt_calibration(evidence[used, k], np.zeros(used.sum()), codes[used] == k)
        found[inside, k] = expit(slope * evidence[inside, k] + shift)
    found = np.where(there[:, None], found / found.sum(axis=1, keepdims=True), np.nan)
    classes, result = votes.meta["classes"], votes.copy()
    result.update(soft_columns(found[:, [one.classes.index(name) for name in classes]], classes))
    result.meta["calibrated"] = int((codes >= 0).sum())
    return result

"""Average efficiency, purity, completeness and F1 of both classes, over trainings, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.evaluate.intervals import Interval, over_seeds, percentile_interval, wilson
from labkit.evaluate.members.outcomes import by_set
from labkit.evaluate.resamples import BLOCK, multiplicities, ratios, weighted_ratios
from labkit.evaluate.tables import known_objects
from labkit.predictions import Predictions

__all__ = [
    "CLASS_MEASURES",
    "ENDINGS",
    "MEASURES",
    "Judged",
    "class_columns",
    "judged",
    "measure_columns",
    "measured",
    "measuring",
    "outcome_counts",
    "quality",
    "spread_columns",
]

#: Measures of one class: names of the paper, and of `labkit.evaluate.metrics`.
CLASS_MEASURES = {"purity": "precision", "completeness": "recall", "f1": "f1"}
#: The seven measures of a classification, as the published tables name them.
MEASURES = ("efficiency", *(f"{kind}_{name}" for kind in ("member", "non_member") for name in CLASS_MEASURES))
#: What `quality` gives of each measure.
ENDINGS = ("", "_std", "_error", "_low", "_high")


@dataclass(frozen=True)
class Judged:
    """Objects of known truth and what every training made of them.

    Parameters
    ----------
    object_id : ndarray of str, shape (n,)
        Sorted.
    member : ndarray of bool, shape (n,)
        True members.
    scores : ndarray, shape (trainings, n)
        Probability of membership.
    """

    object_id: NDArray[np.str_]
    member: NDArray[np.bool_]
    scores: NDArray[np.float64]

    def part(self, chosen: NDArray) -> Judged:
        """Some of the objects."""
        return Judged(self.object_id[chosen], self.member[chosen], self.scores[:, chosen])


def judged(predictions: Predictions, *, split: str | None = "test") -> Judged:
    """Predictions as one row of scores a training: a seed with all its folds, or each run on a blind set.

    Parameters
    ----------
    predictions : Predictions
        Of one experiment.
    split : str or None
        Part of the Sample; None takes all rows of known truth.

    Raises
    ------
    InputError
        If there are several experiments, no object is known, or trainings judge different objects.
    """
    ids, truths, scores = [], [], []
    for one in by_set(known_objects(predictions, split)):
        names = np.asarray(one.table["object_id"], dtype=str)
        order = np.argsort(names)
        ids.append(names[order])
        truths.append(np.asarray(one.table["true"] == one.positive)[order])
        scores.append(one.score[order])
    if any(not np.array_equal(ids[0], other) for other in ids[1:]):
        raise InputError(
            f"trainings must judge the same objects, got {[len(one) for one in ids]} that differ; predict "
            "with all folds of every seed, or select(seed=...) the complete ones"
        )
    return Judged(ids[0], truths[0], np.array(scores))


def outcome_counts(objects: Judged, threshold: float) -> dict[str, NDArray[np.int64]]:
    """True and false positives and negatives of each training: tp, fp, fn, tn, shape (trainings,)."""
    chosen, member = objects.scores > threshold, objects.member
    return {
        "tp": (chosen & member).sum(axis=1),
        "fp": (chosen & ~member).sum(axis=1),
        "fn": (~chosen & member).sum(axis=1),
        "tn": (~chosen & ~member).sum(axis=1),
    }


def measured(objects: Judged, *, threshold: float = 0.5) -> dict[str, NDArray[np.float64]]:
    """Each of `MEASURES` (Angora et al. 2020, equations A.1 to A.4) for each training.

    Parameters
    ----------
    objects : Judged
        One object or more.
    threshold : float
        A higher probability counts as a member.

    Returns
    -------
    dict of str to ndarray, shape (trainings,)
        NaN where undefined: the purity where nothing is selected, the completeness where nothing is there.
    """
    n, total = outcome_counts(objects, threshold), len(objects.member)
    members = int(objects.member.sum())
    kinds = {
        "member": ratios(n["tp"], n["fp"], np.array(members), np.array(total)),
        "non_member": ratios(n["tn"], n["fn"], np.array(total - members), np.array(total)),
    }
    values = {"efficiency": kinds["member"]["accuracy"]}
    for kind, found in kinds.items():
        values |= {f"{kind}_{name}": found[metric] for name, metric in CLASS_MEASURES.items()}
    return values


def quality(
    objects: Judged,
    *,
    threshold: float = 0.5,
    confidence: float = 0.95,
    resamples: int = 2000,
    rng: np.random.Generator | int = 0,
) -> dict[str, float]:
    """Each of `MEASURES` as the mean over trainings, with both kinds of uncertainty.

    Parameters
    ----------
    objects : Judged
        One object or more.
    threshold : float
        A higher probability counts as a member.
    confidence : float
        Of the intervals.
    resamples : int
        Of the bootstrap; 0: no intervals of F1.
    rng : Generator or int
        Draws the objects.

    Returns
    -------
    dict of str to float
        For each measure the mean over trainings, ``_std`` (n - 1) and ``_error`` (of the mean) over them, NaN
        for one training, and ``_low``, ``_high``: what other objects would give the same trainings, by
        Wilson from the mean numbers, for F1 by the stratified bootstrap.
    """
    n = {name: float(values.mean()) for name, values in outcome_counts(objects, threshold).items()}
    proportions = {
        "efficiency": (n["tp"] + n["tn"], sum(n.values())),
        "member_purity": (n["tp"], n["tp"] + n["fp"]),
        "member_completeness": (n["tp"], n["tp"] + n["fn"]),
        "non_member_purity": (n["tn"], n["tn"] + n["fn"]),
        "non_member_completeness": (n["tn"], n["tn"] + n["fp"]),
    }
    bounds = {
        name: wilson(round(k), round(trials), confidence=confidence)
        for name, (k, trials) in proportions.items()
    }
    draws = _f1_draws(objects, threshold, resamples, np.random.default_rng(rng))
    bounds |= {name: percentile_interval(found, confidence=confidence) for name, found in draws.items()}
    columns: dict[str, float] = {}
    for name, values in measured(objects, threshold=threshold).items():
        columns |= spread_columns(name, values, bounds[name])
    return columns


def measuring(
    *, threshold: float, confidence: float, resamples: int, rng: np.random.Generator | int
) -> Callable[[Judged], dict[str, float]]:
    """`quality` with the options of a whole table; the draws of its rows follow from one generator."""
    drawn = np.random.default_rng(rng)
    return partial(quality, threshold=threshold, confidence=confidence, resamples=resamples, rng=drawn)


def spread_columns(name: str, values: NDArray[np.float64], bounds: Interval) -> dict[str, float]:
    """Mean, ``_std``, ``_error`` of values, and the ``_low`` and ``_high`` given."""
    found = over_seeds(values)
    numbers = (found.mean, found.std, found.std / np.sqrt(found.n), bounds.low, bounds.high)
    return {f"{name}{ending}": float(number) for ending, number in zip(ENDINGS, numbers, strict=True)}


def measure_columns(name: str, found: Mapping[str, Any], *, into: str | None = None) -> dict[str, float]:
    """A measure out of those of `quality`, with its endings, maybe under another name."""
    return {f"{into or name}{ending}": float(found[f"{name}{ending}"]) for ending in ENDINGS}


def class_columns(found: Mapping[str, Any], kind: str) -> dict[str, float]:
    """Purity, completeness and F1 of "member" or "non_member", out of what `quality` gives."""
    columns: dict[str, float] = {}
    for name in CLASS_MEASURES:
        columns |= measure_columns(f"{kind}_{name}", found, into=name)
    return columns


def _f1_draws(
    objects: Judged, threshold: float, resamples: int, rng: np.random.Generator
) -> dict[str, NDArray[np.float64]]:
    """F1 of both classes, mean over trainings, for resampled objects."""
    chosen, member = objects.scores > threshold, objects.member
    draws: dict[str, list[NDArray]] = {"member_f1": [], "non_member_f1": []}
    block = max(1, BLOCK // max(1, len(member)))
    for start in range(0, resamples, block):
        weights = multiplicities((member, ~member), resamples=min(block, resamples - start), rng=rng)
        for name, truth, rows in (("member_f1", member, chosen), ("non_member_f1", ~member, ~chosen)):
            draws[name].append(np.mean([weighted_ratios(weights, truth, row)["f1"] for row in rows], axis=0))
    return {name: np.concatenate(parts) if parts else np.zeros(0) for name, parts in draws.items()}

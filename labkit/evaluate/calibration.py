"""Probabilities that are right as often as they say, by held-out objects whose truth is known.

Calibrations of any predictions and how well probabilities hold; soft labels of volunteers.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
from astropy.table import QTable, Table
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit, logsumexp, softmax, xlogy
from sklearn.isotonic import IsotonicRegression

from labkit.calibration import LEAST, METHODS, Calibration, bands_of, calibrated, models_of
from labkit.errors import InputError, need_choice
from labkit.evaluate.methods import platt_calibration
from labkit.evaluate.resampling import Resampling, draw_weights, percentile_interval
from labkit.evaluate.trainings import find_rows, known_objects
from labkit.predictions import Predictions
from labkit.runfolder import versions
from labkit.sample.splits import deal_folds
from labkit.tables import need_columns, text
from labkit.votes import soft_columns, vote_predictions

_LEAST_VOTES = 1e-4  # of probabilities; shares of votes are held within what none of n votes tells (Jeffreys)
_FLAT = 1e-3  # least slope of log-odds, where probabilities say nothing
_RIDGE = 1e-3  # of logistic fits, so that classes that never mix have one, too
_BLOCK = 4_000_000  # weights held in memory at a time


def fit_calibration(
    predictions: Predictions,
    *,
    rng: np.random.Generator,
    method: str | None = None,
    split: str | None = "test",
    on: Table | None = None,
    group_by: str | None = None,
    folds: int = 5,
    draws: int = 200,
) -> Calibration:
    """Fit what turns the mean probabilities of some models into frequencies, to objects they never learned.

    "temperature" raises the probabilities of all classes to one power, 1 / T (Guo et al. 2017,
    arXiv:1706.04599), and multiplies each by a number, so that their means are the shares of the classes
    (Alexandari et al. 2020, PMLR 119, 222; else no class mix could be estimated); "beta" has the log-odds
    a log p - b log(1 - p) + c with a and b not below 0 (Kull et al. 2017, PMLR 54, 623); "isotonic" is any
    rising line. The last two are of two classes.

    Parameters
    ----------
    predictions : Predictions
        Of one experiment, or of several whose mean is meant: held-out or out-of-fold.
    rng : Generator
        Deals the folds and draws the resamples.
    method : str, optional
        One of the three; by default that with the least cross-validated log loss.
    split : str or None
        Of the held-out objects; None takes all rows of known class.
    on, group_by : Table and str, optional
        Catalogue with ``object_id``, and the column whose values stay together in folds and resamples, such
        as the field.
    folds, draws : int
        Of the cross-validation; resamples whose parameters are kept for intervals.

    Returns
    -------
    Calibration
        To be applied to other objects, and saved. Probabilities within 1e-6 of 0 or 1 count as that far from
        them, and how many there were is kept. An isotonic line ends 1 / (n + 2) from 0 and 1. Resamples draw
        each class in its own number; with groups, those that miss a class are left out.

    Raises
    ------
    InputError
        If a class, or a part without one fold, has too few objects, a name is unknown, or the predictions
        are calibrated already.
    """
    if folds < 2 or draws < 1:
        raise InputError(f"folds must be at least 2 and draws at least 1, got {folds} and {draws}")
    if any("calibrated" in one for one in predictions.table.meta.get("made", [])):
        raise InputError("predictions must not be calibrated yet; give the original ones")
    held = known_objects(predictions, split)
    one = held.mean_of_runs()
    codes, classes, given = one.true_codes, one.classes, one.probabilities
    number = np.bincount(codes, minlength=len(classes))
    if number.min() < folds:
        counts = dict(zip(classes, number.tolist(), strict=True))
        raise InputError(
            f"predictions must hold {folds} objects of each class at least, one for each fold, got {counts}; "
            "add objects of known class, or use fewer folds"
        )
    possible = METHODS if len(classes) == 2 else METHODS[:1]
    need_choice("method", method, (None, *possible))
    group = _groups(one, on, group_by)
    p, fold = np.clip(given, LEAST, 1 - LEAST), deal_folds(codes, folds=folds, rng=rng, groups=group)
    losses = {"before": _log_loss(p, codes)}
    for name in possible if method is None else (method,):
        found = np.empty_like(p)
        for k in range(folds):
            train = fold != k
            if len(np.unique(codes[train])) < len(classes):
                raise InputError(
                    f"{group_by} must leave objects of each class outside every fold; use fewer folds"
                )
            found[~train] = calibrated(name, fit_parameters(name, p[train], codes[train])[0], p[~train])
        losses[name] = _log_loss(found, codes)
    best = min((name for name in losses if name != "before"), key=losses.__getitem__)
    resampled = [
        w for part in _weights(codes, group, draws, rng) for w in fit_parameters(best, p, codes, part)
    ]
    return Calibration(
        method=best, parameters=fit_parameters(best, p, codes)[0], draws=tuple(resampled),
        classes=classes, positive=one.positive, models=models_of(held), bands=bands_of(held),
        shares=dict(zip(classes, (number / number.sum()).tolist(), strict=True)), split=split or "",
        objects=len(codes), clipped=int(((given < LEAST) | (given > 1 - LEAST)).any(axis=1).sum()),
        log_loss=losses, labkit=versions()["labkit"],
    )  # fmt: skip


def _groups(one: Predictions, on: Table | None, group_by: str | None) -> NDArray[np.int64] | None:
    """Number of the group of each object."""
    if (on is None) != (group_by is None):
        raise InputError("on and group_by must be given together: a catalogue, and its column of groups")
    if on is None or group_by is None:
        return None
    need_columns(on, ["object_id", group_by], "on")
    rows = find_rows(text(on["object_id"]), text(one.table["object_id"]), name="on")
    return np.unique(text(on[group_by])[rows], return_inverse=True)[1]


def _log_loss(p: NDArray, codes: NDArray) -> float:
    return float(-np.log(p[np.arange(len(codes)), codes]).mean())


def _weights(
    codes: NDArray, group: NDArray | None, number: int, rng: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    """How much each object counts in each resample, (resample, n), in blocks; classes keep their shares."""
    strata = [codes == code for code in np.unique(codes)]
    block = max(1, _BLOCK // len(codes))
    for start in range(0, number, block):
        several = min(block, number - start)
        if group is None:
            yield draw_weights(strata, resamples=several, rng=rng)
            continue
        there = [np.ones(group.max() + 1, dtype=bool)]
        drawn = draw_weights(there, resamples=several, rng=rng)[:, group]
        total = np.stack([drawn[:, one].sum(axis=1) for one in strata])
        drawn = drawn[(total > 0).all(axis=0)]
        for one in strata:
            drawn[:, one] *= one.sum() / drawn[:, one].sum(axis=1, keepdims=True)
        yield drawn


def fit_parameters(
    method: str, p: NDArray, codes: NDArray, weights: NDArray | None = None
) -> list[tuple[float, ...]]:
    """Parameters of a method for each row of weights, (row, n); without any for equal ones."""
    weights = np.ones((1, len(codes))) if weights is None else weights
    if method == "beta":
        x = np.column_stack([np.log(p[:, 1]), -np.log(p[:, 0]), np.ones(len(p))])
        found = _logistic(x, codes, weights)
        for kept, lost in ((1, 0), (0, 1)):  # where one slope is negative, the line is that of the other
            if (wrong := found[:, lost] < 0).any():
                alone = _logistic(x[:, [kept, 2]], codes, weights[wrong])
                found[wrong, lost], found[wrong, kept], found[wrong, 2] = (
                    0,
                    np.maximum(alone[:, 0], 0),
                    alone[:, 1],
                )
        return [tuple(row) for row in found.tolist()]
    if method == "isotonic":
        end = 1 / (len(p) + 2)
        lines = [
            IsotonicRegression(y_min=end, y_max=1 - end).fit(p[:, 1], codes, sample_weight=w) for w in weights
        ]
        return [(*one.X_thresholds_.tolist(), *one.y_thresholds_.tolist()) for one in lines]

    if p.shape[1] == 2:
        x = np.column_stack([logit(p[:, 1]), np.ones(len(p))])
        return [(1 / max(slope, _FLAT), shift) for slope, shift in _logistic(x, codes, weights).tolist()]
    logs, there, start = np.log(p), np.eye(p.shape[1])[codes], np.eye(p.shape[1])[0]

    def loss(values: NDArray, w: NDArray) -> tuple[float, NDArray]:
        """Log loss, and its derivatives, with 1 / T and the offsets."""
        power = values[0] * logs + np.array([0.0, *values[1:]])
        away = w[:, None] * (softmax(power, axis=1) - there)
        found = w @ (logsumexp(power, axis=1) - power[np.arange(len(codes)), codes])
        return float(found) / w.sum(), np.array([(away * logs).sum(), *away[:, 1:].sum(axis=0)]) / w.sum()

    bounds = [(_FLAT, None), *[(None, None)] * (p.shape[1] - 1)]
    fits = [minimize(loss, start, args=(w,), jac=True, bounds=bounds).x for w in weights]
    return [(1 / float(x[0]), *x[1:].tolist()) for x in fits]


def _logistic(x: NDArray, y: NDArray, weights: NDArray) -> NDArray[np.float64]:
    """Coefficients of a logistic regression for each row of weights, (row, feature), by Newton's method.

    All resamples at once: scikit-learn's, one after the other, takes some hundred times as long.
    """
    d = x.shape[1]
    found, pairs = np.zeros((len(weights), d)), (x[:, :, None] * x[:, None]).reshape(len(x), -1)
    for _ in range(100):
        p = expit(found @ x.T)
        uphill = ((y - p) * weights) @ x - _RIDGE * found
        curved = ((weights * p * (1 - p)) @ pairs).reshape(-1, d, d) + _RIDGE * np.eye(d)
        step = np.clip(np.linalg.solve(curved, uphill[..., None])[..., 0], -2, 2)
        found += step
        if np.abs(step).max() < 1e-8:
            break
    return found


def reliability_measures(
    predictions: Mapping[str, Predictions],
    *,
    split: str | None = "test",
    resampling: Resampling | None = None,
) -> QTable:
    """How well probabilities of the positive class hold, of the mean over the runs of each set.

    Parameters
    ----------
    predictions : mapping of str to Predictions
        With a positive class.
    split : str or None
        As for `labkit.evaluate.measure`.
    resampling : Resampling, optional
        Of the intervals, for other objects, drawn class by class.

    Returns
    -------
    `~astropy.table.QTable`
        One row for each set: ``experiment`` (the key), ``objects``, ``positives``; ``slope`` of the log-odds
        of the truth against those of the probability (Cox 1958, Biometrika 45, 562: 1 where calibrated,
        lower where too sure), ``intercept``, ``brier`` and ``log_loss`` (nats) with ``_low`` and ``_high``;
        and of the two losses ``_calibration``, what the best rising line through the same objects would save,
        and ``_refinement``, what would remain (Dimitriadis et al. 2021, PNAS 118, e2016191118).

    Raises
    ------
    InputError
        If no object of known class is there, all are of one class, or there is no positive class.
    """
    resampling = resampling or Resampling()
    rng, rows = np.random.default_rng(resampling.rng), []
    for name, several in predictions.items():
        one = known_objects(several, split).mean_of_runs()
        there, p = one.is_positive, np.clip(one.score, LEAST, 1 - LEAST)
        if there.all() or not there.any():
            raise InputError(f"predictions must hold objects of two classes, got one in {name!r}")
        x = np.column_stack([logit(p), np.ones(len(p))])
        best = IsotonicRegression().fit(p, there).predict(p)
        losses = {"brier": (p - there) ** 2, "log_loss": -np.log(np.where(there, p, 1 - p))}
        least = {"brier": (best - there) ** 2, "log_loss": -xlogy(there, best) - xlogy(~there, 1 - best)}
        values = dict(zip(("slope", "intercept"), _logistic(x, there, np.ones((1, len(p))))[0], strict=True))
        values |= {key: loss.mean() for key, loss in losses.items()}
        parts = []
        for weights in _weights(there.astype(int), None, resampling.number, rng):
            means = [weights @ loss / len(p) for loss in losses.values()]
            parts.append(np.column_stack([_logistic(x, there, weights), *means]))
        drawn = np.concatenate(parts).T if parts else np.empty((len(values), 0))
        row: dict[str, Any] = {"experiment": name, "objects": len(p), "positives": int(there.sum())}
        for (key, value), some in zip(values.items(), drawn, strict=True):
            bounds = percentile_interval(some, confidence=resampling.confidence)
            row |= {key: float(value), f"{key}_low": bounds.low, f"{key}_high": bounds.high}
        for key, loss in least.items():
            row |= {f"{key}_calibration": row[key] - loss.mean(), f"{key}_refinement": loss.mean()}
        rows.append(row)
    return QTable(rows=rows)


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
    least = (0.5 / (np.asarray(votes["n_votes"]) + 1) if shares else np.full(len(votes), _LEAST_VOTES))[
        :, None
    ]
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

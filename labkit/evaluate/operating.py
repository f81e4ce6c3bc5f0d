"""Where to cut a ranked list: the class mix of new objects, and the threshold that a purity needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.table import QTable, Table
from numpy.typing import ArrayLike, NDArray

from labkit.calibration import Calibration, calibrated
from labkit.errors import InputError
from labkit.evaluate.resampling import Interval, percentile_interval
from labkit.evaluate.trainings import candidates, find_rows
from labkit.predictions import Predictions
from labkit.tables import text

_ITERATIONS, _STILL = 1000, 1e-7  # of expectation-maximisation: at most so many, until shares move no more
#: Columns of an operating point, each with ``_low`` and ``_high``.
POINT = ("threshold", "selected", "contaminants", "lost", "purity", "completeness", "prevalence")


def shift_shares(p: ArrayLike, shares: ArrayLike, new: ArrayLike) -> NDArray[np.float64]:
    """Probabilities (n, class) that assume `shares` of the classes as they would be with `new` ones."""
    odds = np.asarray(p) * (np.asarray(new) / np.asarray(shares))
    return odds / odds.sum(axis=1, keepdims=True)


def fitted_shares(p: ArrayLike, shares: ArrayLike) -> NDArray[np.float64]:
    """Shares of the classes among objects whose calibrated probabilities (n, class) assume `shares`.

    The most likely ones, by expectation-maximisation, where only the mix differs from the calibration's and
    objects of a class look alike (Saerens, Latinne & Decaestecker 2002, Neural Computation 14, 21), with
    every second step a leap along the last two (SQUAREM; Varadhan & Roland 2008, Scand. J. Stat. 35, 335).
    """
    ratio = np.asarray(p) / np.asarray(shares)

    def step(old: NDArray) -> NDArray[np.float64]:
        return old * (ratio / (ratio @ old)[:, None]).mean(axis=0)

    new = np.asarray(shares, dtype=np.float64)
    for _ in range(_ITERATIONS):
        first = step(new)
        second = step(first)
        move, bend = first - new, second - 2 * first + new
        if np.abs(move).max() < _STILL:
            break
        far = max(1.0, float(np.linalg.norm(move)) / max(float(np.linalg.norm(bend)), 1e-300))
        leap = new + 2 * far * move + far**2 * bend
        new = step(leap if leap.min() > 0 else second)
    return new


@dataclass(frozen=True)
class _Target:
    """Objects to judge, and their probabilities by the calibration and by each of its draws."""

    one: Predictions  # each object once, not calibrated
    calibration: Calibration
    shares: NDArray[np.float64]

    @classmethod
    def of(cls, predictions: Predictions, calibration: Calibration) -> _Target:
        if not len(predictions):
            raise InputError("predictions must hold one object at least, got none")
        calibration.check(predictions)
        shares = np.array([calibration.shares[name] for name in calibration.classes])
        return cls(predictions.mean_of_runs(), calibration, shares)

    def by(self, parameters: tuple[float, ...]) -> NDArray[np.float64]:
        """Calibrated probabilities, (n, class)."""
        return calibrated(self.calibration.method, parameters, self.one.probabilities)

    def mix(self, p: NDArray, prevalence: float | str | None) -> NDArray[np.float64]:
        """Shares of the classes: estimated, given for the positive class, or the calibration's."""
        if prevalence is None:
            return self.shares
        if isinstance(prevalence, str):
            return fitted_shares(p, self.shares)
        positive = self.positive
        others = np.where(np.arange(len(self.shares)) == positive, 0, self.shares)
        new = (1 - prevalence) * others / others.sum()
        new[positive] = prevalence
        return new

    @property
    def positive(self) -> int:
        """Column of the positive class."""
        if self.calibration.positive is None:
            raise InputError(f"calibration must have a positive class, one of {self.calibration.classes}")
        return self.calibration.classes.index(self.calibration.positive)

    def draws(
        self, prevalence: float | str | None, number: int, rng: np.random.Generator
    ) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Probabilities (n, class) and class mix by each draw of the calibration; see `operating_point`."""
        found = []
        for row in range(number):
            p = self.by(self.calibration.draws[row % len(self.calibration.draws)])
            resampled = p[rng.integers(len(p), size=len(p))] if isinstance(prevalence, str) else p
            mix = self.mix(resampled, prevalence)
            found.append((shift_shares(p, self.shares, mix), mix))
        return found


def estimate_prevalence(
    predictions: Predictions,
    calibration: Calibration,
    *,
    rng: np.random.Generator,
    draws: int = 200,
    confidence: float = 0.95,
) -> QTable:
    """Share of each class among objects of unknown class, from their own calibrated probabilities.

    It is right where the objects of each class are like those of the calibration and only their mix is
    another; `labkit.evaluate.domain_shift` tests that.

    Parameters
    ----------
    predictions : Predictions
        Of the objects, by the calibrated models, not calibrated yet; true classes are not looked at.
    calibration : Calibration
        From `fit_calibration`.
    rng : Generator
        Draws the objects.
    draws : int
        Resamples, each by one draw of the calibration, whose own error is so in the intervals.
    confidence : float
        Of the intervals.

    Returns
    -------
    `~astropy.table.QTable`
        One row for each class: ``class``, ``calibration`` (share among the held-out objects), ``share`` with
        ``share_low`` and ``share_high``.

    Raises
    ------
    InputError
        If there is no object, or they are of other models.
    """
    target = _Target.of(predictions, calibration)
    share = target.mix(target.by(calibration.parameters), "estimate")
    drawn = np.array([mix for _, mix in target.draws("estimate", draws, rng)])
    bounds = [percentile_interval(column, confidence=confidence) for column in drawn.T]
    return QTable(
        {
            "class": list(calibration.classes),
            "calibration": target.shares,
            "share": share,
            "share_low": [one.low for one in bounds],
            "share_high": [one.high for one in bounds],
        }
    )


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold on calibrated probabilities, and what lies above it, from `operating_point`.

    Parameters
    ----------
    goal : str
        What it was chosen for, such as "purity 0.95".
    positive : str
        The class that is selected.
    objects : `~astropy.table.QTable`
        ``object_id`` and ``p``, the calibrated probability of the positive class at the class mix assumed.
    values, bounds : dict
        Of `POINT`: the expected number or share, and its interval.
    assumed : str
        Where the prevalence comes from.
    calibration : str
        How the probabilities were calibrated.
    """

    goal: str
    positive: str
    objects: QTable
    values: dict[str, float]
    bounds: dict[str, Interval[float]]
    assumed: str
    calibration: str

    @property
    def facts(self) -> dict[str, Any]:
        """All but the objects, as plain values: what the metadata of a ranked catalogue keeps."""
        ends = {f"{name}_{end}": getattr(self.bounds[name], end) for name in POINT for end in ("low", "high")}
        named = {"goal": self.goal, "calibration": self.calibration, "prevalence_from": self.assumed}
        return named | self.values | ends

    @property
    def curve(self) -> QTable:
        """Expected purity and completeness at every threshold; columns as of `purity_curve`."""
        p = np.sort(np.asarray(self.objects["p"]))[::-1]
        number, true = np.arange(1, len(p) + 1), np.cumsum(p)
        shares = {"purity": true / number, "completeness": true / true[-1]}
        return QTable({"threshold": p} | shares | {"selected": number})

    def __str__(self) -> str:
        """What it promises, in two sentences."""
        say, v = self._say, self.values
        if not v["selected"]:
            best = f"the best has p = {np.max(self.objects['p']):.2f}"
            return f"{self.goal}: none of {len(self.objects)} objects can be selected, {best}"
        return (
            f"{self.goal}: {v['selected']:.0f} of {len(self.objects)} objects, calibrated p from "
            f"{say('threshold', '.3f')}; expected among them {say('contaminants', '.1f')} contaminants, "
            f"below {say('lost', '.1f')} lost, purity {say('purity', '.3f')}, completeness "
            f"{say('completeness', '.3f')}. Prevalence {say('prevalence', '.3f')}, {self.assumed}"
        )

    def _say(self, name: str, form: str) -> str:
        low, high = self.bounds[name]
        return f"{self.values[name]:{form}} ({low:{form}} to {high:{form}})"


def operating_point(
    predictions: Predictions,
    calibration: Calibration,
    *,
    rng: np.random.Generator,
    purity: float | None = None,
    completeness: float | None = None,
    cost: tuple[float, float] | None = None,
    prevalence: float | str | None = "estimate",
    catalogue: Table | None = None,
    draws: int = 500,
    confidence: float = 0.95,
) -> OperatingPoint:
    """Where to cut the list of objects of unknown class, so that the selection is as pure as wanted.

    With calibrated probabilities p, a selection has sum(1 - p) contaminants on average, and sum(p) objects
    of the positive class are lost below. Of each resample the calibration is another draw, the prevalence is
    estimated anew, and each object is of the positive class with its probability, so that intervals hold the
    errors of all three. A purity is reached where the errors of the calibration happen to favour it, so that
    there are more contaminants than expected on average: in simulated lists at a purity of 0.9 by a quarter
    with 1,000 held-out objects, by a tenth with 10,000; the intervals hold what they promise.

    Parameters
    ----------
    predictions, calibration, rng, draws, confidence
        As for `estimate_prevalence`; with a positive class.
    purity, completeness, cost : float, float, pair of float
        One of them: the largest selection that is expected to be as pure, the smallest that is expected to be
        as complete, or that of least cost, of a false positive and a false negative.
    prevalence : float, "estimate" or None
        Share of the positive class among these objects: given (others keep their proportions), by
        `estimate_prevalence`, or that among the calibration's objects.
    catalogue : Table, optional
        Where it has the bool column ``candidate``, others are no objects of the list (see `rank`).

    Returns
    -------
    OperatingPoint
        Nothing is selected where no object is good enough.

    Raises
    ------
    InputError
        If not one goal is given, a value is out of range, there is no object, or they are of other models.
    """
    goal, choose = _goal(purity, completeness, cost)
    if isinstance(prevalence, str) and prevalence != "estimate":
        raise InputError(f"prevalence must be a share, 'estimate' or None, got {prevalence!r}")
    if isinstance(prevalence, float | int) and not 0 < prevalence < 1:
        raise InputError(f"prevalence must lie between 0 and 1, got {prevalence}")
    if catalogue is not None:
        ids = text(predictions.table["object_id"])
        rows = find_rows(text(catalogue["object_id"]), ids, name="catalogue")
        predictions = predictions.select(candidates(catalogue)[rows])
    target = _Target.of(predictions, calibration)
    positive, raw = target.positive, target.by(calibration.parameters)
    mix = target.mix(raw, prevalence)
    p = shift_shares(raw, target.shares, mix)[:, positive]
    order = np.argsort(-p, kind="stable")
    ends = np.flatnonzero(np.diff(p[order], append=-1)) + 1  # numbers that a threshold can select
    number = choose(p[order], ends)
    edges = np.append(1.0, p[order])  # the threshold that selects 0, 1, 2 ...
    found = dict.fromkeys(POINT, 0.0) | _expected(p[order], number)
    found |= {"threshold": edges[number], "selected": number, "prevalence": mix[positive]}
    rows_: dict[str, list[float]] = {name: [] for name in POINT}
    for drawn, mixed in target.draws(prevalence, draws, rng):
        one = drawn[order, positive]
        true = (rng.random(len(one)) < one).astype(float)
        several = choose(one, ends)
        values = _expected(true, number) | {"selected": several, "threshold": edges[several]}
        for name, value in (values | {"prevalence": mixed[positive]}).items():
            rows_[name].append(value)
    bounds = {name: percentile_interval(rows_[name], confidence=confidence) for name in POINT}
    assumed = {str: "estimated from these objects", type(None): "that of the calibration's objects"}
    return OperatingPoint(
        goal=goal, positive=str(calibration.positive),
        objects=QTable({"object_id": target.one.table["object_id"], "p": p}),
        values={name: float(value) for name, value in found.items()}, bounds=bounds,
        assumed=assumed.get(type(prevalence), "as given"), calibration=str(calibration),
    )  # fmt: skip


def _expected(p: NDArray, number: int) -> dict[str, float]:
    """What is expected of the first so many objects, or is, where `p` is 0 or 1."""
    true, lost = float(p[:number].sum()), float(p[number:].sum())
    nan = float("nan")
    return {
        "contaminants": number - true,
        "lost": lost,
        "purity": true / number if number else nan,
        "completeness": true / (true + lost) if true + lost else nan,
    }


def _goal(
    purity: float | None, completeness: float | None, cost: tuple[float, float] | None
) -> tuple[str, Callable[[NDArray, NDArray], int]]:
    """The goal in words, and what gives the number of objects to select, one of those given."""
    given = {"purity": purity, "completeness": completeness, "cost": cost}
    if sum(value is not None for value in given.values()) != 1:
        raise InputError(f"one of purity, completeness and cost must be given, got {given}")
    for name, share in {"purity": purity, "completeness": completeness}.items():
        if share is not None and not 0 < share < 1:
            raise InputError(f"{name} must lie between 0 and 1, got {share}")
    if cost is not None:
        false_positive, false_negative = cost
        if min(cost) <= 0:
            raise InputError(f"cost must be two numbers above 0, got {cost}")

        def cheapest(p: NDArray, ends: NDArray) -> int:
            worth = np.cumsum(false_negative * p - false_positive * (1 - p))[ends - 1]
            return int(ends[worth.argmax()]) if worth.max() > 0 else 0

        return f"cost {false_positive:g}:{false_negative:g}", cheapest
    if purity is not None:

        def pure(p: NDArray, ends: NDArray) -> int:
            good = np.cumsum(p)[ends - 1] / ends >= purity
            return int(ends[good][-1]) if good.any() else 0

        return f"purity {purity:g}", pure

    def complete(p: NDArray, ends: NDArray) -> int:
        total = np.cumsum(p)
        return int(ends[np.argmax(total[ends - 1] >= completeness * total[-1])])

    return f"completeness {completeness:g}", complete

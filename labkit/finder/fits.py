"""Maximum-likelihood fits of points and beta-models to a stamp of an EPIC image, and what they say it is.

The steps are ours: `scipy.optimize.least_squares` wants deviance residuals, which negative counts (where
out-of-time events were subtracted) do not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaincc, gammaln

from labkit.instruments import Templates


def cash(counts: ArrayLike, model: ArrayLike) -> float:
    """Cash's statistic C = 2 sum(m - n ln m), up to a constant of the data (Cash 1979, equation 6).

    Negative and fractional counts, which the subtraction of out-of-time events leaves, are taken as they are:
    C is linear in n, so that its minimum stays where the expected counts are, while clipping them at zero
    would raise the background.
    """
    expected = np.asarray(model, dtype=float)
    return float(2 * np.sum(expected - np.asarray(counts) * np.log(expected)))


def chance_likelihood(difference: ArrayLike, parameters: int) -> NDArray[np.float64]:
    """Likelihood L = -ln P that a drop of Cash's statistic is not by chance.

    By chance, a fit with p more free parameters lowers C by an amount that follows chi2 with p degrees of
    freedom (Cash 1979), so that P = Q(p / 2, difference / 2) with the incomplete gamma function Q. The
    likelihoods of XAmin (Pacaud et al. 2006) and of the SAS task emldetect have this form.
    """
    half, order = np.maximum(np.asarray(difference, dtype=float) / 2, 0), parameters / 2
    # Q underflows where half is above 700; three terms of its asymptotic series do from 100 on.
    large = np.maximum(half, 100.0)
    series = 1 + (order - 1) / large * (1 + (order - 2) / large)
    tail = large - (order - 1) * np.log(large) + gammaln(order) - np.log(series)
    return np.where(half > 100, tail, -np.log(gammaincc(order, np.minimum(half, 100.0)))) + 0.0


#: Bounds of the level of the background and of an extent (arcsec), and how far a source may move (arcsec).
LEVELS, EXTENTS, REACH = (0.5, 2.0), (0.3, 200.0), 20.0
#: Steps at most, and those with the expected curvature; drop of Cash's statistic, in a step damped no more
#: than this, at which a fit has converged.
STEPS, PATIENCE, TOLERANCE, AT_REST = 200, 60, 2e-3, 1.0
_AT_BOUND, _SINGULAR = 1e-3, 1e10  # distance from a bound (of level, counts, pixel, ln extent); condition


@dataclass(frozen=True)
class Source:
    """One component of a model."""

    x: float  # as y in pixels, 0 in the middle of the first
    y: float
    rate: float  # counts per unit of the exposure map
    extent: float = 0.0  # core radius of its beta-model, arcsec; 0 for a point


@dataclass(frozen=True)
class Stamp:
    """What a fit sees: pixels, and what is known of them."""

    # All (y, x): the background's level is fitted, other sources' counts are kept. Pixels without exposure do
    # not count.
    counts: NDArray[np.float64]
    exposure: NDArray[np.float64]
    background: NDArray[np.float64]
    neighbours: NDArray[np.float64]
    templates: Templates  # sources as seen at this place, of the shape of the stamp

    def expected(self, sources: Sequence[Source], level: float = 1.0) -> NDArray[np.float64]:
        """Expected counts of all that is in the stamp, shape (y, x)."""
        shares = [s.rate * self.templates.image(s.x, s.y, s.extent) for s in sources]
        return level * self.background + self.neighbours + self.exposure * np.sum(shares, axis=0)


@dataclass(frozen=True)
class Fit:
    """Outcome of a fit."""

    sources: tuple[Source, ...]  # the fitted components, in the order of the start
    level: float  # level of the background relative to the map
    statistic: float  # Cash's statistic of the exposed pixels
    converged: bool  # whether the statistic came to rest within the allowed steps
    #: Standard deviations of each component from the curvature of the likelihood (Cramer and Rao's bound), in
    #: the units of `Source`, and that of all rates in sum; NaN for what ended at a bound.
    errors: tuple[Source, ...] = ()
    rate_error: float = np.nan
    at_bound: tuple[str, ...] = ()  # what ended there, as "largest extent"

    @property
    def parameters(self) -> int:
        """Free parameters besides the level of the background."""
        return sum(3 + (source.extent > 0) for source in self.sources)


class _Problem:
    """Parameters as one vector: level, then for each source counts, x, y and, if extended, ln extent."""

    def __init__(self, stamp: Stamp, start: Sequence[Source]) -> None:
        self.stamp, self.seen = stamp, stamp.exposure > 0
        self.unit = float(stamp.exposure.max())
        self.counts = stamp.counts[self.seen]
        self.extended = [source.extent > 0 for source in start]
        self.names = ["level"]
        reach = REACH / stamp.templates.pixel_arcsec
        rows = [(1.0, *LEVELS)]  # first, lowest and highest value of each parameter
        for s in start:
            rows += [(max(s.rate, 0.0) * self.unit, 0.0, np.inf)]
            rows += [(place, place - reach, place + reach) for place in (s.x, s.y)]
            rows += [tuple(np.log([s.extent, *EXTENTS]))] if s.extent > 0 else []
            self.names += ["counts", "position", "position", *(["extent"] if s.extent > 0 else [])]
        first, self.low, self.high = np.array(rows).T
        self.first = np.clip(first, self.low, self.high)

    def sources(self, vector: NDArray[np.float64]) -> tuple[Source, ...]:
        found, place = [], 1
        for extended in self.extended:
            counts, x, y = vector[place : place + 3].tolist()
            extent = float(np.exp(vector[place + 3])) if extended else 0.0
            found.append(Source(x, y, counts / self.unit, extent))
            place += 3 + extended
        return tuple(found)

    def errors(self, vector: NDArray, curvature: NDArray) -> dict[str, Any]:
        """Standard deviations at the optimum, and what lies at a bound, as the fields of a `Fit`."""
        low, high = vector - self.low < _AT_BOUND, self.high - vector < _AT_BOUND
        free = np.flatnonzero(~(low | high))
        covariance = np.full_like(curvature, np.nan)
        covariance[np.ix_(free, free)] = _inverse(curvature[np.ix_(free, free)])
        sigma, place, found = np.sqrt(np.diag(covariance)), 1, []
        for source in self.sources(vector):
            extent = source.extent * sigma[place + 3] if source.extent else 0.0
            counts, x, y = sigma[place : place + 3].tolist()
            found.append(Source(x, y, counts / self.unit, float(extent)))
            place += 3 + (source.extent > 0)
        rates = [number for number in free if self.names[number] == "counts"]
        total = np.sqrt(covariance[np.ix_(rates, rates)].sum()) / self.unit if rates else np.nan
        words = zip(self.names, low.tolist(), high.tolist(), strict=True)
        bounds = [
            f"{'least' if at_low else 'largest'} {name}"
            for name, at_low, at_high in words
            if at_low or at_high
        ]
        bounds = ["position" if "position" in word else word for word in bounds]
        return {"errors": tuple(found), "rate_error": float(total), "at_bound": tuple(dict.fromkeys(bounds))}

    def model(self, vector: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Expected counts of the exposed pixels, and their derivatives by the parameters."""
        stamp, share = self.stamp, self.stamp.exposure[self.seen] / self.unit
        rows = [stamp.background[self.seen]]
        expected = vector[0] * rows[0] + stamp.neighbours[self.seen]
        for source in self.sources(vector):
            counts = source.rate * self.unit
            images = stamp.templates.derivatives(source.x, source.y, source.extent)[:, self.seen] * share
            expected = expected + counts * images[0]
            rows += [images[0], *(counts * images[1:])]
        return np.maximum(expected, 1e-9), np.array(rows)


def fit_sources(stamp: Stamp, start: Sequence[Source]) -> Fit:
    """Fit sources to a stamp, with the level of its background, by the method of scoring.

    Each step solves F s = -g with the gradient g of Cash's statistic and its expected curvature F, the sum of
    dm dm / m over the pixels, damped after Levenberg and Marquardt and kept within the bounds. Where the
    model is far below the counts, as a point on a bright cluster is, that creeps; then n / m^2 replaces
    1 / m.
    """
    problem = _Problem(stamp, start)
    vector, damping = problem.first, 1e-3
    expected, rows = problem.model(vector)
    best, converged = cash(problem.counts, expected), False
    for step in range(STEPS):
        gradient = rows @ (1 - problem.counts / expected)
        seen = expected if step < PATIENCE else np.maximum(problem.counts, 0)
        curvature = (rows * (seen / expected**2)) @ rows.T
        trial = _step(problem, vector, gradient, curvature, damping)
        trial_expected, trial_rows = problem.model(trial)
        statistic = cash(problem.counts, trial_expected)
        drop = best - statistic
        if np.isfinite(statistic) and drop >= 0:
            vector, expected, rows, best = trial, trial_expected, trial_rows, statistic
            converged = drop < TOLERANCE and damping <= AT_REST
            damping = max(damping / 8, 1e-7)
        else:
            damping *= 6
            converged = damping > 1e9  # no step along the gradient lowers it any more
        if converged:
            break
    at_rest = converged and bool(np.isfinite(best))
    errors = problem.errors(vector, (rows / expected) @ rows.T)
    return Fit(problem.sources(vector), float(vector[0]), best, at_rest, **errors)


def _inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of a curvature; NaN where it has none."""
    scale = np.sqrt(np.outer(np.diag(matrix), np.diag(matrix)))
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = matrix / scale
    if not (matrix.size and np.isfinite(scaled).all() and np.linalg.cond(scaled) < _SINGULAR):
        return np.full_like(matrix, np.nan)
    return np.linalg.inv(scaled) / scale


def _step(
    problem: _Problem,
    vector: NDArray[np.float64],
    gradient: NDArray[np.float64],
    curvature: NDArray[np.float64],
    damping: float,
) -> NDArray[np.float64]:
    """The next vector; parameters that press against their bounds stay there."""
    pressed = ((vector <= problem.low) & (gradient > 0)) | ((vector >= problem.high) & (gradient < 0))
    free = np.flatnonzero(~pressed)
    matrix = curvature[np.ix_(free, free)]
    matrix = matrix + damping * np.diag(np.diag(matrix)) + 1e-9 * np.eye(len(free))
    step = np.zeros_like(vector)
    step[free] = -np.linalg.solve(matrix, gradient[free])
    return np.clip(vector + step, problem.low, problem.high)


#: Largest extent (arcsec) that two points are tried for, and least extension likelihood that a halo is.
PAIR, BARELY_EXTENDED = 20.0, 3.0
#: Radii in arcsec within which counts tell the rate of a source, and the axis of a pair.
NEAR, PAIR_REACH = 20.0, 25.0


@dataclass(frozen=True)
class Selection:
    """Thresholds of the finder; extent, extension and detection likelihood are by default those of C1."""

    extent: float = 5.0  # arcsec; extents above it are those of extended sources
    extension_likelihood: float = 33.0  # that a C1 candidate exceeds, and the next (Pacaud et al. 2006)
    detection_likelihood: float = 32.0
    extended: float = 15.0  # extension likelihood that an extended source exceeds: that of the C2 sample
    listed: float = 11.5  # detection likelihood that a source exceeds to be listed: a chance of 1e-5
    second: float = 12.0  # likelihood that a second component, a point beside or on the first, exceeds
    share: float = 0.1  # least share of the counts of each of two components
    contrast: float = 0.5  # least peak of a point over the brightness of the extended source that it lies on


@dataclass(frozen=True)
class Models:
    """Fits of one candidate."""

    empty: Fit  # the background alone; then with a point, and with a beta-model
    point: Fit
    extended: Fit
    double: Fit | None = None  # two points; None where it was not tried, as `mixed`, a beta-model and a point
    mixed: Fit | None = None

    @property
    def detection_likelihood(self) -> float:
        """Background alone against the better of point and beta-model."""
        return max(self.point_likelihood, gain(self.empty, self.extended))

    @property
    def point_likelihood(self) -> float:
        """Background alone against a point."""
        return gain(self.empty, self.point)

    @property
    def extension_likelihood(self) -> float:
        """Point against beta-model."""
        return gain(self.point, self.extended)

    @property
    def double_likelihood(self) -> float:
        """Point against two points; NaN where not tried."""
        return gain(self.point, self.double) if self.double else np.nan

    @property
    def mixed_likelihood(self) -> float:
        """Beta-model against a beta-model with a point; NaN where not tried."""
        return gain(self.extended, self.mixed) if self.mixed else np.nan

    @property
    def converged(self) -> bool:
        """Whether the fits came to rest on which detection and extension likelihood rest."""
        return self.empty.converged and self.point.converged and self.extended.converged

    def shifted(self, dx: float, dy: float) -> Models:
        """The same fits with positions counted from another pixel."""
        single = (_shifted(fit, dx, dy) for fit in (self.empty, self.point, self.extended))
        return Models(*single, *(fit and _shifted(fit, dx, dy) for fit in (self.double, self.mixed)))

    def verdict(self, selection: Selection) -> tuple[str, Fit]:
        """Choose "point", "extended", "double" or "point + extended", and the fit that describes it.

        Between models with one more component, and between two points and what is extended, decides
        Akaike's criterion C + 2 p, for they are not nested.
        """
        single = self.extended.sources[0].extent > selection.extent
        single &= self.extension_likelihood > selection.extended
        kind, best = ("extended", self.extended) if single else ("point", self.point)
        if self.mixed and _both(self.mixed, selection.share):
            joint = self.mixed.sources[0].extent > selection.extent
            joint &= gain(self.point, self.mixed) > selection.extended
            if joint and self.mixed_likelihood > selection.second:
                kind, best = "point + extended", self.mixed
        double = self.double if self.double_likelihood > selection.second else None
        if double and _both(double, selection.share) and _akaike(double) < _akaike(best):
            kind, best = "double", double
        return kind, best


def fit_models(stamp: Stamp, start: Source, *, components: bool = True) -> Models:
    """Fit all models to a stamp.

    Two points are tried where the extent is that of a close pair, a point on a beta-model where a beta-model
    is better than a point. Models of two components that do not converge count as not tried.
    """
    start = start if start.rate > 0 else replace(start, rate=_rough_rate(stamp, start))
    empty = fit_sources(stamp, [])
    point = fit_sources(stamp, [replace(start, extent=0.0)])
    at = point.sources[0]
    near = fit_sources(stamp, [replace(at, extent=start.extent or 8.0)])
    wide = fit_sources(stamp, [replace(start, extent=max(start.extent, 20.0))])
    models = Models(empty, point, min(near, wide, key=lambda fit: fit.statistic))
    if components and models.extended.sources[0].extent < PAIR:
        models = replace(models, double=_if_converged(stamp, _two_points(stamp, at)))
    if components and models.extension_likelihood > BARELY_EXTENDED:
        models = replace(models, mixed=_if_converged(stamp, _point_and_halo(at, models.extended.sources[0])))
    return models


def _if_converged(stamp: Stamp, start: list[Source]) -> Fit | None:
    fit = fit_sources(stamp, start)
    return fit if fit.converged else None


def _point_and_halo(point: Source, halo: Source) -> list[Source]:
    wider = replace(halo, rate=0.7 * halo.rate, extent=1.5 * halo.extent + 3)
    return [wider, replace(point, rate=0.3 * point.rate)]


def _shifted(fit: Fit, dx: float, dy: float) -> Fit:
    return replace(fit, sources=tuple(replace(s, x=s.x + dx, y=s.y + dy) for s in fit.sources))


def gain(simple: Fit, rich: Fit) -> float:
    """Likelihood that the richer of two fits of the same pixels is better not by chance."""
    difference, more = simple.statistic - rich.statistic, rich.parameters - simple.parameters
    return float(chance_likelihood(difference, more))


def _akaike(fit: Fit) -> float:
    return fit.statistic + 2 * fit.parameters


def _both(fit: Fit, share: float) -> bool:
    """Whether each of two components has its share of the counts."""
    rates = [source.rate for source in fit.sources]
    return min(rates) > share * sum(rates)


def _excess(stamp: Stamp, place: Source, radius: float) -> tuple[NDArray[np.bool_], NDArray, NDArray]:
    """Exposed pixels near a place; counts above the background there, and offsets (x, y) from the place."""
    y, x = np.indices(stamp.counts.shape) - np.array([place.y, place.x])[:, None, None]
    near = (np.hypot(x, y) * stamp.templates.pixel_arcsec < radius) & (stamp.exposure > 0)
    excess = stamp.counts - stamp.background - stamp.neighbours
    return near, excess[near], np.array([x[near], y[near]])


def _rough_rate(stamp: Stamp, place: Source) -> float:
    """Counts above the background over the mean exposure, nearby."""
    near, excess, _ = _excess(stamp, place, NEAR)
    if not near.any():
        return 1 / float(stamp.exposure.max())
    return max(float(excess.sum()), 1.0) / float(stamp.exposure[near].mean())


def _two_points(stamp: Stamp, point: Source) -> list[Source]:
    """Two points in place of one, along the longest axis of the counts around it."""
    _, excess, offset = _excess(stamp, point, PAIR_REACH)
    values, axes = np.linalg.eigh((excess * offset) @ offset.T / max(float(excess.sum()), 1.0))
    dx, dy = 0.8 * np.sqrt(np.maximum(values[1], 1.0)) * axes[:, 1]
    return [Source(point.x + s * dx, point.y + s * dy, point.rate / 2) for s in (1, -1)]

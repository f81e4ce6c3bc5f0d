"""The red sequence: the colour-magnitude relation of cluster members, with scatter and outliers."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from astropy.stats import mad_std
from astropy.table import QTable, Table
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.stats import norm

from labkit.errors import InputError
from labkit.tables import magnitudes, need_columns, text

logger = logging.getLogger(__name__)

_FEWEST = 5  # galaxies for a fit
_REWEIGHTED = 2  # times that the first line is drawn again
_MOST_ROUNDS = 50
_CLIP = 2.6  # standard deviations
#: Errors in colour below this, mag, count as this, so that perfect points can be weighed.
_FLOOR = 1e-6
#: Random starts, concentration steps on each, and starts that are followed to the end (Rousseeuw & Van
#: Driessen 2006, section 3.2).
_STARTS, _FIRST_STEPS, _FOLLOWED = 500, 2, 10
_SUBSET = 1500  # starts are concentrated on so many points at most, drawn at random; the best then on all
_MOST_STEPS = 100


@dataclass(frozen=True)
class ColourMagnitude:
    """Colour = zero_point + slope (magnitude - pivot), with intrinsic scatter."""

    slope: float  # mag per mag
    zero_point: float  # colour at the pivot, mag
    scatter: float  # standard deviation beyond the errors, mag
    pivot: float  # median magnitude of the fitted, where slope and zero point are least correlated
    slope_error: float
    zero_point_error: float
    kept: NDArray[np.bool_]  # (n,), galaxies that were not clipped

    def __call__(self, magnitude: ArrayLike) -> NDArray[np.float64]:
        """Colour of the relation at a magnitude."""
        return self.zero_point + self.slope * (np.asarray(magnitude, dtype=np.float64) - self.pivot)


def colour_magnitude_relation(
    magnitude: ArrayLike,
    colour: ArrayLike,
    *,
    magnitude_error: ArrayLike = 0.0,
    colour_error: ArrayLike = 0.0,
    rng: np.random.Generator | int = 0,
) -> ColourMagnitude:
    """Fit the colour-magnitude relation robustly, with intrinsic scatter.

    Half of the galaxies, those that agree best, give a first line (`least_trimmed_squares`), weighted by
    their errors and, once there is a line, by the spread about it too: bright galaxies scatter far more than
    they err. All within 2.6 standard deviations of it are fitted again until the selection stays; the
    intrinsic scatter e is the one for which the kept residuals match sigma^2 = e^2 + (slope dm)^2 + dc^2
    (Cappellari et al. 2013, MNRAS 432, 1709, section 3.2; Angora et al. 2020, section 4.2). Unlike in the
    former, spreads measured within the clip are corrected for the tails of the normal distribution that it
    cuts off.
    """
    given = (magnitude, colour, magnitude_error, colour_error)
    m, c, dm, dc = np.broadcast_arrays(*(np.asarray(values, dtype=np.float64) for values in given))
    if (dm < 0).any() or (dc < 0).any():
        raise InputError("magnitude_error and colour_error must never be negative; use NaN for unknown")
    good = np.isfinite(m) & np.isfinite(c) & np.isfinite(dm) & np.isfinite(dc)
    if good.sum() < _FEWEST:
        raise InputError(
            f"magnitude and colour must be finite for {_FEWEST} galaxies at least, got {good.sum()} of "
            f"{len(m)}; add members, or take another colour"
        )
    pivot = float(np.median(m[good]))
    x, y = m[good] - pivot, c[good]
    variance = dc[good] ** 2 + _FLOOR**2 if np.any(dc) else np.ones_like(x)
    first = least_trimmed_squares(x, y, variance, rng=rng)
    for _ in range(_REWEIGHTED):
        spread = mad_std(y - first.intercept - first.slope * x)
        first = least_trimmed_squares(x, y, variance + spread**2, rng=rng)
    errors = np.sqrt(dc[good] ** 2 + (first.slope * dm[good]) ** 2)
    line, scatter, inside = _fit_clipped(x, y, errors, first.inside, (first.intercept, first.slope))
    kept = np.zeros(len(m), dtype=bool)
    kept[good] = inside
    covariance = _covariance(x[inside], errors[inside] ** 2 + scatter**2)
    intercept_error, slope_error = np.sqrt(np.diag(covariance))
    errors_of = {"slope_error": float(slope_error), "zero_point_error": float(intercept_error)}
    return ColourMagnitude(float(line[1]), float(line[0]), float(scatter), pivot, **errors_of, kept=kept)


def _fit_clipped(
    x: NDArray, y: NDArray, errors: NDArray, inside: NDArray[np.bool_], line: tuple[float, float] | NDArray
) -> tuple[NDArray, float, NDArray[np.bool_]]:
    """Line, intrinsic scatter and selection, repeated until the selection stays."""
    seen: list[NDArray[np.bool_]] = []
    share = inside.mean()
    cut = float(norm.ppf(0.5 + share / 2)) if share < 1 else np.inf
    scatter = _intrinsic_scatter(y - line[0] - line[1] * x, errors, inside, cut)
    for _ in range(_MOST_ROUNDS):
        total = np.sqrt(errors**2 + scatter**2)
        inside = np.abs(y - line[0] - line[1] * x) <= _CLIP * np.maximum(total, _FLOOR)
        line = _weighted_line(x[inside], y[inside], np.maximum(total[inside], _FLOOR) ** 2)
        scatter = _intrinsic_scatter(y - line[0] - line[1] * x, errors, inside, _CLIP)
        if any(np.array_equal(inside, before) for before in seen):
            break
        seen.append(inside)
    return np.asarray(line), scatter, inside


def _intrinsic_scatter(residual: NDArray, errors: NDArray, inside: NDArray[np.bool_], cut: float) -> float:
    """Scatter that makes the mean squared normalised residual what a normal cut at `cut` sigma has."""
    squared, variance = residual[inside] ** 2, errors[inside] ** 2
    expected = 1 - 2 * cut * norm.pdf(cut) / (2 * norm.cdf(cut) - 1) if np.isfinite(cut) else 1.0
    wanted = expected * max(len(squared) - 2, 1)

    def excess(scatter: float) -> float:
        return float((squared / (variance + scatter**2)).sum() - wanted)

    most = np.sqrt(squared.sum() / wanted)
    if most <= _FLOOR or excess(_FLOOR) <= 0:
        return 0.0
    return float(brentq(excess, _FLOOR, most * 1.0001, xtol=1e-9))


def _covariance(x: NDArray, variance: NDArray) -> NDArray:
    design = np.column_stack([np.ones_like(x), x])
    return np.linalg.pinv(design.T @ (design / np.maximum(variance, _FLOOR**2)[:, None]))


def _weighted_line(x: NDArray, y: NDArray, variance: NDArray) -> NDArray:
    """Intercept and slope by weighted least squares."""
    return _covariance(x, variance) @ (np.vstack([np.ones_like(x), x]) @ (y / variance))


@dataclass(frozen=True)
class TrimmedFit:
    """A straight line and the points it was drawn through."""

    intercept: float
    slope: float
    inside: NDArray[np.bool_]  # the h points of the smallest residuals
    objective: float  # sum of their squared residuals, each over its variance


def least_trimmed_squares(
    x: NDArray, y: NDArray, variance: NDArray, *, rng: np.random.Generator | int = 0
) -> TrimmedFit:
    """Fit a line to the points that lie closest to it (FAST-LTS).

    Minimises the sum of the h smallest squared residuals. From lines through random pairs of points, a
    concentration step fits the h points of smallest residual and can only lower the sum; the best starts are
    followed until nothing changes (Rousseeuw & Van Driessen 2006, Data Min. Knowl. Discov. 12, 29). With
    h = (n + 3) / 2 almost half of the points may lie anywhere. Neither scikit-learn nor statsmodels has it;
    Siegel's repeated medians (scipy) gave a scatter 2 to 4 times too large in 3 of 60 simulated sequences
    with up to 45 % of blue galaxies.
    """
    rng = np.random.default_rng(rng)
    n = len(x)
    few = rng.choice(n, _SUBSET, replace=False) if n > _SUBSET else np.arange(n)
    lines = _starts(x[few], y[few], rng)
    for _ in range(_FIRST_STEPS):
        lines, sums = _concentrate(lines, x[few], y[few], variance[few], _kept(len(few)))
    lines = lines[np.argsort(sums, kind="stable")[:_FOLLOWED]]
    h, last = _kept(n), np.inf
    for _ in range(_MOST_STEPS):
        lines, sums = _concentrate(lines, x, y, variance, h)
        if not sums.min() < last:
            break
        last = sums.min()
    best = lines[sums.argmin()]
    squared = _squared(best[None], x, y, variance)[0]
    inside = np.zeros(n, dtype=bool)
    inside[np.argpartition(squared, h - 1)[:h]] = True
    return TrimmedFit(float(best[0]), float(best[1]), inside, float(squared[inside].sum()))


def _kept(n: int) -> int:
    return min(n, (n + 3) // 2)


def _starts(x: NDArray, y: NDArray, rng: np.random.Generator) -> NDArray[np.float64]:
    """Lines through random pairs of points with different x, shape (start, 2)."""
    first = rng.integers(len(x), size=_STARTS)
    second = (first + rng.integers(1, len(x), size=_STARTS)) % len(x)
    apart = x[first] != x[second]
    first, second = first[apart], second[apart]
    slope = (y[second] - y[first]) / (x[second] - x[first])
    flat = np.array([[np.median(y), 0.0]])  # pairs of equal x only must not leave us without a start
    return np.concatenate([np.column_stack([y[first] - slope * x[first], slope]), flat])


def _squared(lines: NDArray, x: NDArray, y: NDArray, variance: NDArray) -> NDArray[np.float64]:
    """Squared residuals over their variance, shape (line, n)."""
    return (y - lines[:, :1] - lines[:, 1:] * x) ** 2 / variance


def _concentrate(
    lines: NDArray, x: NDArray, y: NDArray, variance: NDArray, h: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each line fitted anew to its h nearest points, and the sum that this gives."""
    near = np.argpartition(_squared(lines, x, y, variance), h - 1, axis=1)[:, :h]  # (line, h)
    xs, ys, weights = x[near], y[near], 1 / variance[near]
    total = weights.sum(axis=1)
    mx, my = (weights * xs).sum(axis=1) / total, (weights * ys).sum(axis=1) / total
    dx = xs - mx[:, None]
    spread = (weights * dx**2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = np.where(spread > 0, (weights * dx * ys).sum(axis=1) / spread, 0.0)
    fitted = np.column_stack([my - slope * mx, slope])
    return fitted, np.sort(_squared(fitted, x, y, variance), axis=1)[:, :h].sum(axis=1)


@dataclass(frozen=True)
class RedSequences:
    """Colour-magnitude relations of clusters, and colours against them."""

    relations: dict[str, ColourMagnitude]  # of each cluster with enough members
    magnitude: NDArray[np.float64]  # of each galaxy, mag, as the following; NaN where not measured
    colour: NDArray[np.float64]
    colour_error: NDArray[np.float64]
    differential: NDArray[np.float64]  # colour less the relation's; NaN also in clusters without one

    def table(self) -> QTable:
        """One row per cluster: ``cluster``, ``members`` (kept in the fit), the relation and its errors."""
        names = ("slope", "slope_error", "zero_point", "zero_point_error", "pivot", "scatter")
        rows = [
            {"cluster": name, "members": int(one.kept.sum())} | {key: getattr(one, key) for key in names}
            for name, one in self.relations.items()
        ]
        return QTable(rows=rows, names=["cluster", "members", *names])


def red_sequences(
    table: Table,
    member: ArrayLike,
    *,
    bands: Sequence[str] = ("F606", "F814"),
    magnitude: str = "mag_F814",
    colours: str = "aper_{band}",
    by: str = "cluster",
    rng: np.random.Generator | int = 0,
) -> RedSequences:
    """Fit the colour-magnitude relation of each cluster and take it off all of its galaxies.

    Parameters
    ----------
    table : Table
        Measured galaxies: the columns named, and errors ``<column>_err``.
    member : array_like of bool, shape (n,)
        Those that the relations are fitted to.
    bands : sequence of str
        Two bands, the colour is the first minus the second.
    magnitude : str
        Column of magnitudes.
    colours : str
        Names of the columns of which colours are made.
    by : str
        Column with the cluster of each galaxy.
    rng : Generator or int
        Draws the starts of the first fit.

    Returns
    -------
    RedSequences
        Clusters with fewer than five measured members have no relation, and the log names them.

    Raises
    ------
    InputError
        If a column is missing, `member` has another length, or not two bands are named.
    """
    if len(bands) != 2:
        raise InputError(f"bands must be two, for a colour, got {list(bands)}")
    columns = [colours.format(band=band) for band in bands]
    needed = [magnitude, f"{magnitude}_err", by, *columns, *(f"{name}_err" for name in columns)]
    need_columns(table, needed, "table")
    chosen, hosts = np.asarray(member, dtype=bool), text(table[by])
    if chosen.shape != hosts.shape:
        raise InputError(f"member must have one value per galaxy, {len(hosts)}, got {chosen.shape}")
    wanted = (magnitude, f"{magnitude}_err", *columns, *needed[-2:])
    m, dm, blue, red, blue_error, red_error = (magnitudes(table[name]) for name in wanted)
    colour, error = blue - red, np.hypot(blue_error, red_error)
    differential, relations = np.full(len(m), np.nan), {}
    generator = np.random.default_rng(rng)
    for host in dict.fromkeys(hosts.tolist()):
        here = hosts == host
        fitted = here & chosen
        if np.isfinite(m[fitted] + colour[fitted]).sum() < _FEWEST:
            logger.warning("%s: fewer than %d members have a colour, no red sequence", host, _FEWEST)
            continue
        errors = {"magnitude_error": dm[fitted], "colour_error": error[fitted]}
        relation = colour_magnitude_relation(m[fitted], colour[fitted], rng=generator, **errors)
        differential[here] = colour[here] - relation(m[here])
        relations[host] = relation
    return RedSequences(relations, m, colour, error, differential)

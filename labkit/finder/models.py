"""A field with the sources fitted so far, and what a candidate is: models fitted to one stamp after XAmin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from labkit.finder.fits import Fit, Source, Stamp, chance_likelihood, fit_sources
from labkit.instruments import PointSpread, Templates

Box = tuple[slice, slice]


@dataclass
class Scene:
    """A field and a model of it, candidate by candidate."""

    # (y, x): image, exposure map, expected counts of the background; nothing counts where exposure is zero
    counts: NDArray[np.float64]
    exposure: NDArray[np.float64]
    background: NDArray[np.float64]
    pixel_arcsec: float  # pixel size
    axis: tuple[float, float]  # pixel (x, y) of the optical axis
    rates: NDArray[np.float64] = field(init=False)
    _kept: dict[int, tuple[Box, NDArray[np.float64]]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.rates = np.zeros(self.counts.shape)

    @property
    def expected(self) -> NDArray[np.float64]:
        """Expected counts of background and kept sources, shape (y, x)."""
        return self.background + self.exposure * self.rates

    def stamp(self, x: float, y: float, half_arcsec: float) -> tuple[Stamp, tuple[int, int]]:
        """The box around a position, with the kept sources as neighbours, and its first pixel (x, y)."""
        box = self._box(x, y, half_arcsec)
        exposure = self.exposure[box]
        templates = self._templates(x, y, exposure.shape)
        stamp = Stamp(self.counts[box], exposure, self.background[box], exposure * self.rates[box], templates)
        return stamp, (box[1].start, box[0].start)

    def keep(self, number: int, sources: Sequence[Source]) -> None:
        """Add the sources of a candidate to the model of the field."""
        first = sources[0]
        box = self._box(first.x, first.y, max(self._reach(source) for source in sources))
        templates = self._templates(first.x, first.y, self.counts[box].shape)
        x0, y0 = box[1].start, box[0].start
        rates = np.sum([s.rate * templates.image(s.x - x0, s.y - y0, s.extent) for s in sources], axis=0)
        self.rates[box] += rates
        self._kept[number] = (box, rates)

    def drop(self, number: int) -> None:
        """Take the sources of a kept candidate out of the model of the field."""
        box, rates = self._kept.pop(number)
        self.rates[box] -= rates

    def expected_counts(self, number: int) -> float:
        """Expected counts of a kept candidate on the exposed pixels."""
        box, rates = self._kept[number]
        return float((self.exposure[box] * rates).sum())

    def brightness(self, place: Source, number: int | None = None) -> float:
        """Rate per pixel of all kept candidates, or of one of them, at the place of a source."""
        x, y = self.pixel(place)
        rates = self.rates
        if number is not None:
            (rows, columns), rates = self._kept[number]
            y, x = y - rows.start, x - columns.start
        inside = 0 <= y < rates.shape[0] and 0 <= x < rates.shape[1]
        return float(rates[y, x]) if inside else 0.0

    def pixel(self, place: Source) -> tuple[int, int]:
        """Column and row of the place of a source, the nearest ones where it lies outside."""
        height, width = self.counts.shape
        return min(max(round(place.x), 0), width - 1), min(max(round(place.y), 0), height - 1)

    def exposed_share(self, place: Source, half_arcsec: float) -> float:
        """Share of exposed pixels in a box around the place of a source."""
        return float((self.exposure[self._box(place.x, place.y, half_arcsec)] > 0).mean())

    def background_rate(self, place: Source, half_arcsec: float = 60.0) -> float:
        """Rate per pixel of the background around the place of a source."""
        box = self._box(place.x, place.y, half_arcsec)
        return float(self.background[box].sum() / max(self.exposure[box].sum(), 1e-9))

    def _box(self, x: float, y: float, half_arcsec: float) -> Box:
        half = int(np.ceil(half_arcsec / self.pixel_arcsec))
        height, width = self.counts.shape
        column, row = self.pixel(Source(x, y, 0.0))
        rows = slice(max(0, row - half), min(height, row + half + 1))
        return rows, slice(max(0, column - half), min(width, column + half + 1))

    def _templates(self, x: float, y: float, shape: tuple[int, ...]) -> Templates:
        dx, dy = x - self.axis[0], y - self.axis[1]
        off_axis = float(np.hypot(dx, dy)) * self.pixel_arcsec / 60
        spread = PointSpread(off_axis, float(np.degrees(np.arctan2(dy, dx))))
        return Templates((shape[0], shape[1]), pixel_arcsec=self.pixel_arcsec, spread=spread)

    def _reach(self, source: Source) -> float:
        """Radius in arcsec within which a source is drawn; beyond it lie few of its counts."""
        counts = source.rate * float(self.exposure.max())
        return float(np.clip(90 * (counts / 300) ** 0.32 + 8 * source.extent, 90, 480))


#: Largest extent (arcsec) that two points are tried for, and least extension likelihood that a halo is.
PAIR, BARELY_EXTENDED = 20.0, 3.0


@dataclass(frozen=True)
class Selection:
    """Thresholds of the finder; extent, extension and detection likelihood are by default those of C1.

    Parameters
    ----------
    extent : float
        Extents above it (arcsec) are those of extended sources.
    extension_likelihood, detection_likelihood : float
        Likelihoods that a C1 candidate exceeds (Pacaud et al. 2006).
    extended : float
        Extension likelihood that a source exceeds to be called extended: that of the C2 sample.
    listed : float
        Detection likelihood that a source exceeds to be listed at all; 11.5 is a chance of 1e-5.
    second : float
        Likelihood that a second component, a point beside or on the first, exceeds.
    share : float
        Least share of the counts of each of two components.
    contrast : float
        Least peak of a point over the surface brightness of the extended source that it lies on.
    """

    extent: float = 5.0
    extension_likelihood: float = 33.0
    detection_likelihood: float = 32.0
    extended: float = 15.0
    listed: float = 11.5
    second: float = 12.0
    share: float = 0.1
    contrast: float = 0.5


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
    """Likelihood that the richer of two fits of the same pixels is no chance improvement."""
    difference, more = simple.statistic - rich.statistic, rich.parameters - simple.parameters
    return float(chance_likelihood(difference, more))


def _akaike(fit: Fit) -> float:
    return fit.statistic + 2 * fit.parameters


def _both(fit: Fit, share: float) -> bool:
    """Whether each of two components has its share of the counts."""
    rates = [source.rate for source in fit.sources]
    return min(rates) > share * sum(rates)


def _rough_rate(stamp: Stamp, place: Source, *, within: float = 20.0) -> float:
    """Counts above the background over the mean exposure, nearby."""
    y, x = np.indices(stamp.counts.shape)
    near = np.hypot(x - place.x, y - place.y) * stamp.templates.pixel_arcsec < within
    near &= stamp.exposure > 0
    if not near.any():
        return 1 / float(stamp.exposure.max())
    excess = (stamp.counts - stamp.background - stamp.neighbours)[near].sum()
    return max(float(excess), 1.0) / float(stamp.exposure[near].mean())


def _two_points(stamp: Stamp, point: Source, *, within: float = 25.0) -> list[Source]:
    """Two points in place of one, along the longest axis of the counts around it."""
    y, x = np.indices(stamp.counts.shape) - np.array([point.y, point.x])[:, None, None]
    near = np.hypot(x, y) * stamp.templates.pixel_arcsec < within
    near &= stamp.exposure > 0
    excess = (stamp.counts - stamp.background - stamp.neighbours)[near]
    offset = np.array([x[near], y[near]])
    moments = np.asarray((excess * offset) @ offset.T / max(float(excess.sum()), 1.0), dtype=float)
    values, axes = np.linalg.eigh(moments)
    dx, dy = 0.8 * np.sqrt(np.maximum(values[1], 1.0)) * axes[:, 1]
    return [Source(point.x + s * dx, point.y + s * dy, point.rate / 2) for s in (1, -1)]

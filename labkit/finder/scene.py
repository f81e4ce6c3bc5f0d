"""A whole field: counts, exposure, background, and the sources fitted so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from labkit.finder.fits import Source, Stamp
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

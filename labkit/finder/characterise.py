"""A field with the sources fitted so far, and the fits of all its candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from labkit.finder.fits import Fit, Models, Selection, Source, Stamp, fit_models, gain
from labkit.instruments import PointSpread, Templates

Box = tuple[slice, slice]

#: Half the side of the box of a fit in arcsec: at least, at most, and in units of the extent.
BOX, LARGEST_BOX, BOX_EXTENTS = 90.0, 400.0, 6.0
#: Pixels this near (arcsec) to a neighbour not fitted yet do not count, unless they are near the source.
MASKED, OWN = 25.0, 45.0
#: Share of the pixels around a detection, within SEEN arcsec, that must be exposed for a fit.
SEEN, LEAST_SEEN = 15.0, 0.3
#: A point this near (arcsec) to the centre of an extended source is a component of it.
CENTRAL = 15.0


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
        box = self.box(x, y, half_arcsec)
        exposure = self.exposure[box]
        templates = self._templates(x, y, exposure.shape)
        stamp = Stamp(self.counts[box], exposure, self.background[box], exposure * self.rates[box], templates)
        return stamp, (box[1].start, box[0].start)

    def keep(self, number: int, sources: Sequence[Source]) -> None:
        """Add the sources of a candidate to the model of the field."""
        first = sources[0]
        box = self.box(first.x, first.y, max(self._reach(source) for source in sources))
        templates = self._templates(first.x, first.y, self.counts[box].shape)
        x0, y0 = box[1].start, box[0].start
        rates = np.sum([s.rate * templates.image(s.x - x0, s.y - y0, s.extent) for s in sources], axis=0)
        self.rates[box] += rates
        self._kept[number] = (box, rates)

    def drop(self, number: int) -> None:
        """Take the sources of a kept candidate out of the model of the field."""
        box, rates = self._kept.pop(number)
        self.rates[box] -= rates

    def adopt(self, other: Scene, number: int) -> None:
        """Keep a candidate of another scene of the same field as it is there, under a number below 0."""
        box, rates = self._kept[~number] = other._kept[number]
        self.rates[box] += rates

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
        return float((self.exposure[self.box(place.x, place.y, half_arcsec)] > 0).mean())

    def background_rate(self, place: Source, half_arcsec: float = 60.0) -> float:
        """Rate per pixel of the background around the place of a source."""
        box = self.box(place.x, place.y, half_arcsec)
        return float(self.background[box].sum() / max(self.exposure[box].sum(), 1e-9))

    def box(self, x: float, y: float, half_arcsec: float) -> Box:
        """Rows and columns within some arcsec of a place, cut at the border."""
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


@dataclass(frozen=True)
class Characterised:
    """A candidate after its fits."""

    number: int  # row of the detection that it began with
    models: Models  # the fits, in pixels of the field
    kind: str  # "point", "extended", "double" or "point + extended"
    fit: Fit  # the fit that says so

    @property
    def main(self) -> Source:
        """The component that stands for the candidate: the extended one, or the brighter point."""
        return self.fit.sources[self._main]

    @property
    def _main(self) -> int:
        rates = [source.rate for source in self.fit.sources]
        return 0 if "extended" in self.kind else int(np.argmax(rates))

    @property
    def errors(self) -> Source:
        """Standard deviations of that component."""
        return self.fit.errors[self._main]

    @property
    def rate(self) -> float:
        """Rate of all components."""
        return sum(source.rate for source in self.fit.sources)

    @property
    def shape(self) -> Fit:
        """The fit that extents are taken from: the beta-model's, with a point where there is one."""
        return self.fit if self.kind == "point + extended" else self.models.extended

    @property
    def at_bound(self) -> str:
        """What ended at a bound of the fit or of the extent's, between commas."""
        of_extent = [word for word in self.shape.at_bound if word.endswith("extent")]
        return ", ".join(dict.fromkeys([*self.fit.at_bound, *of_extent]))

    @property
    def extension_likelihood(self) -> float:
        """Point against the beta-model, with its point where there is one."""
        return gain(self.models.point, self.shape)


def characterise(
    scene: Scene,
    detections: Table,
    *,
    selection: Selection,
    adopted: Sequence[Characterised] = (),
    progress: Callable[[int, int], None] | None = None,
) -> list[Characterised]:
    """Fit every detection twice: the bright ones first; then each with all others in its background.

    Candidates that the scene `adopted` are not fitted again and not returned.

    What is extended within a brighter extended source is a piece of it and left out, and so is a point there
    that does not stand out. Detections on unexposed pixels are left out, too.
    """
    order = np.argsort(-np.asarray(detections["counts"], dtype=float), kind="stable").tolist()
    places = np.column_stack([detections["x"], detections["y"]]).astype(float)
    listed = {~one.number: replace(one, number=~one.number) for one in adopted}
    for done, number in enumerate(order):
        start = Source(float(places[number, 0]), float(places[number, 1]), rate=0.0)
        if scene.exposed_share(start, SEEN) > LEAST_SEEN:
            found = _fit(scene, number, start, selection, unfitted=places[order[done + 1 :]])
            _list(scene, listed, found, replace(selection, listed=selection.listed / 2))
        if progress:
            progress(done + 1, 2 * len(order))
    for done, number in enumerate(order):
        if number in listed:
            first = listed.pop(number)
            scene.drop(number)
            if "extended" in first.kind:
                _absorb(scene, listed, first.main)
            found = _fit(scene, number, first.main, selection, components=True)
            _list(scene, listed, found, selection)
        if progress:
            progress(len(order) + done + 1, 2 * len(order))
    return [listed[number] for number in order if number in listed]


def host(scene: Scene, found: Characterised, others: Sequence[Characterised]) -> int | None:
    """Number among `others` of the nearest brighter extended source that a candidate lies within, if any."""
    near = [
        (np.hypot(other.main.x - found.main.x, other.main.y - found.main.y), number)
        for number, other in enumerate(others)
        if other is not found and other.rate > found.rate and _within(scene, found, other)
    ]
    return min(near)[1] if near else None


def _fit(
    scene: Scene,
    number: int,
    start: Source,
    selection: Selection,
    *,
    unfitted: NDArray[np.float64] | None = None,
    components: bool = False,
) -> Characterised:
    """Fit a candidate in a box that suits its extent."""
    half = _half_box(start.extent)
    for _ in range(3):
        stamp, corner = scene.stamp(start.x, start.y, half)
        if unfitted is not None:
            stamp = replace(
                stamp, exposure=stamp.exposure * _unmasked(scene, stamp.counts.shape, corner, start, unfitted)
            )
        local = replace(start, x=start.x - corner[0], y=start.y - corner[1])
        models = fit_models(stamp, local, components=components)
        extent = models.extended.sources[0].extent if models.extension_likelihood > selection.second else 0.0
        if _half_box(extent) < 1.3 * half:
            break
        half = _half_box(extent)
    models = models.shifted(*corner)
    return Characterised(number, models, *models.verdict(selection))


def _half_box(extent: float) -> float:
    return float(np.clip(BOX_EXTENTS * extent, BOX, LARGEST_BOX))


def _unmasked(
    scene: Scene, shape: tuple[int, ...], corner: tuple[int, int], own: Source, others: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Pixels far from the other sources, or near the own one."""
    y, x = np.indices(shape)
    x, y, scale = x + corner[0], y + corner[1], scene.pixel_arcsec
    free = np.ones(shape, dtype=bool)
    for other_x, other_y in others:
        free &= np.hypot(x - other_x, y - other_y) * scale > MASKED
    return free | (np.hypot(x - own.x, y - own.y) * scale < OWN)


def _list(scene: Scene, listed: dict[int, Characterised], found: Characterised, selection: Selection) -> None:
    """Keep a candidate if it is significant and stands out; within an extended source it must as a point."""
    likelihood = found.models.detection_likelihood
    if any(_within(scene, found, other) for other in listed.values()):
        likelihood = found.models.point_likelihood
        if "extended" in found.kind:
            return
    if found.models.converged and not likelihood > selection.listed:
        return
    around = scene.brightness(found.main)
    scene.keep(found.number, found.fit.sources)
    if scene.brightness(found.main, found.number) > selection.contrast * around:
        listed[found.number] = found
    else:
        scene.drop(found.number)


def _within(scene: Scene, found: Characterised, other: Characterised) -> bool:
    """Whether a candidate lies where an extended source is brighter than the background."""
    if "extended" not in other.kind:
        return False
    return scene.brightness(found.main, other.number) > scene.background_rate(found.main)


def _absorb(scene: Scene, listed: dict[int, Characterised], centre: Source) -> None:
    """Drop points at the centre of an extended source: its model of two components takes them."""
    for number, other in list(listed.items()):
        near = np.hypot(other.main.x - centre.x, other.main.y - centre.y) * scene.pixel_arcsec < CENTRAL
        if near and other.kind == "point":
            del listed[number]
            scene.drop(number)

"""Fits of all candidates of a field, the bright ones first, each with the others in its background."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from labkit.finder.fits import Fit, Source
from labkit.finder.models import Models, Scene, Selection, fit_models, gain

#: Half the side of the box of a fit in arcsec: at least, at most, and in units of the extent.
BOX, LARGEST_BOX, BOX_EXTENTS = 90.0, 400.0, 6.0
#: Pixels this near (arcsec) to a neighbour not fitted yet do not count, unless they are near the source.
MASKED, OWN = 25.0, 45.0
#: Share of the pixels around a detection, within SEEN arcsec, that must be exposed for a fit.
SEEN, LEAST_SEEN = 15.0, 0.3
#: A point this near (arcsec) to the centre of an extended source is a component of it.
CENTRAL = 15.0


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
        return self.fit.sources[0] if "extended" in self.kind else max(self.fit.sources, key=lambda s: s.rate)

    @property
    def extent(self) -> float:
        """Core radius of the beta-model in arcsec, fitted with a point where there is one."""
        fit = self.fit if self.kind == "point + extended" else self.models.extended
        return fit.sources[0].extent

    @property
    def extension_likelihood(self) -> float:
        """Point against the beta-model, with its point where there is one."""
        return gain(self.models.point, self.fit if self.kind == "point + extended" else self.models.extended)


def characterise(
    scene: Scene,
    detections: Table,
    *,
    selection: Selection,
    progress: Callable[[int, int], None] | None = None,
) -> list[Characterised]:
    """Fit every detection twice: the bright ones first; then each with all others in its background.

    What is extended within a brighter extended source is a piece of it and left out, and so is a point there
    that does not stand out. Detections on unexposed pixels are left out, too.
    """
    order = np.argsort(-np.asarray(detections["counts"], dtype=float), kind="stable").tolist()
    places = np.column_stack([detections["x"], detections["y"]]).astype(float)
    listed: dict[int, Characterised] = {}
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
    brightness = scene.brightness(found.main, other.number)
    return "extended" in other.kind and brightness > scene.background_rate(found.main)


def _absorb(scene: Scene, listed: dict[int, Characterised], centre: Source) -> None:
    """Drop points at the centre of an extended source: its model of two components takes them."""
    for number, other in list(listed.items()):
        near = np.hypot(other.main.x - centre.x, other.main.y - centre.y) * scene.pixel_arcsec < CENTRAL
        if near and other.kind == "point":
            del listed[number]
            scene.drop(number)

"""How cut-outs become pictures: named display styles, contours of one band on another, activation."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from contourpy import contour_generator
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.sample import Sample
from labkit.views import gallery
from labkit.views.composites import SampleColours, shared_colours

Paint = Callable[..., NDArray]
_CHOSEN = 4  # bands that stand beside the colour picture of many
_REFERENCE = "F814"  # in which members are selected and their magnitudes given
Lines = list[tuple[float, list[NDArray]]]
_SIDE_BY_SIDE = 5
_KEPT = 400  # pictures and pixels of this many objects stay in memory, for turning back


@dataclass(frozen=True)
class Style:
    """A named way to show an object."""

    name: str
    bands: tuple[str, ...]  # that it needs
    paint: Paint  # of those bands, (y, x) and bright where there is emission: levels from 0 to 1, (y, x[, 3])
    contours: str = ""  # band whose contours may be drawn on top
    shows_gaps: bool = False  # `paint` shows where there are no data; otherwise a band without any is zero


def _glow(optical: NDArray, xray: NDArray) -> NDArray:
    return gallery.overlay(gallery.plate_levels(optical), gallery.photon_levels(xray))


def _colours(*images: NDArray) -> NDArray:
    places = np.linspace(0, len(images) - 1, 3).round().astype(int)
    blue, green, red = (gallery.grey_levels(images[place]) for place in places)
    return gallery.composite(red=red, green=green, blue=blue)


#: Styles of known sets of bands; other bands are shown one by one and, from two on, as a colour composite.
STYLES: dict[frozenset[str], tuple[Style, ...]] = {
    frozenset({"xray", "optical"}): (
        Style("optical", ("optical",), gallery.plate_levels, contours="xray"),
        Style("X-ray", ("xray",), gallery.photon_levels),
        Style("combined", ("optical", "xray"), _glow),
    ),
    frozenset({"xray"}): (Style("X-ray", ("xray",), gallery.photon_levels, contours="xray"),),
}


def styles_for(bands: Sequence[str], *, colours: SampleColours | None = None) -> tuple[Style, ...]:
    """The display styles of bands in the order of wavelength.

    Those of `STYLES` for the bands of candidates; else a colour picture of all bands, then each of them, with
    the limits that `colours` shares among all pictures. First after the colour picture come four bands,
    spread over those that all clusters have, F814 among them.
    """
    known = STYLES.get(frozenset(bands))
    if known is not None:
        return known
    if colours is None:
        single = [Style(name, (name,), gallery.grey_levels) for name in bands]
        together = Style("colour", tuple(bands), _colours)
    else:
        single = [Style(name, (name,), partial(colours.grey, name), shows_gaps=True) for name in bands]
        together = Style(
            "colour", tuple(bands), lambda *all_: colours.composite(np.stack(all_)), shows_gaps=True
        )
    first = _spread(bands if colours is None else colours.common_bands)
    single.sort(key=lambda style: first.index(style.name) if style.name in first else len(first))
    return tuple(single) if len(bands) == 1 else (together, *single)


def _spread(bands: Sequence[str]) -> list[str]:
    """Four bands spread over the wavelengths, the one that magnitudes are measured in among them."""
    places = np.linspace(0, len(bands) - 1, min(_CHOSEN, len(bands))).round().astype(int)
    wanted = [place for place, band in enumerate(bands) if band.startswith(_REFERENCE)]
    if wanted and wanted[0] not in places:
        places[1 + np.abs(places[1:-1] - wanted[0]).argmin()] = wanted[0]
    return [bands[place] for place in sorted(places)]


def contour_lines(image: NDArray, *, levels: int = 6) -> Lines:
    """Contours of a smoothed image, from three times the scatter above the median to near the peak.

    Levels are equally spaced in the square root of the brightness above the median; each comes with its
    lines, (m, 2), as x and y in pixels from the first pixel's centre. Empty if nothing stands out.
    """
    soft = gallery.smoothed(image, sigma_px=1.5 * gallery.photon_sigma_px(image))
    middle = np.median(soft)
    lowest, peak = 3 * 1.4826 * np.median(np.abs(soft - middle)), soft.max() - middle
    if not peak > max(lowest, 1e-12):
        return []
    start = max(lowest, 0.02 * peak)
    heights = middle + np.linspace(np.sqrt(start), np.sqrt(0.9 * peak), levels) ** 2
    drawer = contour_generator(z=soft)
    return [(float(height), [np.asarray(line) for line in drawer.lines(height)]) for height in heights]


def activation_overlay(levels: NDArray, activation: NDArray, *, strength: float = 0.6) -> NDArray:
    """A picture, levels of shape (y, x[, 3]), with an activation map from 0 to 1 laid over it as heat."""
    colour = levels if levels.ndim == 3 else np.repeat(levels[..., None], 3, axis=-1)
    heat = np.clip(np.nan_to_num(activation), 0, 1)
    veil = strength * np.sqrt(heat)[..., None]
    return (1 - veil) * colour + veil * gallery.heat_colours(heat)


class Pictures:
    """Pictures of a Sample's objects; reads the rows that are asked for, and no others.

    Grey levels of XAmin, where empty sky is 255, are inverted. `activation` takes a Sample of one object and
    ``target``, the name of a class, and gives a map (1, y, x) from 0 to 1, as
    ``functools.partial(labkit.explain.class_activation, model)`` does.
    """

    def __init__(self, sample: Sample, *, activation: Callable[..., NDArray] | None = None) -> None:
        self.sample = sample
        found = styles_for(sample.bands, colours=shared_colours(sample))
        self.styles = {style.name: style for style in found}
        self.activation = activation
        record = sample.provenance.get("normalisation")
        self._inverted = isinstance(record, dict) and record.get("no_emission") == 255
        self._raw: OrderedDict[int, NDArray] = OrderedDict()
        self._made: OrderedDict[tuple, str] = OrderedDict()

    def main(self, shown: str = "") -> list[str]:
        """Names of the styles side by side: the first five, the last replaced by one to be `shown`."""
        names = list(self.styles)[:_SIDE_BY_SIDE]
        return names if not shown or shown in names else [*names[:-1], shown]

    def read(self, rows: Sequence[int] | NDArray) -> NDArray:
        """Pixels of some rows as the Sample holds them, shape (n, band, y, x); one read for all new ones."""
        rows = [int(row) for row in rows]
        new = sorted({row for row in rows if row not in self._raw})
        if new:
            for row, pixels in zip(new, self.sample.select(np.array(new)).images, strict=True):
                self._raw[row] = pixels
        found = [self._raw[row] for row in rows]
        while len(self._raw) > _KEPT:
            self._raw.popitem(last=False)
        return np.stack(found) if found else np.empty((0, *self.sample.shape[1:]), self.sample.dtype)

    def _band(self, pixels: NDArray, name: str) -> NDArray:
        image = pixels[self.sample.bands.index(name)].astype(np.float64)
        return 255 - image if self._inverted else image

    def levels(self, row: int, style: str) -> NDArray:
        """Levels of one object in a style; black without data unless the style shows the gaps itself."""
        chosen, pixels = self.styles[style], self.read([row])[0]
        images = [self._band(pixels, name) for name in chosen.bands]
        if chosen.shows_gaps:
            return chosen.paint(*images)
        blank = [not np.isfinite(image).any() for image in images]
        if all(blank):
            return np.zeros(images[0].shape)
        return chosen.paint(*(np.zeros_like(i) if no else i for i, no in zip(images, blank, strict=True)))

    def uri(self, row: int, style: str, *, size_px: int | None = None, target: str | None = None) -> str:
        """A picture of one object as a data URI, with the activation for the class `target` over it if asked.

        In the Sample's own size a PNG; made smaller, to `size_px`, a JPEG, ten times as quick to make.
        """
        key = (int(row), style, size_px, target)
        if key not in self._made:
            levels = self.levels(row, style)
            if target is not None:
                levels = activation_overlay(levels, self._activation(row, target))
            smaller = size_px is not None and size_px < levels.shape[0]
            self._made[key] = (
                gallery.jpeg_uri(levels, size_px=size_px, quality=90) if smaller else gallery.png_uri(levels)
            )
            while len(self._made) > 4 * _KEPT:
                self._made.popitem(last=False)
        return self._made[key]

    def _activation(self, row: int, target: str) -> NDArray:
        if self.activation is None:
            raise InputError("activation must be given to show it; pass a function, see labkit.explain")
        found = np.asarray(self.activation(self.sample.select(np.array([row])), target=target))
        if found.shape != (1, *self.sample.shape[2:]):
            raise InputError(
                f"activation must give a map of shape {(1, *self.sample.shape[2:])}, got {found.shape}"
            )
        return found[0]

    def name_of(self, band: str) -> str:
        """How a reader calls a band: the style that shows it alone, or its own name."""
        return next((name for name, style in self.styles.items() if style.bands == (band,)), band)

    def contours(self, row: int, style: str, *, levels: int = 6) -> Lines:
        """Contours that belong on a style's picture; empty where the style has none."""
        band = self.styles[style].contours
        return contour_lines(self._band(self.read([row])[0], band), levels=levels) if band else []

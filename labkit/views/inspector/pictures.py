"""How cut-outs become pictures: named display styles, contours of one band on another, activation."""

from __future__ import annotations

import base64
import io
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
from bokeh.palettes import Inferno256
from contourpy import contour_generator
from numpy.typing import NDArray
from PIL import Image

from labkit.errors import InputError
from labkit.sample import Sample
from labkit.views.composites import shared_colours
from labkit.views.inspector.styles import Style, scaled_sigma, styles_for
from labkit.views.scaling import png_uri, smoothed

Lines = list[tuple[float, list[NDArray]]]
_HEAT = np.array([[int(code[i : i + 2], 16) for i in (1, 3, 5)] for code in Inferno256]) / 255
_SIDE_BY_SIDE = 5
_KEPT = 400  # pictures and pixels of this many objects stay in memory, for turning back


def contour_lines(image: NDArray, *, levels: int = 6) -> Lines:
    """Contours of a smoothed image, from three times the scatter above the median to near the peak.

    Levels are equally spaced in the square root of the brightness above the median; each comes with its
    lines, (m, 2), as x and y in pixels from the first pixel's centre. Empty if nothing stands out.
    """
    soft = smoothed(image, sigma_px=1.5 * scaled_sigma(image))
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
    return (1 - veil) * colour + veil * _HEAT[np.round(255 * heat).astype(int)]


def _small_uri(levels: NDArray, size_px: int) -> str:
    """A small picture; the first row is at the bottom, as in FITS."""
    pixels = np.round(255 * np.clip(np.nan_to_num(levels), 0, 1)).astype(np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(pixels[::-1]))
    buffer = io.BytesIO()
    picture.resize((size_px, size_px), Image.Resampling.BOX).save(buffer, "JPEG", quality=90, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


class Pictures:
    """Pictures of a Sample's objects; reads the rows that are asked for, and no others.

    Parameters
    ----------
    sample : Sample
        In memory or on disk. Grey levels of XAmin, where empty sky is 255, are inverted.
    styles : sequence of Style, optional
        By default those of `styles_for`.
    activation : callable, optional
        Takes a Sample of one object and ``target``, the name of a class; gives a map of shape (1, y, x) from
        0 to 1, as ``functools.partial(labkit.explain.class_activation, model)`` does.

    Raises
    ------
    InputError
        If a style needs a band that the Sample lacks.
    """

    def __init__(
        self,
        sample: Sample,
        *,
        styles: Sequence[Style] | None = None,
        activation: Callable[..., NDArray] | None = None,
    ) -> None:
        self.sample = sample
        found = styles or styles_for(sample.bands, colours=shared_colours(sample))
        self.styles = {style.name: style for style in found}
        for style in self.styles.values():
            needed = {*style.bands, *([style.contours] if style.contours else [])}
            if missing := sorted(needed - set(sample.bands)):
                raise InputError(f"style {style.name!r} needs the bands {missing}; sample has {sample.bands}")
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
            self._made[key] = _small_uri(levels, size_px) if smaller else png_uri(levels)  # type: ignore[arg-type]
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

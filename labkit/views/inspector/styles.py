"""Display styles: which bands a picture of an object shows, and how."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from labkit.views.composites import SampleColours
from labkit.views.scaling import composite, grey_levels, limits_of, overlay, smoothed

Paint = Callable[..., NDArray]
_CHOSEN = 4  # bands that stand beside the colour picture of many
_REFERENCE = "F814"  # in which members are selected and their magnitudes given


@dataclass(frozen=True)
class Style:
    """A named way to show an object."""

    name: str
    bands: tuple[str, ...]  # that it needs
    paint: Paint  # of those bands, (y, x) and bright where there is emission: levels from 0 to 1, (y, x[, 3])
    contours: str = ""  # band whose contours may be drawn on top
    shows_gaps: bool = False  # `paint` shows where there are no data; otherwise a band without any is zero


def scaled_sigma(image: NDArray) -> float:
    """Smoothing of photons, pixels: 2 of 178, which is 4.7" in a 7' cut-out."""
    return max(0.7, image.shape[-1] / 89)


def _plain(image: NDArray) -> NDArray:
    return grey_levels(image, stretch="linear")


def _faint(image: NDArray) -> NDArray:
    return grey_levels(image, stretch="asinh")


def _photons(image: NDArray) -> NDArray:
    soft = smoothed(image, sigma_px=scaled_sigma(image))
    return grey_levels(soft, limits=limits_of(soft, lower=60, upper=99.9), stretch="sqrt")


def _glow(optical: NDArray, xray: NDArray) -> NDArray:
    return overlay(_plain(optical), _photons(xray))


def _colours(*images: NDArray) -> NDArray:
    blue, green, red = (_faint(images[round(place)]) for place in np.linspace(0, len(images) - 1, 3))
    return composite(red=red, green=green, blue=blue)


#: Styles of known sets of bands; other bands are shown one by one and, from two on, as a colour composite.
STYLES: dict[frozenset[str], tuple[Style, ...]] = {
    frozenset({"xray", "optical"}): (
        Style("optical", ("optical",), _plain, contours="xray"),
        Style("X-ray", ("xray",), _photons),
        Style("combined", ("optical", "xray"), _glow),
    ),
    frozenset({"xray"}): (Style("X-ray", ("xray",), _photons, contours="xray"),),
}


def styles_for(
    bands: Sequence[str], *, colours: SampleColours | None = None, chosen: Sequence[str] = ()
) -> tuple[Style, ...]:
    """The display styles of a set of bands.

    Parameters
    ----------
    bands : sequence of str
        Bands of a Sample, in the order of wavelength.
    colours : SampleColours, optional
        Limits that all pictures share; without it each picture has its own.
    chosen : sequence of str
        Bands that come first after the colour picture; by default four, spread over the bands that all
        clusters have, F814 among them.

    Returns
    -------
    tuple of Style
        Those of `STYLES` for the bands of candidates; else a colour picture of all bands, then each of them.
    """
    known = STYLES.get(frozenset(bands))
    if known is not None:
        return known
    if colours is None:
        single = [Style(name, (name,), _faint) for name in bands]
        together = Style("colour", tuple(bands), _colours)
    else:
        single = [Style(name, (name,), partial(colours.grey, name), shows_gaps=True) for name in bands]
        together = Style("colour", tuple(bands), partial(_together, colours, tuple(bands)), shows_gaps=True)
    first = [name for name in chosen if name in bands]
    first = first or _spread(bands if colours is None else colours.common_bands)
    single.sort(key=lambda style: first.index(style.name) if style.name in first else len(first))
    return tuple(single) if len(bands) == 1 else (together, *single)


def _together(colours: SampleColours, bands: tuple[str, ...], *images: NDArray) -> NDArray:
    return colours.composite(np.stack(images), bands)


def _spread(bands: Sequence[str]) -> list[str]:
    """Four bands spread over the wavelengths, the one that magnitudes are measured in among them."""
    places = np.linspace(0, len(bands) - 1, min(_CHOSEN, len(bands))).round().astype(int)
    wanted = [place for place, band in enumerate(bands) if band.startswith(_REFERENCE)]
    if wanted and wanted[0] not in places:
        places[1 + np.abs(places[1:-1] - wanted[0]).argmin()] = wanted[0]
    return [bands[place] for place in sorted(places)]

"""Shapes of X-ray images of clusters as numbers: how peaked they are and how disturbed."""

from collections.abc import Sequence

import numpy as np
import sep
from astropy.table import QTable
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

from labkit.cosmology import COSMOLOGY
from labkit.errors import InputError
from labkit.images.coordinates import pixel_kpc
from labkit.images.cutouts import regrid
from labkit.sample import Sample
from labkit.tables import need_columns, numbers

#: Columns of `morphology`.
MORPHOLOGY = ("concentration", "cuspiness", "centroid_shift", "p2", "p3", "p4", "asymmetry")
_CORE, _WHOLE = 40.0, 400.0  # kpc, of the concentration; the others look within the wider
_APERTURES = np.linspace(0.1, 1.0, 10)  # of the centroid shift, in those of the whole
_RINGS = (12.0, 25.0, 40.0, 60.0, 90.0)  # kpc, between which the slope is measured
_BLOCK = 30.0  # kpc; the asymmetry is that of blocks about so wide, or it would be that of the noise
_LEAST = 1e-9


def morphology(sample: Sample, *, band: str = "xray", background: str | None = None) -> QTable:
    """Morphological parameters of images of clusters.

    Parameters
    ----------
    sample : Sample
        Raw images with a ``redshift`` in the catalogue, centred on the clusters; at least 800 kpc wide.
        ``kpc_per_pixel`` in the catalogue, where it is there, stands for the pixels' angle at the redshift.
    band : str
        The X-ray band.
    background : str, optional
        Column of the catalogue with the background per arcmin2 that is subtracted.

    Returns
    -------
    `~astropy.table.QTable`
        One row per object: ``object_id``; ``concentration`` = S(< 40 kpc) / S(< 400 kpc) about the peak
        (Santos et al. 2008, A&A 483, 35); ``cuspiness``, -1/2 dlog S / dlog r at 12 to 90 kpc from the peak,
        which is the slope of the density less 1/2 (Vikhlinin et al. 2007 take it at 0.04 R500);
        ``centroid_shift``, the standard deviation of the centroid in ten apertures, over 400 kpc (Poole et
        al. 2006, MNRAS 373, 881); ``p2``, ``p3``, ``p4``, log10 of the power ratios Pm / P0 within 400 kpc of
        the centroid (Buote & Tsai 1995, ApJ 452, 522, equations 1 to 5); ``asymmetry``, sum |I - I180| /
        sum I of blocks of 30 kpc about the centre of the image.

    Raises
    ------
    InputError
        If a column is missing, a redshift is not positive, or the images are narrower than 800 kpc.
    """
    need_columns(sample.catalogue, ["redshift", *([background] if background else [])], "sample")
    kpc = pixel_kpc(sample)
    narrow = min(sample.shape[2:]) * kpc < 2 * _WHOLE * 0.98
    if narrow.any():
        raise InputError(
            f"images must be at least {2 * _WHOLE:.0f} kpc wide at their redshift, got "
            f"{min(sample.shape[2:]) * kpc.min():.0f} kpc for {str(sample.object_ids[narrow][0])!r}"
        )
    redshift = numbers(sample.catalogue["redshift"])
    area = (kpc / COSMOLOGY.kpc_proper_per_arcmin(redshift).value) ** 2  # arcmin2 of a pixel
    level = numbers(sample.catalogue[background]) * area if background else np.zeros(len(sample))
    rows = []
    for part, images in sample.select(bands=(band,)).batches():
        for image, pixel, sky in zip(images[:, 0], kpc[part], level[part], strict=True):
            rows.append(_parameters(image.astype(np.float64) - sky, float(pixel)))
    table = QTable({"object_id": sample.object_ids})
    for name, column in zip(MORPHOLOGY, np.array(rows).reshape(-1, len(MORPHOLOGY)).T, strict=True):
        table[name] = column
    return table


def _parameters(image: NDArray[np.float64], kpc: float) -> Sequence[float]:
    """`MORPHOLOGY` of one image (y, x) with pixels of `kpc`."""
    peak = _peak(image, kpc)
    core, whole = _sums(image, peak, [_CORE / kpc, _WHOLE / kpc])
    axes = np.indices(image.shape, dtype=np.float64)
    return (
        core / max(whole, _LEAST),
        _cuspiness(image, peak, kpc),
        *_shape(image, axes[1], axes[0], _WHOLE / kpc),
        _asymmetry(image, kpc),
    )


def _peak(image: NDArray, kpc: float) -> tuple[float, float]:
    """Place (x, y) of the maximum within 200 kpc of the centre, smoothed with 15 kpc."""
    smooth = gaussian_filter(image, 15 / kpc)
    y, x = np.indices(image.shape)
    middle = (np.array(image.shape) - 1) / 2
    smooth[np.hypot(y - middle[0], x - middle[1]) > 200 / kpc] = -np.inf
    row, column = np.unravel_index(smooth.argmax(), image.shape)
    return float(column), float(row)


def _sums(image: NDArray, place: tuple[float, float], radii: ArrayLike) -> NDArray[np.float64]:
    """Sums in circles about a place, pixels on the edge in proportion."""
    x, y = (np.full(np.shape(radii), value) for value in place)
    return sep.sum_circle(np.ascontiguousarray(image), x, y, radii, subpix=0)[0]


def _cuspiness(image: NDArray, place: tuple[float, float], kpc: float) -> float:
    edges = np.array(_RINGS) / kpc
    light = np.diff(_sums(image, place, edges.tolist()), prepend=0.0)
    area = np.pi * np.diff(edges**2, prepend=0.0)
    radius = np.sqrt((edges**2 + np.append(0.0, edges[:-1]) ** 2) / 2)
    brightness = np.maximum(light / area, 0.3 / area)  # less than a third of a count is none
    return float(-0.5 * np.polyfit(np.log(radius), np.log(brightness), 1)[0])


def _shape(image: NDArray, x: NDArray, y: NDArray, whole: float) -> tuple[float, ...]:
    """Centroid shift, and the logarithms of the power ratios."""
    centre = np.array([(image.shape[1] - 1) / 2, (image.shape[0] - 1) / 2])
    centroids = []
    for radius in whole * _APERTURES[::-1]:
        inside = np.hypot(x - centre[0], y - centre[1]) <= radius
        light = max(image[inside].sum(), _LEAST)
        place = np.array([(image[inside] * axis[inside]).sum() / light for axis in (x, y)])
        centroids.append(place)
        if radius == whole:
            centre = np.clip(place, centre - whole / 2, centre + whole / 2)
    away = np.hypot(*(np.array(centroids) - centre).T)
    inside = np.hypot(x - centre[0], y - centre[1]) <= whole
    light, place = image[inside], ((x - centre[0]) + 1j * (y - centre[1]))[inside] / whole
    zero = (max(light.sum(), _LEAST) * np.log(whole)) ** 2
    powers = [abs((light * place**m).sum()) ** 2 / (2 * m**2) / zero for m in (2, 3, 4)]
    return float(away.std() / whole), *np.log10(np.maximum(powers, 1e-12)).tolist()


def _asymmetry(image: NDArray, kpc: float) -> float:
    n = round(2 * _WHOLE / _BLOCK)
    blocks = regrid(image, scale=_BLOCK / kpc, shape=(n, n), conserve="flux").astype(np.float64)
    turned = np.abs(blocks - blocks[::-1, ::-1]).sum()
    return float(turned / max(blocks.sum(), _LEAST))

"""What an optical cut-out shows at the place of a candidate, as five numbers."""

import astropy.units as u
import numpy as np
from astropy.table import QTable
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from labkit.errors import InputError
from labkit.images.segments import extract_segments
from labkit.images.sky import scatter_of_sky
from labkit.sample import Sample

#: Columns of `optical_numbers`.
OPTICAL = ("central_brightness", "light_10", "light_30", "neighbours", "asymmetry")
_SMOOTHING, _CENTRE = 2.0, 10.0  # arcsec: width of a Gaussian, and how far from the middle the peak may lie
_NEAR, _FAR = 60.0, 100.0  # arcsec, of the sources that may belong to it and of those that do not
_THRESHOLD, _LEAST_PIXELS = 2.5, 5  # of a source, in the sky's scatter


def optical_numbers(sample: Sample, *, band: str = "optical") -> QTable:
    """Measure the optical counterpart of each candidate, in units of the sky's scatter in its own cut-out.

    Parameters
    ----------
    sample : Sample
        Raw cut-outs centred on the candidates, three arcmin wide at least.
    band : str
        The optical band.

    Returns
    -------
    `~astropy.table.QTable`
        One row per object: ``object_id``; ``central_brightness``, that of the brightest place within 10
        arcsec of the middle, smoothed by 2 arcsec; about that place ``light_10`` and ``light_30``, mean
        brightness within 10 and 30 arcsec, and ``asymmetry``, sum |I - I180| / sum |I| of the smoothed image
        within 30 arcsec (Conselice 2003, ApJS 147, 1, equation 3, without the term of the sky);
        ``neighbours``, the sources within 60 arcsec of the middle less those expected from beyond 100. NaN
        where the cut-out has no sky.

    Raises
    ------
    InputError
        If the Sample is normalised or lacks the band, or its images are too narrow.
    """
    scale = sample.pixel_scale.to_value(u.arcsec)
    if "normalisation" in sample.provenance or min(sample.shape[2:]) * scale < 1.8 * _FAR:
        raise InputError(f"sample must hold raw images at least {1.8 * _FAR:.0f} arcsec wide, got {sample!r}")
    rows = []
    for _, images in sample.select(bands=(band,)).batches():
        for image, level, scatter in zip(images[:, 0], *scatter_of_sky(images[:, 0]), strict=True):
            known = scatter > 0  # NaN is not
            rows.append(_measured((image - level) / scatter, scale) if known else (np.nan,) * len(OPTICAL))
    columns = np.array(rows).reshape(-1, len(OPTICAL)).T
    return QTable({"object_id": sample.object_ids} | dict(zip(OPTICAL, columns, strict=True)))


def _measured(image: NDArray, scale: float) -> tuple[float, ...]:
    """`OPTICAL` of an image (y, x) in units of the sky's scatter, with pixels of `scale` arcsec."""
    image = np.nan_to_num(image)
    soft = gaussian_filter(image, _SMOOTHING / scale)
    y, x = scale * (np.indices(image.shape) - (np.array(image.shape)[:, None, None] - 1) / 2)
    row, column = np.unravel_index(np.where(np.hypot(x, y) <= _CENTRE, soft, -np.inf).argmax(), image.shape)
    away = np.hypot(x - x[row, column], y - y[row, column])
    half = round(30 / scale)
    box = soft[row - half : row + half + 1, column - half : column + half + 1]
    round_ = away[row - half : row + half + 1, column - half : column + half + 1] <= 30
    turned = np.abs(box - box[::-1, ::-1])[round_].sum() / max(np.abs(box[round_]).sum(), 1e-9)
    found, _ = extract_segments(image, _THRESHOLD, minarea=_LEAST_PIXELS)
    distance = np.hypot(
        *(scale * (found[axis] - (n - 1) / 2) for axis, n in zip("yx", image.shape, strict=True))
    )
    middle = np.hypot(x, y)
    expected = (distance > _FAR).sum() * (middle <= _NEAR).sum() / max((middle > _FAR).sum(), 1)
    light = (float(image[away <= radius].mean()) for radius in (10, 30))
    return float(soft[row, column]), *light, float((distance <= _NEAR).sum() - expected), float(turned)

"""How strong the emission must be for a filter to answer.

"There are filters which get activated only by stronger emission, while other filters are more sensitive to
X-ray emission" (Kosiba et al. 2020, section 5.4). Here every object's X-ray image is brought to the same peak
brightnesses, and each filter's answer is measured against them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.errors import InputError
from labkit.explain.inputs import Images, Prepared, prepare
from labkit.explain.resampling import interval, multiplicities
from labkit.learn.model import Model
from labkit.tables import Table

__all__ = ["Sensitivity", "sensitivity"]


@dataclass(frozen=True)
class Sensitivity:
    """Answers of a layer's filters to one band at rising brightness.

    Parameters
    ----------
    layer, band : str
        Layer, and the band whose brightness was changed.
    brightness : ndarray, shape (level,)
        Peak brightness of the band, above the sky, 1 the highest grey level.
    response : ndarray, shape (filter, level)
        Root mean square change of the filter's map from that with an empty band, in the layer's units.
    threshold, low, high : ndarray, shape (filter,)
        Brightness at which the answer reaches half of that at 1, and its 95 % interval over the objects; NaN
        for filters that do not answer. A filter in proportion to the brightness has 0.5.
    objects : int
        Objects measured.
    """

    layer: str
    band: str
    brightness: np.ndarray
    response: np.ndarray
    threshold: np.ndarray
    low: np.ndarray
    high: np.ndarray
    objects: int

    @property
    def table(self) -> Table:
        """One row a filter: ``layer``, ``filter``, ``threshold``, ``low``, ``high``, ``response`` at 1."""
        n = len(self.threshold)
        return Table(
            {
                "layer": np.full(n, self.layer),
                "filter": np.arange(n),
                "threshold": self.threshold,
                "low": self.low,
                "high": self.high,
                "response": self.response[:, -1],
            }
        )


def sensitivity(
    model: Model,
    images: Images,
    *,
    layer: str,
    rng: np.random.Generator,
    band: str | None = None,
    levels: int = 10,
    dead: float = 1e-3,
    resamples: int = 1000,
    **computing: Any,
) -> Sensitivity:
    """Answer of each filter of a layer against the peak brightness of a band.

    Each object's image in the band is scaled so that its brightest pixel has the given brightness; the other
    bands stay as they are. Objects whose band is empty are left out.

    Parameters
    ----------
    model : Model
        Any network.
    images : Sample, or array of uint8, shape (n, band, y, x)
        Normalised images.
    layer : str
        Name of a layer, from `labkit.explain.layers`.
    rng : Generator
        Draws the resamples.
    band : str, optional
        By default the model's first (X-ray).
    levels : int
        Brightnesses, evenly from 1/levels to 1.
    dead : float
        Filters that answer less than this share of the layer's strongest have no threshold.
    resamples : int
        Of the bootstrap.
    **computing
        ``device``, ``precision``, ``batch_size`` and ``accept_normalisation``, see
        `labkit.explain.inputs.prepare`.

    Returns
    -------
    Sensitivity
        Curves and thresholds.

    Raises
    ------
    InputError
        If the layer or band is unknown, or every object's band is empty.
    """
    ready = prepare(model, images, **computing)
    ready.opened.maps(layer)
    bands = model.experiment.named_bands
    band = bands[0] if band is None else band
    if band not in bands or levels < 2:
        raise InputError(f"band must be one of {bands} and levels at least 2, got {band!r} and {levels}")
    brightness = np.arange(1, levels + 1) / levels
    squares = _squared_answers(ready, layer, bands.index(band), brightness)
    if not len(squares):
        raise InputError(f"images must have emission in the band {band!r}, got none in all {len(ready)}")
    response = np.sqrt(squares.mean(0))  # (filter, level)
    answers = response[:, -1] > dead * response[:, -1].max()
    drawn = np.sqrt(np.einsum("rn,nfl->rfl", multiplicities(len(squares), resamples, rng), squares))
    bounds = interval(_half(drawn, brightness))
    blank = np.where(answers, 0.0, np.nan)
    threshold = _half(response, brightness) + blank
    low, high = bounds + blank
    return Sensitivity(layer, band, brightness, response, threshold, low, high, len(squares))


def _squared_answers(ready: Prepared, layer: str, column: int, brightness: np.ndarray) -> np.ndarray:
    """Mean square change from the map without the band, shape (object with emission, filter, level)."""
    found: list[np.ndarray] = []
    scales = [0.0, *brightness]
    for _, batch in ready.batches():
        peak = batch[:, column].amax((1, 2))
        lit, peak = batch[peak > 0], peak[peak > 0]
        if not len(lit):
            continue
        versions = []
        for scale in scales:
            scaled = lit.clone()
            scaled[:, column] *= (scale / peak)[:, None, None]
            versions.append(scaled)
        maps: list[Tensor] = []

        def keep(name: str, output: Tensor, maps: list[Tensor] = maps) -> None:
            maps.append(output.float().clone())

        for version in versions:
            ready.run(version, [layer], keep)
        squares = [(part - maps[0]).square().mean((2, 3)) for part in maps[1:]]
        found.append(torch.stack(squares, -1).double().cpu().numpy())
    return np.concatenate(found) if found else np.empty((0, 0, len(brightness)))


def _half(response: np.ndarray, brightness: np.ndarray) -> np.ndarray:
    """Brightness where half the last answer is first crossed, on lines between levels: (..., filter)."""
    y = np.concatenate([np.zeros_like(response[..., :1]), response], axis=-1)
    x = np.concatenate([[0.0], brightness])
    half = 0.5 * y[..., -1:]
    after = np.argmax(y >= half, axis=-1).clip(min=1)[..., None]
    y1, y0 = (np.take_along_axis(y, after - step, axis=-1)[..., 0] for step in (0, 1))
    rise = np.where(y1 > y0, y1 - y0, 1.0)
    return x[after[..., 0] - 1] + (x[after[..., 0]] - x[after[..., 0] - 1]) * (half[..., 0] - y0) / rise

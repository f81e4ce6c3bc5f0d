"""Faithfulness: how much a network's answer hangs on the pixels that a map points at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.errors import InputError
from labkit.explain.inputs import Images, Prepared, prepare
from labkit.explain.resampling import interval, multiplicities
from labkit.explain.targets import Target, target_codes
from labkit.learn.model import Model
from labkit.learn.predict import probabilities
from labkit.tables import Table

__all__ = ["Deletion", "deletion"]


@dataclass(frozen=True)
class Deletion:
    """Drop of the explained class's probability without some pixels.

    Parameters
    ----------
    shares : ndarray, shape (share,)
        Share of the pixels that were blanked.
    drop : ndarray, shape (object, share)
        Drop without the highest pixels of the object's map.
    reference : ndarray, shape (object, share)
        Drop without as many other pixels, mean over the draws.
    against : str
        Which others.
    """

    shares: np.ndarray
    drop: np.ndarray
    reference: np.ndarray
    against: str

    def table(self, *, rng: np.random.Generator, resamples: int = 1000) -> Table:
        """Mean drops, and their difference with a 95 % interval over the objects.

        Parameters
        ----------
        rng : Generator
            Draws the resamples.
        resamples : int
            Of the bootstrap; the same objects for both drops.

        Returns
        -------
        Table
            ``share``, ``drop``, ``reference``, ``difference``, ``difference_low``, ``difference_high``.
        """
        weights = multiplicities(len(self.drop), resamples, rng)
        difference = self.drop - self.reference
        bounds = interval(weights @ difference)
        return Table(
            {
                "share": self.shares,
                "drop": self.drop.mean(0),
                "reference": self.reference.mean(0),
                "difference": difference.mean(0),
                "difference_low": bounds[0],
                "difference_high": bounds[1],
            }
        )


def deletion(
    model: Model,
    images: Images,
    maps: np.ndarray,
    *,
    rng: np.random.Generator,
    target: Target = None,
    shares: Sequence[float] = (0.02, 0.05, 0.1, 0.2),
    against: str = "shifted",
    draws: int = 5,
    **computing: Any,
) -> Deletion:
    """Blank the pixels that a map ranks highest, in all bands, and compare with blanking others.

    Blank pixels hold empty sky. Scattered blank pixels are something that no network has seen, and may hurt
    more than any hole; the fairer reference is the same hole elsewhere.

    Parameters
    ----------
    model : Model
        Any network.
    images : Sample, or array of uint8, shape (n, band, y, x)
        Normalised images.
    maps : ndarray, shape (n, y, x)
        Maps of the same objects at the images' size; equal pixels are ranked at random.
    rng : Generator
        Draws the references.
    target : str, int, sequence of these, or None
        The class, see `labkit.explain.class_activation_with_scale`.
    shares : sequence of float
        Shares of the pixels to blank, between 0 and 1.
    against : str
        ``"shifted"``: the same map moved by a quarter of the image or more along both axes, around the edges;
        ``"pixels"``: pixels drawn one by one.
    draws : int
        References an object.
    **computing
        ``device``, ``precision``, ``batch_size`` and ``accept_normalisation``, see
        `labkit.explain.inputs.prepare`.

    Returns
    -------
    Deletion
        Drops of each object.

    Raises
    ------
    InputError
        If maps and images differ in shape, a share is not between 0 and 1, or an option is unknown.
    """
    ready = prepare(model, images, **computing)
    maps, wanted = np.asarray(maps), np.asarray(shares, dtype=np.float64)
    if maps.shape != (len(ready), *ready.image_shape):
        raise InputError(
            f"maps must have the images' shape {(len(ready), *ready.image_shape)}, got {maps.shape}"
        )
    if wanted.ndim != 1 or not len(wanted) or (wanted <= 0).any() or (wanted >= 1).any() or draws < 1:
        raise InputError(
            f"shares must lie between 0 and 1 and draws be at least 1, got {list(shares)}, {draws}"
        )
    if against not in ("shifted", "pixels"):
        raise InputError(f"against must be 'shifted' or 'pixels', got {against!r}")
    codes = target_codes(model, target, len(ready))
    drop, reference = (np.empty((len(ready), len(wanted))) for _ in range(2))
    for rows, levels in ready.pieces():
        before = _probabilities(ready, levels)
        used = before.argmax(1) if codes is None else codes[rows]
        each = np.arange(len(used)), used
        orders = [_order(maps[rows], rng)]
        orders += [_order(_elsewhere(maps[rows], against, rng), rng) for _ in range(draws)]
        for column, share in enumerate(wanted):
            after = [
                _probabilities(ready, _blanked(levels, order, share, ready.model.sky))[each]
                for order in orders
            ]
            drop[rows, column] = before[each] - after[0]
            reference[rows, column] = before[each] - np.mean(after[1:], axis=0)
    return Deletion(wanted, drop, reference, against)


def _probabilities(ready: Prepared, levels: Tensor) -> np.ndarray:
    return probabilities(ready.model, levels, batch_size=ready.batch_size, precision=ready.precision)


def _elsewhere(maps: np.ndarray, against: str, rng: np.random.Generator) -> np.ndarray:
    if against == "pixels":
        return np.zeros_like(maps)
    ny, nx = maps.shape[1:]
    moved = [
        np.roll(
            one, (rng.integers(ny // 4, ny - ny // 4 + 1), rng.integers(nx // 4, nx - nx // 4 + 1)), (0, 1)
        )
        for one in maps
    ]
    return np.stack(moved)


def _order(maps: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pixels from the highest to the lowest, shape (n, y * x); equal ones in random order."""
    flat = maps.reshape(len(maps), -1)
    return np.lexsort((rng.random(flat.shape), -flat), axis=1)


def _blanked(levels: Tensor, order: np.ndarray, share: float, sky: int) -> Tensor:
    n, bands, ny, nx = levels.shape
    gone = torch.from_numpy(order[:, : max(1, round(share * ny * nx))].copy()).to(levels.device)
    flat = levels.reshape(n, bands, ny * nx).clone()
    return flat.scatter_(2, gone[:, None].expand(-1, bands, -1), sky).reshape(levels.shape)

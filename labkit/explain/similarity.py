"""How alike two maps are: by the order of their pixels, and by their structure."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch.nn import functional

from labkit.errors import InputError

__all__ = ["rank_correlation", "structural_similarity"]

_C1, _C2 = 0.01**2, 0.03**2  # Wang et al. (2004), K1 and K2 for a range of 1


def _pair(first: ArrayLike, second: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.ndim != 3 or a.shape != b.shape:
        raise InputError(f"maps must have one shape (n, y, x), got {a.shape} and {b.shape}")
    return a, b


def _ranks(values: np.ndarray) -> np.ndarray:
    """Rank of each value, equal values sharing their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - 0.5 * (counts - 1))[inverse.ravel()]


def rank_correlation(first: ArrayLike, second: ArrayLike) -> np.ndarray:
    """Spearman's rank correlation of each pair of maps over their pixels.

    Parameters
    ----------
    first, second : array_like, shape (n, y, x)
        Maps.

    Returns
    -------
    ndarray, shape (n,)
        From -1 to 1; 0 where a map is constant, for it orders nothing.

    Raises
    ------
    InputError
        If the shapes differ.
    """
    a, b = _pair(first, second)
    result = np.zeros(len(a))
    for row, (one, other) in enumerate(zip(a, b, strict=True)):
        x, y = _ranks(one), _ranks(other)
        x, y = x - x.mean(), y - y.mean()
        norm = np.sqrt((x @ x) * (y @ y))
        result[row] = x @ y / norm if norm > 0 else 0.0
    return result


def structural_similarity(first: ArrayLike, second: ArrayLike, *, window: int = 7) -> np.ndarray:
    """Mean structural similarity of each pair of maps (Wang et al. 2004, eq. 13), uniform window.

    Parameters
    ----------
    first, second : array_like, shape (n, y, x)
        Maps from 0 to 1.
    window : int
        Side of the window in pixels, odd.

    Returns
    -------
    ndarray, shape (n,)
        1 for equal maps.

    Raises
    ------
    InputError
        If the shapes differ, or the maps are smaller than the window.
    """
    a, b = (torch.from_numpy(array)[:, None] for array in _pair(first, second))
    if window < 3 or window % 2 == 0 or min(a.shape[2:]) < window:
        raise InputError(
            f"window must be odd, from 3 px to the side of the maps {tuple(a.shape[2:])}, got {window}"
        )

    def mean(values: torch.Tensor) -> torch.Tensor:
        return functional.avg_pool2d(values, window, stride=1)

    ma, mb = mean(a), mean(b)
    unbiased = window**2 / (window**2 - 1)
    va, vb, cov = (
        (mean(p * q) - mp * mq) * unbiased
        for p, q, mp, mq in ((a, a, ma, ma), (b, b, mb, mb), (a, b, ma, mb))
    )
    ssim = (2 * ma * mb + _C1) * (2 * cov + _C2) / ((ma**2 + mb**2 + _C1) * (va + vb + _C2))
    return ssim.mean((1, 2, 3)).numpy()

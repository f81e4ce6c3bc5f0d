"""Intervals by drawing the objects again."""

from __future__ import annotations

import numpy as np

from labkit.errors import InputError

__all__ = ["interval", "multiplicities"]


def multiplicities(n: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Share of each of n objects in each resample with replacement, shape (resamples, n); rows sum to one.

    Raises
    ------
    InputError
        If there is no object, or no resample.
    """
    if n < 1 or resamples < 1:
        raise InputError(f"images and resamples must be at least 1, got {n} and {resamples}")
    return rng.multinomial(n, np.full(n, 1 / n), size=resamples) / n


def interval(draws: np.ndarray, *, confidence: float = 0.95) -> np.ndarray:
    """Percentile interval along the first axis, shape (2, ...).

    Parameters
    ----------
    draws : ndarray, shape (resamples, ...)
        Bootstrap draws, all finite.
    confidence : float
        Of the two-sided interval.
    """
    return np.quantile(draws, (0.5 - confidence / 2, 0.5 + confidence / 2), axis=0)

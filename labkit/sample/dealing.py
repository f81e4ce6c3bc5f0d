"""Dealing objects out, so that every part has its share of each class and group."""

from __future__ import annotations

import numpy as np


def dealing_order(codes: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows that take part, class by class and in it group by group, shuffled in each.

    Dealt from this order one by one, every part gets its share of each class and of each group in it, within
    one object.

    Parameters
    ----------
    codes : ndarray of int, shape (n,)
        Class numbers; negative ones take no part.
    groups : ndarray, shape (n,)
        A further property of each, such as the host cluster.
    rng : Generator
        Shuffles.

    Returns
    -------
    ndarray of int64
        Rows.
    """
    shuffled = rng.permutation(len(codes))
    order = shuffled[np.lexsort((groups[shuffled], codes[shuffled]))]
    return order[codes[order] >= 0]


def every(share: float, n: int, *, start: float = 0.5) -> np.ndarray:
    """Mark a share of `n` places evenly along their order, as every tenth.

    Parameters
    ----------
    share : float
        Fraction of the places, from 0 to 1.
    n : int
        Number of places.
    start : float
        From 0 to 1: where the first mark falls, early for 1.

    Returns
    -------
    ndarray of bool, shape (n,)
        True where marked.
    """
    return np.diff(np.floor(np.arange(n + 1) * share + start)) > 0

"""Dealing objects out, so that every part has its share of each class and group."""

from __future__ import annotations

import numpy as np


def dealing_order(codes: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows that take part, class by class and in it group by group, shuffled in each.

    Dealt from this order one by one, every part gets its share of each class and of each group in it, within
    one object.

    Shapes: codes (n,), groups (n,).
    """
    shuffled = rng.permutation(len(codes))
    order = shuffled[np.lexsort((groups[shuffled], codes[shuffled]))]
    return order[codes[order] >= 0]


def every(share: float, n: int, *, start: float = 0.5) -> np.ndarray:
    """Mark a share of `n` places evenly along their order, as every tenth.

    Shape (n,).
    """
    return np.diff(np.floor(np.arange(n + 1) * share + start)) > 0

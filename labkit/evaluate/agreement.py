"""Where methods agree, rightly and wrongly (Angora et al. 2020, section 4.3, Fig. D.2)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, product

import numpy as np
from astropy.table import QTable
from numpy.typing import NDArray

from labkit.evaluate.trainings import common_scores
from labkit.predictions import Predictions


def agreement_table(methods: Mapping[str, Predictions], *, threshold: float = 0.5) -> QTable:
    """How many objects which methods classify correctly together: the fields of the Venn diagram (Fig. D.2).

    Parameters
    ----------
    methods : mapping of str to Predictions
        Compared on the objects that all of them judged.
    threshold : float
        A higher probability counts as a member.

    Returns
    -------
    `~astropy.table.QTable`
        One row for each combination of methods that are right while the others are wrong, all right first:
        one bool column for each method, ``members``, ``non_members`` (numbers), ``share_members``,
        ``share_non_members`` and ``share`` (of all).
    """
    member, right = _right(methods, threshold)
    rows = []
    for pattern in product((True, False), repeat=len(methods)):
        here = (right == pattern).all(axis=1)
        rows.append(
            dict(zip(methods, pattern, strict=True))
            | {"members": int((here & member).sum()), "non_members": int((here & ~member).sum())}
            | {"share_members": _share(here, member), "share_non_members": _share(here, ~member)}
            | {"share": here.mean()}
        )
    return QTable(rows=rows)


def pair_table(methods: Mapping[str, Predictions], *, threshold: float = 0.5) -> QTable:
    """How often two methods decide alike, rightly and wrongly (Angora et al. 2020, section 4.3).

    Parameters
    ----------
    methods, threshold
        As for `agreement_table`.

    Returns
    -------
    `~astropy.table.QTable`
        One row for each pair: ``first``, ``second``, ``alike`` (share of all objects), ``right`` (share of
        those decided alike that are correct), ``false_negatives`` and ``false_positives`` (common errors, of
        all members and of all non-members).
    """
    member, right = _right(methods, threshold)
    column = dict(zip(methods, right.T, strict=True))
    rows = []
    for first, second in combinations(methods, 2):
        alike, wrong = column[first] == column[second], ~column[first] & ~column[second]
        row = {"first": first, "second": second, "alike": alike.mean()}
        row |= {"right": _share(column[first], alike), "false_negatives": _share(wrong, member)}
        rows.append(row | {"false_positives": _share(wrong, ~member)})
    return QTable(rows=rows)


def _share(here: NDArray[np.bool_], of: NDArray[np.bool_]) -> float:
    return float(here[of].mean()) if of.any() else float("nan")


def _right(methods: Mapping[str, Predictions], threshold: float) -> tuple[NDArray, NDArray]:
    """Who is a member, and which methods are right about it, shape (n, method)."""
    scores = common_scores(methods)
    member = np.asarray(scores["member"], dtype=bool)
    chosen = np.column_stack([np.asarray(scores[name]) > threshold for name in methods])
    return member, chosen == member[:, None]

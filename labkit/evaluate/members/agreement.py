"""Where methods agree, rightly and wrongly (Angora et al. 2020, section 4.3, Fig. D.2)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, product

import numpy as np
from astropy.table import QTable, Table
from numpy.typing import NDArray

from labkit.evaluate.members.common import common_scores
from labkit.predictions import Predictions

__all__ = ["agreement_table", "pair_table"]


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
        A row for each combination of methods that are right while the others are wrong, all right first: one
        bool column a method, ``members``, ``non_members`` (numbers), ``share_members``,
        ``share_non_members``,
        ``share`` (of all).

    Raises
    ------
    InputError
        As for `common_scores`.
    """
    scores = common_scores(methods)
    member, right = _right(scores, methods, threshold)
    rows = []
    for pattern in product((True, False), repeat=len(methods)):
        here = (right == pattern).all(axis=1)
        numbers = {"members": int((here & member).sum()), "non_members": int((here & ~member).sum())}
        shares = {
            "share_members": numbers["members"] / member.sum() if member.any() else np.nan,
            "share_non_members": numbers["non_members"] / (~member).sum() if (~member).any() else np.nan,
            "share": here.mean(),
        }
        rows.append(dict(zip(methods, pattern, strict=True)) | numbers | shares)
    return QTable(rows=rows)


def pair_table(methods: Mapping[str, Predictions], *, threshold: float = 0.5) -> QTable:
    """How often two methods decide alike, rightly and wrongly (Angora et al. 2020, section 4.3).

    Parameters
    ----------
    methods : mapping of str to Predictions
        Compared on the objects that all of them judged.
    threshold : float
        A higher probability counts as a member.

    Returns
    -------
    `~astropy.table.QTable`
        A row a pair: ``first``, ``second``, ``alike`` (share of all objects), ``right`` (share of those
        decided alike that are correct), ``false_negatives`` and ``false_positives`` (common errors, of all
        members and of all non-members).

    Raises
    ------
    InputError
        As for `common_scores`.
    """
    scores = common_scores(methods)
    member, right = _right(scores, methods, threshold)
    column = dict(zip(methods, right.T, strict=True))
    rows = []
    for first, second in combinations(methods, 2):
        alike, wrong = column[first] == column[second], ~column[first] & ~column[second]
        rows.append(
            {
                "first": first,
                "second": second,
                "alike": alike.mean(),
                "right": column[first][alike].mean() if alike.any() else np.nan,
                "false_negatives": wrong[member].mean() if member.any() else np.nan,
                "false_positives": wrong[~member].mean() if (~member).any() else np.nan,
            }
        )
    return QTable(rows=rows)


def _right(
    scores: Table, methods: Mapping[str, Predictions], threshold: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Who is a member, and which methods are right about it, shape (n, method)."""
    member = np.asarray(scores["member"], dtype=bool)
    chosen = np.column_stack([np.asarray(scores[name]) > threshold for name in methods])
    return member, chosen == member[:, None]

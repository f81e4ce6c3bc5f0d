"""Members in equally filled bins of redshift, each with non-members of its own (Angora et al. 2020, EXP1)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.sample import Sample
from labkit.sources.members.setups.classes import class_codes, number_of, with_setups
from labkit.taxonomy import MEMBER

__all__ = ["bin_names", "with_redshift_bins"]

logger = logging.getLogger(__name__)


def with_redshift_bins(
    sample: Sample,
    *,
    bins: int = 5,
    non_members_each: float | None = 1.0,
    label: str = "label_mixed_star",
    seed: int = 0,
) -> Sample:
    """Columns ``label_z1`` and on: members of rising redshift, with non-members dealt at random.

    Members are split into bins of equal number (within one) by their own redshift. Non-members are dealt at
    random without repetition, "an appropriate number" (appendix D.1). By default it is as many as members:
    in every bin of Table D.3 the average efficiency is the mean of the two completenesses, as it is for
    classes of equal number only.

    The printed bins cannot all be equally filled, with "about 280" each: by Table 1, 584 of the 1629 members
    lie above z = 0.41, in two bins, and 1045 below it, in three. Ours are, so their edges differ a little.

    Parameters
    ----------
    sample : Sample
        Sources with the columns ``redshift`` and `label`; pixels stay unread.
    bins : int
        Number of bins, at least 2.
    non_members_each : float, optional
        Non-members for each member; where there are too few, or for None, all are dealt, as equally as
        members.
    label : str
        Column of labels; sources with an empty one, and members without redshift, take no part.
    seed : int
        Deals the non-members.

    Returns
    -------
    Sample
        The same pixels, more columns; ``provenance["setups"]["redshift bins"]["edges"]`` holds the edges, one
        more than bins, halfway between the members on either side.

    Raises
    ------
    InputError
        If there are fewer members with redshift, or non-members, than bins.
    """
    if bins < 2 or (non_members_each is not None and not non_members_each > 0):
        raise InputError(
            f"bins must be 2 or more and non_members_each above 0 or None, got {bins} and {non_members_each}"
        )
    codes, z = class_codes(sample, label), number_of(sample, "redshift")
    members = np.flatnonzero((codes == 1) & np.isfinite(z))
    others = np.random.default_rng(seed).permutation(np.flatnonzero(codes == 0))
    if min(len(members), len(others)) < bins:
        raise InputError(
            f"bins must be at most the number of members with redshift, {len(members)}, and of non-members, "
            f"{len(others)}, got {bins}"
        )
    if unknown := int((codes == 1).sum()) - len(members):
        logger.warning("%d members without redshift are in no bin", unknown)
    members = members[np.argsort(z[members], kind="stable")]
    groups = np.array_split(members, bins)
    dealt = _dealt(others, [len(group) for group in groups], non_members_each)
    columns = {
        f"label_z{number}": _labels(len(sample), *pair)
        for number, pair in enumerate(zip(groups, dealt, strict=True), start=1)
    }
    between = [(z[low[-1]] + z[high[0]]) / 2 for low, high in pairwise(groups)]
    edges = [float(value) for value in (z[members[0]], *between, z[members[-1]])]
    about = {"redshift bins": {"edges": edges, "label": label, "seed": seed}}
    return with_setups(sample, columns, about)


def _dealt(others: NDArray[np.int64], members: list[int], each: float | None) -> list[NDArray[np.int64]]:
    """Shuffled non-members for each bin: so many for each member, or all."""
    wanted = [round((each or 0) * number) for number in members]
    if each is None or sum(wanted) > len(others):
        if each is not None:
            logger.warning("%d non-members are too few for %d; all are dealt", len(others), sum(wanted))
        return np.array_split(others, len(members))
    return np.split(others[: sum(wanted)], np.cumsum(wanted)[:-1])


def _labels(size: int, members: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.str_]:
    non_member, member = MEMBER.classes
    labels = np.full(size, "", dtype=f"U{len(non_member)}")
    labels[members], labels[others] = member, non_member
    return labels


def bin_names(edges: Sequence[float]) -> tuple[str, ...]:
    """Names of bins as in Table D.3, such as "0.18-0.32", from their edges."""
    return tuple(f"{low:.2f}-{high:.2f}" for low, high in pairwise(edges))

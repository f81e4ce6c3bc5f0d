"""Training sets that grow by disjoint subsets (Angora et al. 2020, appendix D.1, Fig. D.1)."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from labkit.errors import InputError
from labkit.sample import Sample
from labkit.sample.dealing import dealing_order
from labkit.sources.members.setups.classes import class_codes, column_of, with_setups

__all__ = ["with_growing_sets"]

logger = logging.getLogger(__name__)


def with_growing_sets(
    sample: Sample,
    *,
    label: str = "label_mixed_star",
    subsets: int = 10,
    steps: Sequence[int] | None = None,
    cluster: str = "cluster",
    seed: int = 0,
) -> Sample:
    """Columns ``label_grow_<configuration>_<n>``: n of ten disjoint subsets together.

    Every subset holds its share of each class of each cluster, within one source; a cluster with fewer
    sources of a class than there are subsets lacks it in some, which the log tells. A larger set holds
    every smaller one.

    Parameters
    ----------
    sample : Sample
        Sources with the columns named; pixels stay unread.
    label : str
        Column of labels, ``label_<configuration>``; sources with an empty one take no part.
    subsets : int
        Number of disjoint subsets, at least 2.
    steps : sequence of int, optional
        How many subsets are merged, rising; by default 1 to `subsets`.
    cluster : str
        Column of the clusters' names.
    seed : int
        Deals the sources.

    Returns
    -------
    Sample
        The same pixels, more columns.

    Raises
    ------
    InputError
        If a class has fewer sources than there are subsets, or steps do not rise within 1 to `subsets`.
    """
    merged = tuple(range(1, subsets + 1) if steps is None else steps)
    if subsets < 2 or not merged or list(merged) != sorted(set(merged) & set(range(1, subsets + 1))):
        raise InputError(
            f"steps must rise within 1 to subsets, and subsets be 2 or more, got {merged} and {subsets}"
        )
    codes, hosts = class_codes(sample, label), column_of(sample, cluster)
    members, others = (int((codes == code).sum()) for code in (1, 0))
    if min(members, others) < subsets:
        raise InputError(
            f"subsets must be at most the number of members and of non-members, {members} and {others}, got "
            f"{subsets}; use fewer"
        )
    order = dealing_order(codes, hosts, np.random.default_rng(seed))
    number = np.full(len(codes), subsets, dtype=np.int64)
    number[order] = np.arange(len(order)) % subsets
    groups, sizes = np.unique([hosts[order], codes[order].astype(str)], axis=1, return_counts=True)
    if short := sorted({str(host) for host in groups[0][sizes < subsets]}):
        logger.warning("clusters with fewer than %d sources of a class: %s", subsets, ", ".join(short))
    labels, name = column_of(sample, label), label.removeprefix("label_")
    columns = {f"label_grow_{name}_{n}": np.where(number < n, labels, "") for n in merged}
    about = {f"grow {name}": {"subsets": subsets, "steps": list(merged), "label": label, "seed": seed}}
    return with_setups(sample, columns, about)

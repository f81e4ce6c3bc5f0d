"""Blind clusters, and training sets of different ranges of redshift (Angora et al. 2020, section 4.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.sample import Sample
from labkit.sample.dealing import dealing_order, every
from labkit.sources.members.setups.classes import (
    class_codes,
    column_of,
    need_both,
    number_of,
    with_setups,
)

__all__ = ["with_training_ranges"]

Range = Sequence[float] | Sequence[str]


def with_training_ranges(
    sample: Sample,
    *,
    blind: Iterable[str],
    ranges: Mapping[str, Range],
    validation: float = 0.1,
    label: str = "label_mixed_star",
    cluster: str = "cluster",
    seed: int = 0,
) -> Sample:
    """A column ``split_<name>`` for each range: some clusters to train on, the blind ones to test.

    The blind clusters are "test" in every range. By cluster redshift, both ends included, the ranges of the
    paper hold the numbers of section 4.2 exactly, from Table 1: 514 members and 555 non-members (narrow,
    0.332 to 0.412), 898 and 1157 (intermediate, 0.286 to 0.467), 1286 and 1725 (large, 0.174 to 0.606). The
    paper does not say whether the tenth for validation is part of them; here it is.

    The validation set holds its share of every class of every cluster, within one source, and is drawn
    once: a source that validates in one range does in all that hold its cluster, so that ranges differ by
    their clusters alone. No training set holds a cluster of the test, by design.

    Parameters
    ----------
    sample : Sample
        Sources with the columns named and ``cluster_redshift``; pixels stay unread.
    blind : iterable of str
        Clusters to test on.
    ranges : mapping of str to (float, float) or sequence of str
        Lowest and highest cluster redshift of each training set, blind clusters excepted, or its clusters.
    validation : float
        Share of the training clusters' sources that is set aside, 0 to below 1.
    label, cluster : str
        Columns of labels (sources with an empty one take no part) and of the clusters' names.
    seed : int
        Draws the validation set.

    Returns
    -------
    Sample
        The same pixels, more columns; ``provenance["setups"]`` records the clusters of each range.

    Raises
    ------
    InputError
        If a cluster is not in the Sample, a range holds none or a blind one by name, or the training,
        validation or test set has only one class.
    """
    if not 0 <= validation < 1:
        raise InputError(f"validation must be a share from 0 to below 1, got {validation}")
    codes, hosts = class_codes(sample, label), column_of(sample, cluster)
    taking_part = dict.fromkeys(hosts[codes >= 0].tolist())
    z = number_of(sample, "cluster_redshift")
    redshifts = {host: float(z[hosts == host][0]) for host in taking_part}
    tested = _named("blind", (blind,) if isinstance(blind, str) else blind, redshifts)
    is_test = np.isin(hosts, tested) & (codes >= 0)
    need_both(codes[is_test], f"the blind clusters {tested}", remedy="choose other clusters")
    order = dealing_order(np.where(is_test, -1, codes), hosts, np.random.default_rng(seed))
    aside = np.zeros(len(hosts), dtype=bool)
    aside[order[every(validation, len(order))]] = True
    columns: dict[str, NDArray[np.str_]] = {}
    about: dict[str, Any] = {}
    for name, given in ranges.items():
        clusters = _clusters(name, given, tested, redshifts)
        here = np.isin(hosts, clusters) & (codes >= 0)
        parts = {"train": here & ~aside, "validation": here & aside, "test": is_test}
        for part in ("train", "validation") if validation else ("train",):
            remedy = "widen it" if part == "train" else "widen it, or raise validation"
            need_both(codes[parts[part]], f"the {part} set of range {name!r}", remedy=remedy)
        columns[f"split_{name}"] = np.select(list(parts.values()), list(parts), "")
        about[f"range {name}"] = {"clusters": clusters, "blind": tested, "label": label, "seed": seed}
    return with_setups(sample, columns, about)


def _named(argument: str, names: Iterable[str], known: Mapping[str, float]) -> list[str]:
    found = list(dict.fromkeys(map(str, names)))
    if strange := [name for name in found if name not in known]:
        raise InputError(
            f"{argument} must name clusters with sources that take part, {tuple(known)}, got {strange}"
        )
    if not found:
        raise InputError(f"{argument} must name a cluster at least, got none")
    return found


def _clusters(name: str, given: Range, blind: list[str], redshifts: Mapping[str, float]) -> list[str]:
    """Training clusters of a range, by redshift or by name."""
    values = list(given)
    if all(isinstance(value, str) for value in values):
        clusters = _named(f"range {name!r}", [str(value) for value in values], redshifts)
        if both := [host for host in clusters if host in blind]:
            raise InputError(f"range {name!r} must hold no blind cluster, got {both}; keep them out of it")
        return clusters
    if len(values) != 2:
        raise InputError(f"range {name!r} must be a lowest and a highest redshift, or clusters, got {values}")
    low, high = cast(tuple[float, float], values)
    clusters = [host for host, z in redshifts.items() if low <= z <= high and host not in blind]
    if not clusters:
        listed = {host: round(z, 3) for host, z in redshifts.items()}
        raise InputError(
            f"range {name!r} must hold a cluster that is not blind, got none from {low} to {high}; there are "
            f"{listed}, blind {blind}"
        )
    return clusters

"""The catalogue of members completed by a network, and where methods agree (Angora et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, product

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.evaluate.trainings import common_scores, mean_scores
from labkit.photometry import match
from labkit.predictions import Predictions
from labkit.tables import magnitudes, text
from labkit.taxonomy import get_scheme

_SURE = 0.9
_GROUPS = ("spectroscopic member", "candidate member", "non-member", "candidate non-member")


def complete_members(
    catalogue: Table,
    predictions: Predictions,
    *,
    magnitude: str = "mag_F814",
    limit: float = 25.0,
    threshold: float = 0.5,
) -> QTable:
    """Say of every source by what it is a member: by its spectrum, or by a network down to a magnitude.

    A spectrum's verdict stands whatever the network says and however faint the source is. Sources without a
    redshift are members if their mean probability over all runs is above the threshold and they are not
    fainter than the limit, beyond which hardly any member was there to learn from (3 % in the paper).

    Parameters
    ----------
    catalogue : Table
        Of a member Sample: ``object_id``, ``label`` ("member", "non-member", "" without redshift), the column
        of magnitudes, and whatever else is to be kept.
    predictions : Predictions
        Of the sources without redshift, at least; scheme "member".
    magnitude : str
        Column of the limit; a source without one cannot pass it.
    limit : float
        Faintest magnitude of a network's member.
    threshold : float
        A higher probability counts as a member.

    Returns
    -------
    `~astropy.table.QTable`
        The catalogue with ``probability`` (NaN where there is no prediction) and ``member_by``
        ("spectroscopy", "network" or ""). ``meta`` keeps magnitude, limit and threshold.
    """
    if missing := [name for name in ("object_id", "label", magnitude) if name not in catalogue.colnames]:
        raise InputError(
            f"catalogue must have the columns object_id, label and {magnitude}, got none for {missing}; name "
            "the column of magnitudes by magnitude="
        )
    codes = get_scheme("member").encode(text(catalogue["label"]))
    found = mean_scores(predictions)
    known = dict(zip(found["object_id"].tolist(), found["mean"].tolist(), strict=True))
    probability = np.array([known.get(name, np.nan) for name in text(catalogue["object_id"]).tolist()])
    if len(codes) and not np.isfinite(probability).any():
        raise InputError("predictions must judge sources of the catalogue, got none of them")
    bright = magnitudes(catalogue[magnitude]) <= limit
    table = QTable(catalogue)
    table["probability"] = probability
    by_network = (codes < 0) & (probability > threshold) & bright
    table["member_by"] = np.select([codes == 1, by_network], ["spectroscopy", "network"], default="")
    table.meta = {"magnitude": magnitude, "limit": float(limit), "threshold": float(threshold)}
    return table


def _completed(table: Table, *more: str) -> tuple[NDArray, NDArray, NDArray]:
    """Label, probability and member_by of a completed catalogue."""
    needed = ("label", "probability", "member_by", *more)
    if missing := [name for name in needed if name not in table.colnames]:
        raise InputError(f"completed must come from complete_members, got no columns {missing}")
    p = np.asarray(table["probability"], dtype=np.float64)
    return text(table["label"]), p, text(table["member_by"])


def completion_counts(completed: Table) -> Table:
    """How many members spectra and network found in each cluster, with a last row of sums.

    Parameters
    ----------
    completed : Table
        From `complete_members`, with ``cluster`` if there are several.

    Returns
    -------
    Table
        ``cluster``, then numbers: ``spectroscopic_members``, ``spectroscopic_non_members``, ``run`` (judged
        by the network alone), ``unjudged``, ``network_members``, of which ``sure`` (p > 0.9), ``too_faint``
        (probable, but beyond the limit) and ``members`` in all.
    """
    label, p, by = _completed(completed)
    unknown, network = label == "", by == "network"
    columns = {
        "spectroscopic_members": label == "member",
        "spectroscopic_non_members": label == "non-member",
        "run": unknown & np.isfinite(p),
        "unjudged": unknown & ~np.isfinite(p),
        "network_members": network,
        "sure": network & (p > _SURE),
        "too_faint": unknown & (p > completed.meta.get("threshold", 0.5)) & ~network,
        "members": by != "",
    }
    hosts = text(completed["cluster"]) if "cluster" in completed.colnames else np.full(len(p), "all")
    groups = {name: hosts == name for name in dict.fromkeys(hosts.tolist())} | {"all": np.ones(len(p), bool)}
    rows = [[name, *(int(mask[here].sum()) for mask in columns.values())] for name, here in groups.items()]
    return Table(rows=rows, names=["cluster", *columns])


def member_groups(completed: Table) -> NDArray[np.str_]:
    """The group of each source in figures of the completed catalogue (Figs 8 and 9).

    Parameters
    ----------
    completed : Table
        From `complete_members`.

    Returns
    -------
    ndarray of str, shape (n,)
        "spectroscopic member", "candidate member", "non-member", "candidate non-member" (judged, and not
        fainter than the limit), or "".
    """
    magnitude = completed.meta.get("magnitude", "")
    label, p, by = _completed(completed, magnitude)
    bright = magnitudes(completed[magnitude]) <= completed.meta["limit"]
    cases = (
        by == "spectroscopy",
        by == "network",
        label == "non-member",
        (label == "") & np.isfinite(p) & bright,
    )
    return np.select(cases, _GROUPS, default="")


def check_members(
    completed: Table, truth: Mapping[str, Table], *, radius: u.Quantity = 0.5 * u.arcsec
) -> QTable:
    """What the sources of a completed catalogue really are, where the truth is known (simulated fields).

    A candidate without counterpart in the truth is no true member: a piece of a galaxy, or noise.

    Parameters
    ----------
    completed : Table
        From `complete_members`, with ``cluster``, ``ra`` and ``dec``.
    truth : mapping of str to Table
        Of each cluster: ``ra``, ``dec`` and ``member`` (bool) of all its galaxies.
    radius : Quantity
        Within which a source is matched.

    Returns
    -------
    `~astropy.table.QTable`
        For each cluster, and for "all" of them, the rows "spectroscopic member", "candidate member" and
        "candidate non-member" of ``group``: ``sources``, ``true_members``, ``no_counterpart``, and ``share``
        of true members, which is the purity. No row without a truth.
    """
    group, hosts = member_groups(completed), text(completed["cluster"])
    rows = []
    for cluster, table in truth.items():
        here = np.flatnonzero(hosts == cluster)
        pairs = match(QTable(completed)[here], table, radius)
        true, matched = np.zeros((2, len(here)), dtype=bool)
        matched[pairs["row"]] = True
        true[pairs["row"]] = np.asarray(table["member"], dtype=bool)[pairs["reference_row"]]
        for name in (_GROUPS[0], _GROUPS[1], _GROUPS[3]):
            chosen = group[here] == name
            rows.append((cluster, name, chosen.sum(), (chosen & true).sum(), (chosen & ~matched).sum()))
    for name in (_GROUPS[0], _GROUPS[1], _GROUPS[3]) if rows else ():
        rows.append(("all", name, *np.sum([row[2:] for row in rows if row[1] == name], axis=0)))
    names = ("cluster", "group", "sources", "true_members", "no_counterpart")
    result = QTable(rows=rows or None, names=names, dtype=[str, str, int, int, int])
    sources = np.asarray(result["sources"], dtype=float)
    with np.errstate(invalid="ignore"):
        result["share"] = np.asarray(result["true_members"], dtype=float) / sources
    return result


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

    Arguments are those of `agreement_table`.

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

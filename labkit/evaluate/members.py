"""Galaxies of clusters: parts by magnitude and colour, crowded cut-outs, completed catalogues."""

from collections.abc import Mapping
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord, search_around_sky
from astropy.table import QTable, Table
from numpy.typing import ArrayLike, NDArray

from labkit.errors import InputError
from labkit.evaluate.trainings import OUTCOMES, find_rows, known_objects, outcomes
from labkit.photometry import match
from labkit.predictions import Predictions, mean_scores
from labkit.tables import magnitudes, need_columns, numbers, rows_of, text
from labkit.taxonomy import MEMBER

_PARTS = ("bright", "faint", "redder", "bluer")
_ITSELF = 0.3  # nearer than this to the target, arcsec, a source is the target itself
_SURE = 0.9
_GROUPS = ("spectroscopic member", "candidate member", "non-member", "candidate non-member")


def galaxy_parts(
    predictions: Predictions | Mapping[Any, Predictions],
    catalogue: Table,
    *,
    magnitude: str = "mag_F814",
    colour: str = "differential_colour",
    blue_below: float = -0.16,
) -> dict[str, NDArray[np.bool_]]:
    """Bright and faint, redder and bluer galaxies of each cluster that was judged (Angora et al., Table 2).

    Masks of the catalogue's rows, for ``parts=`` of `labkit.evaluate.measure`. The limit of brightness is the
    median of a cluster's members; `colour` is the difference to the red sequence, of which those below
    `blue_below` are bluer (the paper has -0.160, -0.165 and -0.157). Galaxies without a magnitude or colour
    are in no such part.
    """
    need_columns(catalogue, ("object_id", magnitude, colour, "cluster"), "catalogue")
    hosts = text(catalogue["cluster"])
    member, judged = (np.zeros(len(catalogue), dtype=bool) for _ in range(2))
    for one in predictions.values() if isinstance(predictions, Mapping) else [predictions]:
        known = known_objects(one, "test")
        rows = find_rows(catalogue["object_id"], known.table["object_id"], name="catalogue")
        judged[rows] = True
        member[rows[known.is_positive]] = True
    m, differential = (numbers(catalogue[name]) for name in (magnitude, colour))
    parts = {kind: np.zeros(len(catalogue), dtype=bool) for kind in _PARTS}
    for host in dict.fromkeys(hosts[judged].tolist()):
        here = hosts == host
        theirs = m[member & here & np.isfinite(m)]
        if not len(theirs):
            raise InputError(
                f"catalogue must have a member of {host!r} with a {magnitude}, got none; "
                "leave out the cluster"
            )
        limit = float(np.median(theirs))
        masks = (m <= limit, m > limit, differential >= blue_below, differential < blue_below)
        for kind, mask in zip(_PARTS, masks, strict=True):
            parts[kind] |= mask & here
    return parts


def magnitude_and_colour_cuts(
    magnitude: ArrayLike, differential_colour: ArrayLike, *, faintest: float = 25.0, very_blue: float = -0.5
) -> dict[str, NDArray[np.bool_]]:
    """The rows of Table 3 and the samples of Table 4, for ``parts=`` of `labkit.evaluate.measure`.

    "all" first, then each cut, and last both together; a galaxy whose value is NaN is in no cut of it.
    """
    m, colour = np.asarray(magnitude, dtype=np.float64), np.asarray(differential_colour, dtype=np.float64)
    return {
        "all": np.ones(m.shape, dtype=bool),
        f"magnitude < {faintest:g}": m < faintest,
        f"magnitude >= {faintest:g}": m >= faintest,
        f"colour < {very_blue:g}": colour < very_blue,
        "colour < 0": colour < 0,
        "colour >= 0": colour >= 0,
        f"magnitude < {faintest:g}, colour >= {very_blue:g}": (m < faintest) & (colour >= very_blue),
    }


def contamination_index(
    targets: Table,
    sources: Table,
    *,
    size_arcsec: float = 4.16,
    magnitude: str = "mag_F814",
    faintest: float = np.inf,
) -> QTable:
    """Contamination index of each cut-out, CI = sum_i 1 / (d_i m_i) over the other sources in it.

    With d_i the distance from the target in arcsec and m_i the magnitude of the contaminant (Angora et al.
    2020, section 6). Note that, as published, fainter contaminants count a little less, in proportion to 1 /
    m. Sources without a magnitude, of `faintest` and fainter do not count; deep images have one in every
    cut-out. The side of 4.16" is 64 px of 0.065"; several fields may stand together. Columns ``contaminants``
    (their number), ``index`` (0 without any) and ``normalised`` (over the largest of all targets).
    """
    if not size_arcsec > 0:
        raise InputError(f"size_arcsec must be positive, got {size_arcsec}")
    need_columns(targets, ["ra", "dec"], "targets")
    need_columns(sources, ["ra", "dec", magnitude], "sources")
    m = magnitudes(sources[magnitude])
    row, other, distance = _pairs(targets, sources, size_arcsec / 2)
    counts = np.isfinite(m[other]) & (m[other] < faintest)
    row, other, distance = row[counts], other[counts], distance[counts]
    index = np.bincount(row, 1 / (distance * m[other]), minlength=len(targets))
    normalised = index / index.max(initial=0) if index.any() else index
    count = np.bincount(row, minlength=len(targets))
    return QTable({"contaminants": count, "index": index, "normalised": normalised})


def _pairs(targets: Table, sources: Table, half: float) -> tuple[NDArray, NDArray, NDArray[np.float64]]:
    """Rows of targets and of the other sources in their squares, and the distances, arcsec."""
    here, there = (
        SkyCoord(u.Quantity(t["ra"], u.deg), u.Quantity(t["dec"], u.deg)) for t in (targets, sources)
    )
    if not len(here) or not len(there):
        return np.zeros(0, dtype=int), np.zeros(0, dtype=int), np.zeros(0)
    row, other, separation, _ = search_around_sky(here, there, np.sqrt(2) * half * u.arcsec)
    east, north = (d.to_value(u.arcsec) for d in here[row].spherical_offsets_to(there[other]))
    distance = separation.to_value(u.arcsec)
    inside = (np.maximum(np.abs(east), np.abs(north)) <= half) & (distance > _ITSELF)
    return row[inside], other[inside], distance[inside]


def contamination_by_outcome(predictions: Predictions, index: ArrayLike, *, threshold: float = 0.5) -> QTable:
    """Contamination of true and false positives and negatives, from the `index` of each row of predictions.

    One row each of TP, TN, FP, FN: ``outcome``, ``objects``, ``contaminated`` (share with an index above 0)
    and ``median`` index of those.
    """
    values = np.asarray(index, dtype=np.float64)
    kinds = outcomes(predictions, threshold=threshold)
    if values.shape != kinds.shape:
        raise InputError(f"index must have one value per row, {len(kinds)}, got the shape {values.shape}")
    rows = []
    for kind in OUTCOMES:
        chosen = values[kinds == kind]
        above = chosen[chosen > 0]
        share = len(above) / len(chosen) if len(chosen) else np.nan
        median = float(np.median(above)) if len(above) else np.nan
        rows.append({"outcome": kind, "objects": len(chosen), "contaminated": share, "median": median})
    return QTable(rows=rows)


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
    redshift (label "") are members if their mean probability over all runs is above the threshold and they
    are not fainter than the limit, beyond which hardly any member was there to learn from (3 % in the paper);
    one without a magnitude cannot pass it. Adds ``probability`` (NaN where there is no prediction) and
    ``member_by`` ("spectroscopy", "network" or ""); ``meta`` keeps magnitude, limit and threshold.
    """
    hint = "name the column of magnitudes by magnitude="
    need_columns(catalogue, ("object_id", "label", magnitude), "catalogue", hint=hint)
    codes = MEMBER.encode(text(catalogue["label"]))
    found = mean_scores(predictions)
    place = rows_of(found["object_id"], catalogue["object_id"])
    probability = np.append(found["mean"].data, np.nan)[place]  # -1, not judged, is the last
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
    need_columns(table, needed, "completed", hint="it must come from complete_members")
    p = np.asarray(table["probability"], dtype=np.float64)
    return text(table["label"]), p, text(table["member_by"])


def completion_counts(completed: Table) -> Table:
    """How many members spectra and network found in each cluster, with a last row of sums.

    Columns ``cluster``, then numbers: ``spectroscopic_members``, ``spectroscopic_non_members``, ``run``
    (judged by the network alone), ``unjudged``, ``network_members``, of which ``sure`` (p > 0.9),
    ``too_faint`` (probable, but beyond the limit) and ``members`` in all.
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

    "spectroscopic member", "candidate member", "non-member", "candidate non-member" (judged, and not fainter
    than the limit), or "".
    """
    magnitude = completed.meta.get("magnitude", "")
    label, p, by = _completed(completed, magnitude)
    bright = magnitudes(completed[magnitude]) <= completed.meta["limit"]
    judged = (label == "") & np.isfinite(p) & bright
    return np.select([by == "spectroscopy", by == "network", label == "non-member", judged], _GROUPS, "")


def check_members(
    completed: Table, truth: Mapping[str, Table], *, radius: u.Quantity = 0.5 * u.arcsec
) -> QTable:
    """What the sources of a completed catalogue really are, where the truth is known (simulated fields).

    `truth` has ``ra``, ``dec`` and ``member`` (bool) of all galaxies of each cluster, matched within
    `radius`. A candidate without counterpart in the truth is no true member: a piece of a galaxy, or noise.
    One row for each ``cluster``, and for "all" of them, and ``group`` of the three that were named by
    spectrum or network: ``sources``, ``true_members``, ``no_counterpart``, and ``share`` of true members,
    which is the purity. No row without a truth.
    """
    group, hosts = member_groups(completed), text(completed["cluster"])
    judged = (_GROUPS[0], _GROUPS[1], _GROUPS[3])
    rows = []
    for cluster, table in truth.items():
        here = np.flatnonzero(hosts == cluster)
        pairs = match(QTable(completed)[here], table, radius)
        true, matched = np.zeros((2, len(here)), dtype=bool)
        matched[pairs["row"]] = True
        true[pairs["row"]] = np.asarray(table["member"], dtype=bool)[pairs["reference_row"]]
        for name in judged:
            chosen = group[here] == name
            rows.append((cluster, name, chosen.sum(), (chosen & true).sum(), (chosen & ~matched).sum()))
    for name in judged if rows else ():
        rows.append(("all", name, *np.sum([row[2:] for row in rows if row[1] == name], axis=0)))
    names = ("cluster", "group", "sources", "true_members", "no_counterpart")
    result = QTable(rows=rows or None, names=names, dtype=[str, str, int, int, int])
    sources = np.asarray(result["sources"], dtype=float)
    with np.errstate(invalid="ignore"):
        result["share"] = np.asarray(result["true_members"], dtype=float) / sources
    return result

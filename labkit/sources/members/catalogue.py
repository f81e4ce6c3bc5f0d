"""A user's catalogue made into the list of sources to cut out, labelled by velocity or by a flag.

Here it is decided what counts as no redshift (`read_redshifts`) and who is a member (`V_MAX`).
"""

import logging
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.constants import c
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table, vstack
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from labkit.errors import InputError
from labkit.sources.positions import find_columns, out_of_bounds, read_positions
from labkit.tables import find_column, numbers, read_catalogue, text
from labkit.taxonomy import MEMBER

logger = logging.getLogger(__name__)

#: Columns that a member Sample has whatever the user's catalogue is.
OURS = ("object_id", "ra", "dec", "label", "cluster", "cluster_redshift", "redshift", "velocity")
#: Members lie within this velocity of the cluster (Angora et al. 2020, section 2).
V_MAX = 3000 * u.km / u.s
#: Labels of others and of members.
LABELS = MEMBER.classes
_SENTINELS = (99.0, 9.99, 999.0, -99.0)  # no redshift in dimensionless columns, besides all below the lowest
_LOWEST, _HIGHEST = -0.05, 20.0  # stars lie about 0
_WORDS = {
    "": ("", "unknown", "nan", "none", "-"),
    LABELS[0]: (LABELS[0], "non member", "nonmember", "interloper", "field", "false", "f", "no", "n", "0"),
    LABELS[1]: (LABELS[1], "true", "t", "yes", "y", "1"),
}


def read_sources(
    catalogue: str | Path | Table,
    *,
    cluster: str,
    redshift: float,
    v_max: u.Quantity = V_MAX,
    ra: str = "ra",
    dec: str = "dec",
    z: str | None = "z_spec",
    quality: str | None = None,
    accepted: Collection[Any] | None = None,
    member: str | None = None,
    labelled: bool = False,
    source_id: str | None = "source_id",
    merge_radius: u.Quantity = 0.1 * u.arcsec,
) -> tuple[QTable, dict[str, int], list[str]]:
    """Read a catalogue and label its sources.

    Returns the sources in the catalogue's order, with the columns `OURS` and all others of the catalogue (one
    that has a name of ours and another content is called ``<name>_listed``); counts of what was listed and
    left out; and warnings. `~labkit.sources.members_sample` explains the arguments.
    """
    _check(cluster, redshift, quality, accepted, z)
    table = read_catalogue(catalogue, as_text=() if source_id is None else [source_id])
    wanted = {"ra": ra, "dec": dec, "z": z, "quality": quality, "member": member}
    ra, dec, z, quality, member = find_columns(table, "the catalogue (z=None: no redshifts)", **wanted)
    if not len(table):
        raise InputError("the catalogue must hold at least one source, got none; give another")
    measured, sentinels = read_redshifts(table, z)
    good = _accepted(table, quality, accepted or (), measured)
    found, refused = np.where(good, measured, np.nan), np.isfinite(measured) & ~good
    v = velocity(found, redshift)
    labels = velocity_labels(v, v_max=v_max) if member is None else flag_labels(table[member], name=member)
    sky = read_positions(table, ra, dec)
    placed = np.flatnonzero(~out_of_bounds(sky))
    if not placed.size:
        raise InputError(f"columns {ra!r} and {dec!r} must hold positions in degrees, got none that is one")
    groups = groups_within(SkyCoord(*sky[:, placed], unit="deg"), merge_radius)
    kept, disputed = merge_repeats(groups, labels[placed], np.isfinite(found[placed]))
    rows = placed[kept]
    ours = {
        "object_id": _names(table, source_id, cluster)[rows],
        "ra": sky[0, rows] * u.deg,
        "dec": sky[1, rows] * u.deg,
        "label": np.where(disputed, "", labels[rows]).astype("U10"),
        "cluster": np.full(len(rows), cluster),
        "cluster_redshift": np.full(len(rows), float(redshift)),
        "redshift": found[rows],
        "velocity": v[rows],
    }
    values, number = np.unique(ours["object_id"], return_counts=True)
    if (number > 1).any():
        raise InputError(
            f"{source_id!r} must name each source once, got {values[number > 1][:3].tolist()} for different "
            "places; remove the repeats, raise merge_radius, or pass source_id=None to number the rows"
        )
    counts = {
        "listed": len(table),
        "without_position": len(table) - len(placed),
        "merged": len(placed) - len(kept),
        "contradicting": int(disputed.sum()),
        "redshift_sentinel": sentinels,
        "redshift_not_accepted": int(refused[rows].sum()),
        "unlabelled": 0,
    }
    texts = {
        "without_position": "rows without a position left out",
        "contradicting": f"sources with rows that disagree on {' and '.join(LABELS)}, their labels emptied",
        "redshift_sentinel": "redshifts such as 99 or -99 taken as unknown",
    }
    warnings = [f"{cluster}: {counts[name]} {said}" for name, said in texts.items() if counts[name]]
    sources = QTable(ours | _rest(table, rows, {ra, dec}))
    known = sources["label"] != ""
    if not labelled or known.all():
        return sources, counts, warnings
    if not known.any():
        raise InputError(
            f"labelled=True needs sources of known membership, got none of {len(known)} in {cluster}; name "
            "the right column by z= or member=, accept more qualities, or pass labelled=False"
        )
    return sources[known], counts | {"unlabelled": int((~known).sum())}, warnings


def catalogue_labels(fields: Iterable[tuple[str, float, str | Path | Table]], **options: Any) -> QTable:
    """Members of clusters by the redshifts of catalogues alone, without images.

    `fields` hold each cluster's name, redshift and catalogue; `options` are those of its columns and of
    ``v_max``, as for `~labkit.sources.members_sample`. One row for each source, cluster after cluster, with
    the columns `OURS` first, ``velocity`` (km/s) in the cluster's rest frame (`velocity`), and what else all
    catalogues have. ``meta["counts"]`` holds each cluster's counts, ``meta["warnings"]`` what to know.
    """
    found = [(name, *read_sources(table, cluster=name, redshift=z, **options)) for name, z, table in fields]
    names = [one[1].colnames for one in found]
    common = [name for name in names[0] if all(name in others for others in names)]
    joined = vstack([QTable(one[1][common]) for one in found], metadata_conflicts="silent")
    joined.meta = {
        "counts": {one[0]: one[2] for one in found},
        "warnings": [w for one in found for w in one[3]],
    }
    joined.meta["velocity"] = "c (z - z_cl) / (1 + z_cl), Danese et al. 1980"
    return joined


def _check(cluster: str, redshift: float, quality: Any, accepted: Any, z: Any) -> None:
    if not isinstance(cluster, str) or not cluster.strip():
        raise InputError(f"cluster must be a name, got {cluster!r}")
    if not 0 <= float(redshift) < 20:
        raise InputError(f"redshift of {cluster!r} must be between 0 and 20, got {redshift}")
    if (quality is None) != (accepted is None):
        raise InputError(
            f"quality and accepted must be given together, got {quality!r} and {accepted!r}; say which "
            "values of the quality count"
        )
    if quality is not None and z is None:
        raise InputError(f"quality {quality!r} needs redshifts; name their column by z=")


def read_redshifts(table: Table, z: str | None) -> tuple[NDArray[np.float64], int]:
    """Redshifts of each row, shape (n,), NaN where there is none, and how many sentinels stood for none.

    A column of velocities holds c z, one of per cent 100 z. In a dimensionless one, 99, 9.99, 999, -99 and
    what lies below -0.05 are no redshifts; a value above 20 has lost its unit and is refused.
    """
    if z is None:
        return np.full(len(table), np.nan), 0
    unit = getattr(table[z], "unit", None) or u.dimensionless_unscaled
    if unit.is_equivalent(u.km / u.s):
        found, sentinels = numbers(table[z], u.km / u.s) / c.to_value(u.km / u.s), 0
    elif unit.is_equivalent(u.dimensionless_unscaled):
        found = numbers(table[z]) * unit.to(u.dimensionless_unscaled)
        unknown = np.isclose(found[:, None], _SENTINELS, rtol=1e-6, atol=0).any(axis=1)
        found[unknown], sentinels = np.nan, int(unknown.sum())
    else:
        raise InputError(f"column {z!r} must hold redshifts or velocities c z, got the unit {unit}")
    found[~np.isfinite(found) | (found < _LOWEST)] = np.nan
    if (bad := np.flatnonzero(found > _HIGHEST)).size:
        raise InputError(
            f"column {z!r} must hold redshifts up to {_HIGHEST:g}, got {found[bad[0]]:g} in row {bad[0] + 1} "
            f"and {len(bad) - 1} more; give it its unit (km/s for c z, percent) or name another column by z="
        )
    return found, sentinels


def _accepted(
    table: QTable, quality: str | None, accepted: Collection[Any], measured: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Rows whose quality is one of those accepted, as text or as number: "3 ", 3 and 3.0 are the same."""
    if quality is None:
        return np.ones(len(table), dtype=bool)
    words, which = np.unique(np.char.strip(text(table[quality])), return_inverse=True)
    wanted = np.char.strip(text(np.array(list(accepted), dtype=object)))
    values, numeric = (np.array([_number(one) for one in each.tolist()]) for each in (words, wanted))
    alike = np.isclose(values[:, None], numeric[None, :], rtol=1e-6, atol=0).any(axis=1)
    good = ((np.isin(words, wanted) | alike) & (words != ""))[which]
    if np.isfinite(measured).any() and not (np.isfinite(measured) & good).any():
        raise InputError(
            f"accepted must hold values of the column {quality!r}, got {list(accepted)}; there are "
            f"{words[words != ''][:8].tolist()}"
        )
    return good


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return np.nan


def _names(table: QTable, source_id: str | None, cluster: str) -> NDArray[np.str_]:
    """Names of the sources, or row numbers; all begin with the cluster's, so that fields can be joined."""
    numbered = np.array([f"{row:05d}" for row in range(len(table))], dtype=str)
    column = None if source_id is None else find_column(table.colnames, source_id)
    own = numbered if column is None else np.char.strip(text(table[column]))
    own = np.where(own == "", numbered, own).tolist()
    return np.array([name if name.startswith(f"{cluster}-") else f"{cluster}-{name}" for name in own])


def _rest(table: QTable, rows: NDArray[np.int64], positions: set[str]) -> dict[str, Any]:
    """The catalogue's other columns, as far as they hold one value per row."""
    if wide := [name for name in table.colnames if table[name].ndim > 1]:
        logger.info("left out the columns %s: more than one value per row", wide)
    return {
        f"{name}_listed" if name in OURS else name: table[name][rows]
        for name in table.colnames
        if name not in {*wide, *positions, "object_id", "ra", "dec"}
    }


def velocity(redshift: ArrayLike, cluster_redshift: float) -> u.Quantity:
    """Velocity along the line of sight in a cluster's rest frame, v = c (z - z_cl) / (1 + z_cl), km/s.

    NaN where there is no redshift (Angora et al. 2020, section 2; Danese et al. 1980).
    """
    z = np.asarray(redshift, dtype=np.float64)
    return (c * (z - cluster_redshift) / (1 + cluster_redshift)).to(u.km / u.s)


def velocity_labels(velocities: u.Quantity, *, v_max: u.Quantity = V_MAX) -> NDArray[np.str_]:
    """Labels by velocity: member within +- `v_max`, the limit included; empty where it is not known."""
    limit = u.Quantity(v_max)
    if not (limit.isscalar and limit.unit.is_equivalent(u.km / u.s) and limit > 0 * u.km / u.s):
        raise InputError(f"v_max must be one positive velocity, such as 3000 * u.km / u.s, got {v_max!r}")
    labels = np.where(np.abs(velocities) <= limit, LABELS[1], LABELS[0])
    return np.where(np.isfinite(velocities), labels, "")


def flag_labels(flags: ArrayLike, *, name: str) -> NDArray[np.str_]:
    """Labels by a column that says who is a member: booleans, 1 and 0, or words such as yes or interloper.

    Masked, NaN, empty, "unknown" and "-" mean that it is not known.
    """
    words = np.char.lower(np.char.strip(text(flags)))
    meaning = {word: label for label, known in _WORDS.items() for word in known}
    if strange := sorted(set(words.tolist()) - set(meaning)):
        raise InputError(
            f"column {name!r} must say who is a member by true and false, 1 and 0 or {LABELS}, "
            f"got {strange[:5]}"
        )
    return np.array([meaning[word] for word in words.tolist()], dtype=str)


def groups_within(positions: SkyCoord, radius: u.Quantity) -> NDArray[np.int64]:
    """Number of the group of each position; those closer than `radius`, also in a chain, are one group."""
    angle = u.Quantity(radius)
    if not (angle.isscalar and angle.unit.is_equivalent(u.deg) and angle >= 0 * u.deg):
        raise InputError(f"merge_radius must be an angle of zero or more, got {radius!r}")
    n = len(positions)
    if n < 2 or angle == 0 * u.deg:
        return np.arange(n)
    one, other, _, _ = positions.search_around_sky(positions, angle)
    links = coo_array((np.ones(len(one), dtype=bool), (one, other)), shape=(n, n))
    return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)


def merge_repeats(
    groups: NDArray[np.int64], labels: NDArray[np.str_], measured: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Rows kept, in order, one of each group: the first with a label, else with a redshift, else the first.

    Also whether rows of each kept row's group have different labels, neither of them empty.
    """
    order = np.lexsort((np.arange(len(groups)), ~measured, labels == "", groups))
    _, first = np.unique(groups[order], return_index=True)
    keep = np.sort(order[first])
    kinds = np.unique(np.stack([groups[labels != ""].astype(str), labels[labels != ""]]), axis=1)[0]
    disputed = [group for group in np.unique(kinds) if (kinds == group).sum() > 1]
    return keep, np.isin(groups[keep].astype(str), disputed)

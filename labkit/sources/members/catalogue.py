"""A user's catalogue made into the list of sources to cut out, with labels."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from numpy.typing import NDArray

from labkit.errors import InputError, MissingDataError
from labkit.sources.members.columns import degrees, names, redshifts
from labkit.sources.members.membership import LABELS, V_MAX, flag_labels, velocity, velocity_labels
from labkit.sources.members.repeats import groups_within, merge_repeats
from labkit.tables import read_catalogue

__all__ = ["OURS", "SourceList", "read_sources"]

logger = logging.getLogger(__name__)

#: Columns that a member Sample has whatever the user's catalogue is.
OURS = ("object_id", "ra", "dec", "label", "cluster", "cluster_redshift", "redshift", "velocity")


@dataclass(frozen=True)
class SourceList:
    """Sources of one field.

    Attributes
    ----------
    table : QTable
        The columns `OURS` and all others of the catalogue.
    counts : dict of str to int
        ``listed``, ``without_position``, ``merged``, ``contradicting``, ``redshift_not_accepted``,
        ``unlabelled`` (left out for it).
    warnings : list of str
        What a reader should know.
    """

    table: QTable
    counts: dict[str, int]
    warnings: list[str] = field(default_factory=list)

    @property
    def positions(self) -> SkyCoord:
        """Where the sources are."""
        return SkyCoord(self.table["ra"], self.table["dec"], frame="icrs")


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
    repeats: Literal["merge", "refuse"] = "merge",
) -> SourceList:
    """Read a catalogue and label its sources.

    Parameters
    ----------
    catalogue : path or Table
        Table, or a file for `~labkit.tables.read_catalogue`.
    cluster : str
        Short name of the cluster; ids begin with it.
    redshift : float
        Its redshift.
    v_max : Quantity
        Members have velocities up to this.
    ra, dec : str
        Columns with the ICRS position; degrees where they have no unit.
    z : str or None
        Column with spectroscopic redshifts; NaN, masked or below -0.05 is none. None: no column.
    quality : str, optional
        Column with the quality of redshifts.
    accepted : collection, optional
        Values of `quality` that count; the other redshifts are as if they were not there.
    member : str, optional
        Column that says who is a member; it gives the labels instead of the velocities.
    labelled : bool
        Leave out sources of unknown membership.
    source_id : str or None
        Column with names; where it is not there, the number of the row names a source.
    merge_radius : Quantity
        Rows closer than this, also in a chain, are one source.
    repeats : {"merge", "refuse"}
        Keep one row of such a source (see `merge_repeats`; its label is emptied if its rows disagree), or
        refuse the catalogue.

    Returns
    -------
    SourceList
        The sources, in the order of the catalogue.

    Raises
    ------
    MissingDataError
        If the file or a column is not there.
    InputError
        If the catalogue is empty or nothing is left of it, two different sources have one name, or an option
        is out of its range.
    """
    _check(cluster, redshift, quality, accepted, z, repeats)
    table = (
        read_catalogue(catalogue, as_text=_texts(source_id))
        if isinstance(catalogue, str | Path)
        else QTable(catalogue)
    )
    named = [ra, dec, *(name for name in (z, quality, member) if name is not None)]
    if missing := [name for name in named if name not in table.colnames]:
        raise MissingDataError(
            f"the catalogue must have the columns {named}, got {table.colnames} without {missing}; name the "
            "right ones by ra=, dec=, z= (None for no redshifts), quality= and member="
        )
    if not len(table):
        raise InputError("the catalogue must hold at least one source, got none; give another")
    found, refused = redshifts(table, z, quality, accepted or ())
    v = velocity(found, redshift)
    labels = velocity_labels(v, v_max=v_max) if member is None else flag_labels(table[member], name=member)
    sky = np.stack([degrees(table, name) for name in (ra, dec)])
    placed = np.flatnonzero(np.isfinite(sky).all(axis=0) & (np.abs(sky[1]) <= 90))
    if not placed.size:
        raise InputError(f"columns {ra!r} and {dec!r} must hold positions in degrees, got none that is one")
    groups = groups_within(SkyCoord(*sky[:, placed], unit="deg"), merge_radius)
    kept, disputed = merge_repeats(groups, labels[placed], np.isfinite(found[placed]))
    if repeats == "refuse" and len(kept) < len(placed):
        raise InputError(
            f"the catalogue must list each source once, got {len(placed) - len(kept)} rows within "
            f"{merge_radius} of another; remove them, choose a smaller merge_radius or repeats='merge'"
        )
    rows = placed[kept]
    ours = {
        "object_id": names(table, source_id, cluster)[rows],
        "ra": sky[0, rows] * u.deg,
        "dec": sky[1, rows] * u.deg,
        "label": np.where(disputed, "", labels[rows]).astype("U10"),
        "cluster": np.full(len(rows), cluster),
        "cluster_redshift": np.full(len(rows), float(redshift)),
        "redshift": found[rows],
        "velocity": v[rows],
    }
    counts = {
        "listed": len(table),
        "without_position": len(table) - len(placed),
        "merged": len(placed) - len(kept),
        "contradicting": int(disputed.sum()),
        "redshift_not_accepted": int(refused[rows].sum()),
        "unlabelled": 0,
    }
    _refuse_same_names(ours["object_id"], source_id)
    everything = SourceList(QTable(ours | _rest(table, rows)), counts, _notes(counts, cluster))
    return _known(everything, cluster) if labelled else everything


def _check(cluster: str, redshift: float, quality: Any, accepted: Any, z: Any, repeats: str) -> None:
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
    if repeats not in ("merge", "refuse"):
        raise InputError(f"repeats must be 'merge' or 'refuse', got {repeats!r}")


def _texts(source_id: str | None) -> tuple[str, ...]:
    return () if source_id is None else (source_id,)


def _refuse_same_names(names: NDArray[np.str_], source_id: str | None) -> None:
    values, number = np.unique(names, return_counts=True)
    if (number > 1).any():
        raise InputError(
            f"{source_id!r} must name each source once, got {values[number > 1][:3].tolist()} for different "
            "places; remove the repeats, raise merge_radius, or pass source_id=None to number the rows"
        )


def _rest(table: QTable, rows: NDArray[np.int64]) -> dict[str, Any]:
    """The catalogue's other columns, as far as they hold one value a row."""
    wide = [name for name in table.colnames if table[name].ndim > 1]
    if wide:
        logger.info("left out the columns %s: more than one value a row", wide)
    return {name: table[name][rows] for name in table.colnames if name not in {*OURS, *wide}}


def _known(sources: SourceList, cluster: str) -> SourceList:
    """The sources whose membership is known."""
    known = np.asarray(sources.table["label"]) != ""
    if not known.any():
        raise InputError(
            f"labelled=True needs sources of known membership, got none of {len(known)} in {cluster}; name "
            "the right column by z= or member=, accept more qualities, or pass labelled=False"
        )
    counts = sources.counts | {"unlabelled": int((~known).sum())}
    return SourceList(sources.table[known], counts, sources.warnings)


def _notes(counts: dict[str, int], cluster: str) -> list[str]:
    texts = {
        "without_position": "rows without a position left out",
        "contradicting": f"sources with rows that disagree on {' and '.join(LABELS)}, their labels emptied",
    }
    return [f"{cluster}: {counts[name]} {text}" for name, text in texts.items() if counts[name]]

"""What became of the sources of each field, and the choice of those with all bands of a configuration."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import numpy as np
from astropy.table import Table

from labkit.errors import InputError
from labkit.sample import Sample
from labkit.sources.members.stamps import MIN_COVERAGE

__all__ = ["complete_in", "counts_table"]

logger = logging.getLogger(__name__)


def complete_in(sample: Sample, bands: Iterable[str], *, min_coverage: float = MIN_COVERAGE) -> Sample:
    """The sources of a member Sample that have all bands of a configuration, in these bands.

    So one Sample, made with few `needed` bands, serves all configurations (ACS, ALL, mixed; Angora et al.
    2020, section 2). Pixels stay unread.

    Parameters
    ----------
    sample : Sample
        With the columns ``coverage_<band>``.
    bands : iterable of str
        Bands of the configuration, in order.
    min_coverage : float
        A source has a band if this fraction of its cut-out has data, and its central pixels have.

    Returns
    -------
    Sample
        Fewer sources and bands; ``provenance["configuration"]`` tells how many were left out.

    Raises
    ------
    InputError
        If a band is not in the Sample, or no source has them all.
    """
    names = (bands,) if isinstance(bands, str) else tuple(bands)
    columns = [f"coverage_{band}" for band in names]
    if missing := [name for name in columns if name not in sample.catalogue.colnames]:
        raise InputError(
            f"sample must have the columns {columns}, {missing} missing; it holds {sample.bands}"
        )
    covered = np.stack([np.asarray(sample.catalogue[name]) for name in columns])
    keep = (covered >= min_coverage).all(axis=0)
    if not keep.any():
        lacking = dict(zip(names, (covered < min_coverage).sum(axis=1).tolist(), strict=True))
        raise InputError(
            f"bands must be there for some source, got {names}; lacking of {len(sample)}: {lacking}"
        )
    chosen = sample.select(np.flatnonzero(keep), bands=names)
    dropped = int((~keep).sum())
    chosen.provenance["configuration"] = {
        "bands": list(names),
        "min_coverage": min_coverage,
        "dropped": dropped,
    }
    logger.info("%d of %d sources have all of %s", keep.sum(), len(sample), ", ".join(names))
    return chosen


def counts_table(sample: Sample) -> Table:
    """What became of the catalogued sources, field by field, with a last row of sums.

    Parameters
    ----------
    sample : Sample
        As `members_sample`, `fields_sample` or `~labkit.sample.concatenate` of such made it.

    Returns
    -------
    `~astropy.table.Table`
        ``cluster``; ``listed`` sources; ``without_position``, ``merged``, ``unlabelled`` (left out where only
        labelled ones were wanted), ``outside``, ``incomplete`` (lack a needed band), ``kept``; of these
        ``member``, ``non-member``, ``unknown``; ``redshift_not_accepted`` and ``contradicting`` (labels
        emptied), of all.

    Raises
    ------
    InputError
        If the Sample keeps no such record.
    """
    fields = sample.provenance.get("fields")
    if not fields:
        raise InputError("sample must be one of cluster members, with a record of its fields; got none")
    names = [
        *("listed", "without_position", "merged", "unlabelled", "outside", "incomplete", "kept"),
        *("member", "non-member", "unknown", "redshift_not_accepted", "contradicting"),
    ]
    rows = [[field["cluster"], *(field["counts"][name] for name in names)] for field in fields]
    rows.append(["all", *np.sum([row[1:] for row in rows], axis=0).tolist()])
    return Table(rows=rows, names=["cluster", *names])

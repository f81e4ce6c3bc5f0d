"""How many sources there were: what became of those listed, and how a set-up divides them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from astropy.table import Table

from labkit.errors import InputError
from labkit.sample import Sample
from labkit.sources.members.setups import class_codes, column_of

#: What became of the catalogued sources, in the order of `counts_table`.
_COUNTS = (
    *("listed", "without_position", "merged", "unlabelled", "outside", "incomplete", "kept"),
    *("member", "non-member", "unknown", "redshift_not_accepted", "redshift_sentinel", "contradicting"),
)
_PARTS = ("train", "validation", "test")


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
        ``member``, ``non-member``, ``unknown``; ``redshift_not_accepted``, ``redshift_sentinel`` (99 and the
        like, of all listed) and ``contradicting`` (labels emptied), of all.

    Raises
    ------
    InputError
        If the Sample keeps no such record.
    """
    fields = sample.provenance.get("fields")
    if not fields:
        raise InputError("sample must be one of cluster members, with a record of its fields; got none")
    rows = [[field["cluster"], *(field["counts"][name] for name in _COUNTS)] for field in fields]
    rows.append(["all", *np.sum([row[1:] for row in rows], axis=0).tolist()])
    return Table(rows=rows, names=["cluster", *_COUNTS])


def setup_counts(sample: Sample, labels: Iterable[str], *, cluster: str = "cluster") -> Table:
    """Members and non-members of each cluster in each set-up (Angora et al. 2020, Table 1).

    Parameters
    ----------
    sample : Sample
        Sources with the columns named.
    labels : iterable of str
        Columns such as ``label_mixed``.
    cluster : str
        Column of the clusters' names.

    Returns
    -------
    `~astropy.table.Table`
        One row per cluster, "all" last: ``cluster``, and for each set-up ``<name>_members``,
        ``<name>_non_members``.

    Raises
    ------
    InputError
        If a column is missing.
    """
    hosts = column_of(sample, cluster)
    names = list(dict.fromkeys(hosts.tolist()))
    table = Table({"cluster": [*names, "all"]})
    for label in labels:
        codes = class_codes(sample, label)
        for code, kind in ((1, "members"), (0, "non_members")):
            each = [int(((hosts == host) & (codes == code)).sum()) for host in names]
            table[f"{label.removeprefix('label_')}_{kind}"] = [*each, sum(each)]
    return table


def split_counts(
    sample: Sample, splits: Iterable[str], *, label: str = "label", cluster: str = "cluster"
) -> Table:
    """Members and non-members of each part of each training range (Angora et al. 2020, section 4.2).

    Parameters
    ----------
    sample : Sample
        Sources with the columns named.
    splits : iterable of str
        Columns such as ``split_narrow``.
    label, cluster : str
        Columns of labels and of the clusters' names.

    Returns
    -------
    `~astropy.table.Table`
        One row per range and part: ``training``, ``part``, ``clusters``, ``members``, ``non_members``.

    Raises
    ------
    InputError
        If a column is missing.
    """
    codes, hosts = class_codes(sample, label), column_of(sample, cluster)
    rows = []
    for split in splits:
        values = column_of(sample, split)
        for part in _PARTS:
            here = (values == part) & (codes >= 0)
            counts = [int((codes[here] == code).sum()) for code in (1, 0)]
            rows.append([split.removeprefix("split_"), part, len(np.unique(hosts[here])), *counts])
    return Table(rows=rows, names=["training", "part", "clusters", "members", "non_members"])

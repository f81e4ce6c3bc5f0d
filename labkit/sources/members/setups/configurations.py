"""Which sources take part in which band configuration (Angora et al. 2020, section 2)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.sample import Sample
from labkit.sources.members.complete import complete_in
from labkit.sources.members.setups.classes import class_codes, column_of, need_both, with_setups
from labkit.sources.members.stamps import MIN_COVERAGE

__all__ = ["with_configurations"]

logger = logging.getLogger(__name__)


def with_configurations(
    sample: Sample,
    configurations: Mapping[str, Iterable[str]],
    *,
    without: Mapping[str, Iterable[str]] | None = None,
    label: str = "label",
    cluster: str = "cluster",
    min_coverage: float = MIN_COVERAGE,
) -> Sample:
    """A column ``label_<name>`` for each band configuration, empty where a source lacks one of its bands.

    Such a source takes no part in the configuration; `~labkit.sources.complete_in` has the rule. A cluster
    of which only members or only non-members are left stays in and is named in the log: there, the purity
    or completeness of the other class is undefined.

    Parameters
    ----------
    sample : Sample
        Sources with the columns ``coverage_<band>``, raw or normalised; pixels stay unread.
    configurations : mapping of str to iterable of str
        Bands of each configuration.
    without : mapping of str to iterable of str, optional
        Clusters that a configuration leaves out: "mixed" is "mixed_star" (the paper's mixed*) without
        A2744 and A370.
    label, cluster : str
        Columns of labels and of the clusters' names.
    min_coverage : float
        As for `~labkit.sources.complete_in`.

    Returns
    -------
    Sample
        The same pixels, more columns; ``provenance["setups"]`` records bands and clusters left out.

    Raises
    ------
    InputError
        If a band is not in the Sample, `without` names an unknown configuration or cluster, or a
        configuration is left without members or without non-members.
    """
    left_out = {name: tuple(hosts) for name, hosts in (without or {}).items()}
    if unknown := sorted(set(left_out) - set(configurations)):
        raise InputError(f"without must name configurations out of {tuple(configurations)}, got {unknown}")
    codes, hosts = class_codes(sample, label), column_of(sample, cluster)
    known = tuple(dict.fromkeys(hosts.tolist()))
    if strange := sorted({name for names in left_out.values() for name in names} - set(known)):
        raise InputError(f"without must name clusters of the Sample, {known}, got {strange}; leave them out")
    columns, about = {}, {}
    for name, bands in configurations.items():
        chosen = complete_in(sample, bands, min_coverage=min_coverage)
        keep = np.isin(sample.object_ids, chosen.object_ids) & ~np.isin(hosts, left_out.get(name, ()))
        part = np.where(keep, codes, -1)
        need_both(part, f"configuration {name!r}", remedy="leave out fewer bands or clusters")
        _warn_of_one_class(name, part, hosts)
        columns[f"label_{name}"] = np.where(part >= 0, column_of(sample, label), "")
        about[name] = {"bands": list(chosen.bands), "without": list(left_out.get(name, ()))}
    return with_setups(sample, columns, about)


def _warn_of_one_class(name: str, codes: NDArray[np.int64], hosts: NDArray[np.str_]) -> None:
    for host in dict.fromkeys(hosts[codes >= 0].tolist()):
        kinds = np.unique(codes[(hosts == host) & (codes >= 0)])
        if len(kinds) == 1:
            logger.warning("%s: %s has %s only", name, host, ("non-members", "members")[int(kinds[0])])

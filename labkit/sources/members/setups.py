"""Who takes part in which training: band configurations, training ranges, redshift bins, growing sets.

Each function adds columns of labels or parts to a Sample of members (Angora et al. 2020); pixels stay unread.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.sample import Sample, with_columns
from labkit.sample.splits import dealing_order, every
from labkit.sources.members.cutouts import has_band
from labkit.tables import numbers, text
from labkit.taxonomy import MEMBER

logger = logging.getLogger(__name__)

_VALIDATION = 0.1  # share of the sources of a training range
_SUBSETS = 10  # into which growing sets are divided


def _column(sample: Sample, name: str) -> Any:
    if name not in sample.catalogue.colnames:
        raise InputError(
            f"sample must have a column {name!r}, got {sample.catalogue.colnames}; make it first, or name "
            "another"
        )
    return sample.catalogue[name]


def _codes_and_clusters(sample: Sample, label: str) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """1 for members, 0 for non-members, -1 for sources that take no part; and the cluster of each."""
    return MEMBER.encode(text(_column(sample, label))), text(_column(sample, "cluster"))


def _count(codes: NDArray[np.int64]) -> tuple[int, int]:
    """Numbers of members and non-members."""
    return int((codes == 1).sum()), int((codes == 0).sum())


def _need_both(codes: NDArray[np.int64], what: str, *, remedy: str) -> None:
    members, others = _count(codes)
    if not members or not others:
        raise InputError(f"{what} must hold members and non-members, got {members} and {others}; {remedy}")


def _with_setups(sample: Sample, columns: Mapping[str, NDArray[np.str_]], about: Mapping[str, Any]) -> Sample:
    """The Sample with the columns, each recorded in ``provenance["setups"]`` and counted in the log."""
    for name, values in columns.items():
        kinds, sizes = np.unique(values[values != ""], return_counts=True)
        counted = ", ".join(f"{size} {kind}" for kind, size in zip(kinds, sizes, strict=True))
        logger.info("%s: %s; %d take no part", name, counted, int((values == "").sum()))
    setups = {**sample.provenance.get("setups", {}), **about}
    return with_columns(sample, columns, provenance={"setups": setups})


def with_configurations(
    sample: Sample,
    configurations: Mapping[str, Iterable[str]],
    *,
    without: Mapping[str, Iterable[str]] | None = None,
) -> Sample:
    """A column ``label_<name>`` for each band configuration, empty where a source lacks one of its bands.

    Such a source takes no part in the configuration, so one Sample, made with few `needed` bands, serves all
    (Angora et al. 2020, section 2). A source has a band that covers 95 per cent of its cut-out. A cluster of
    which only members or only non-members are left stays in and is named in the log: there, the purity or
    completeness of the other class is undefined. `without` names clusters that a configuration leaves out:
    "mixed" is "mixed_star" (the paper's mixed*) without A2744 and A370.
    """
    left_out = {name: tuple(hosts) for name, hosts in (without or {}).items()}
    if unknown := sorted(set(left_out) - set(configurations)):
        raise InputError(f"without must name configurations out of {tuple(configurations)}, got {unknown}")
    codes, hosts = _codes_and_clusters(sample, "label")
    known = tuple(dict.fromkeys(hosts.tolist()))
    if strange := sorted({name for names in left_out.values() for name in names} - set(known)):
        raise InputError(f"without must name clusters of the Sample, {known}, got {strange}; leave them out")
    columns, about = {}, {}
    for name, bands in configurations.items():
        names = (bands,) if isinstance(bands, str) else tuple(bands)
        covered = [has_band(numbers(_column(sample, f"coverage_{band}"))) for band in names]
        keep = np.all(covered, axis=0) & ~np.isin(hosts, left_out.get(name, ()))
        part = np.where(keep, codes, -1)
        _need_both(part, f"configuration {name!r}", remedy="leave out fewer bands or clusters")
        for host in dict.fromkeys(hosts[part >= 0].tolist()):
            if 0 in (found := _count(part[hosts == host])):
                logger.warning("%s: %s has %s only", name, host, "members" if found[0] else "non-members")
        columns[f"label_{name}"] = np.where(part >= 0, sample.labels, "")
        about[name] = {"bands": list(names), "without": list(left_out.get(name, ()))}
    return _with_setups(sample, columns, about)


def with_training_ranges(
    sample: Sample,
    *,
    blind: Iterable[str],
    ranges: Mapping[str, tuple[float, float]],
    label: str = "label_mixed_star",
    seed: int = 0,
) -> Sample:
    """A column ``split_<name>`` for each range of cluster redshifts to train on, the blind clusters to test.

    Those of the paper hold the numbers of section 4.2, from Table 1: 514 members and 555 non-members (narrow,
    0.332 to 0.412), 898 and 1157 (intermediate, 0.286 to 0.467), 1286 and 1725 (large, 0.174 to 0.606), here
    with the tenth for validation, of which the paper does not say. It has its share of every class of every
    cluster and is drawn once, the same in all ranges, so that these differ by their clusters alone.
    """
    codes, hosts = _codes_and_clusters(sample, label)
    z = numbers(_column(sample, "cluster_redshift"))
    redshifts = {host: float(z[hosts == host][0]) for host in dict.fromkeys(hosts[codes >= 0].tolist())}
    tested = list(dict.fromkeys((blind,) if isinstance(blind, str) else blind))
    if not tested or (strange := [host for host in tested if host not in redshifts]):
        raise InputError(
            f"blind must name clusters with sources that take part, {tuple(redshifts)}, one at least, got "
            f"{strange if tested else 'none'}"
        )
    is_test = np.isin(hosts, tested) & (codes >= 0)
    _need_both(codes[is_test], f"the blind clusters {tested}", remedy="choose other clusters")
    order = dealing_order(np.where(is_test, -1, codes), hosts, np.random.default_rng(seed))
    aside = np.zeros(len(hosts), dtype=bool)
    aside[order[every(_VALIDATION, len(order))]] = True
    columns, about = {}, {}
    for name, given in ranges.items():
        if np.shape(given) != (2,):
            raise InputError(f"range {name!r} must be a lowest and a highest redshift, got {given}")
        low, high = given
        clusters = [host for host, z in redshifts.items() if low <= z <= high and host not in tested]
        if not clusters:
            listed = {host: round(z, 3) for host, z in redshifts.items()}
            raise InputError(
                f"range {name!r} must hold a cluster that is not blind, got none from {low} to {high}; there "
                f"are {listed}, blind {tested}"
            )
        here = np.isin(hosts, clusters) & (codes >= 0)
        parts = {"train": here & ~aside, "validation": here & aside, "test": is_test}
        for part in ("train", "validation"):
            _need_both(codes[parts[part]], f"the {part} set of range {name!r}", remedy="widen it")
        columns[f"split_{name}"] = np.select(list(parts.values()), list(parts), "")
        about[f"range {name}"] = {"clusters": clusters, "blind": tested, "label": label, "seed": seed}
    return _with_setups(sample, columns, about)


def with_redshift_bins(
    sample: Sample, *, bins: int = 5, label: str = "label_mixed_star", seed: int = 0
) -> Sample:
    """Columns ``label_z1`` and on: bins of equal numbers of members by redshift, non-members dealt at random.

    Of the non-members "an appropriate number" (appendix D.1), here as many as members: in every bin of Table
    D.3 the average efficiency is the mean of the two completenesses, as for classes of equal number only. The
    printed bins cannot all hold "about 280": by Table 1, 584 of the 1629 members lie above z = 0.41, in two
    bins, and 1045 below it, in three. So our edges, halfway between members, differ a little.
    """
    if bins < 2:
        raise InputError(f"bins must be 2 or more, got {bins}")
    (codes, _), z = _codes_and_clusters(sample, label), numbers(_column(sample, "redshift"))
    members = np.flatnonzero((codes == 1) & np.isfinite(z))
    others = np.random.default_rng(seed).permutation(np.flatnonzero(codes == 0))
    if min(len(members), len(others)) < bins:
        raise InputError(
            f"bins must be at most the number of members with redshift, {len(members)}, and of non-members, "
            f"{len(others)}, got {bins}"
        )
    if unknown := _count(codes)[0] - len(members):
        logger.warning("%d members without redshift are in no bin", unknown)
    members = members[np.argsort(z[members], kind="stable")]
    groups = np.array_split(members, bins)
    if len(others) < len(members):
        logger.warning("%d non-members are too few for %d; all are dealt", len(others), len(members))
    dealt = np.array_split(others[: len(members)], bins)
    labels, columns = text(_column(sample, label)), {}
    for number, pair in enumerate(zip(groups, dealt, strict=True), start=1):
        columns[f"label_z{number}"] = np.full_like(labels, "")
        for rows in pair:
            columns[f"label_z{number}"][rows] = labels[rows]
    between = [(z[low[-1]] + z[high[0]]) / 2 for low, high in pairwise(groups)]
    edges = [float(value) for value in (z[members[0]], *between, z[members[-1]])]
    about = {"redshift bins": {"edges": edges, "label": label, "seed": seed}}
    return _with_setups(sample, columns, about)


def redshift_bins(sample: Sample) -> dict[str, tuple[float, float]]:
    """Lowest and highest redshift of each bin that `with_redshift_bins` made, by names as in Table D.3.

    Such as "0.18-0.32", in the order of the columns ``label_z1`` and on, with as many digits after the point
    as tell the bins apart, at least two.
    """
    about = sample.provenance.get("setups", {}).get("redshift bins")
    if about is None:
        raise InputError("sample must have bins of redshift, got none; make them with with_redshift_bins")
    limits = list(pairwise(about["edges"]))
    named = [[f"{low:.{digits}f}-{high:.{digits}f}" for low, high in limits] for digits in range(2, 9)]
    names = next((one for one in named if len(set(one)) == len(limits)), named[-1])
    return dict(zip(names, limits, strict=True))


def with_growing_sets(
    sample: Sample, *, label: str = "label_mixed_star", steps: Sequence[int] = (1, 3), seed: int = 0
) -> Sample:
    """Columns ``label_grow_<configuration>_<n>``: n of ten disjoint subsets together, for each of `steps`.

    Every subset holds its share of each class of each cluster, within one source; a cluster with fewer than
    ten sources of a class lacks it in some, which the log tells. A larger set holds every smaller one.
    """
    merged = list(steps)
    if not merged or merged != sorted(set(merged) & set(range(1, _SUBSETS + 1))):
        raise InputError(f"steps must rise within 1 to {_SUBSETS}, got {merged}")
    codes, hosts = _codes_and_clusters(sample, label)
    if min(_count(codes)) < _SUBSETS:
        raise InputError(
            f"{label!r} must hold a member and a non-member for each of {_SUBSETS} subsets, got "
            f"{' and '.join(map(str, _count(codes)))}; give more sources"
        )
    order = dealing_order(codes, hosts, np.random.default_rng(seed))
    number = np.full(len(codes), _SUBSETS, dtype=np.int64)
    number[order] = np.arange(len(order)) % _SUBSETS
    groups, sizes = np.unique([hosts[order], codes[order].astype(str)], axis=1, return_counts=True)
    if short := sorted({str(host) for host in groups[0][sizes < _SUBSETS]}):
        logger.warning("clusters with fewer than %d sources of a class: %s", _SUBSETS, ", ".join(short))
    labels, name = text(_column(sample, label)), label.removeprefix("label_")
    columns = {f"label_grow_{name}_{n}": np.where(number < n, labels, "") for n in merged}
    about = {f"grow {name}": {"subsets": _SUBSETS, "steps": merged, "label": label, "seed": seed}}
    return _with_setups(sample, columns, about)


def setup_counts(sample: Sample, labels: Iterable[str]) -> Table:
    """Members and non-members of each cluster in each set-up, "all" last (Angora et al. 2020, Table 1).

    Columns ``cluster``, and for each column of `labels`, such as ``label_mixed``, ``<name>_members`` and
    ``<name>_non_members``.
    """
    hosts = text(_column(sample, "cluster"))
    names = list(dict.fromkeys(hosts.tolist()))
    table = Table({"cluster": [*names, "all"]})
    for label in labels:
        codes, _ = _codes_and_clusters(sample, label)
        counts = [*(_count(codes[hosts == host]) for host in names), _count(codes)]
        for kind, column in zip(("members", "non_members"), zip(*counts, strict=True), strict=True):
            table[f"{label.removeprefix('label_')}_{kind}"] = column
    return table


def split_counts(sample: Sample, splits: Iterable[str], *, label: str = "label") -> Table:
    """Members and non-members of each part of each training range (Angora et al. 2020, section 4.2).

    One row per column of `splits`, such as ``split_narrow``, and part: ``training``, ``part``, ``clusters``,
    ``members``, ``non_members``.
    """
    codes, hosts = _codes_and_clusters(sample, label)
    rows = []
    for split in splits:
        values = text(_column(sample, split))
        for part in ("train", "validation", "test"):
            here = (values == part) & (codes >= 0)
            clusters = len(np.unique(hosts[here]))
            rows.append([split.removeprefix("split_"), part, clusters, *_count(codes[here])])
    return Table(rows=rows, names=["training", "part", "clusters", "members", "non_members"])


def with_setups(
    sample: Sample,
    configurations: Mapping[str, Iterable[str]],
    *,
    blind: Iterable[str],
    ranges: Mapping[str, tuple[float, float]],
    without: Mapping[str, Iterable[str]] | None = None,
    bins: int = 5,
    steps: Sequence[int] = (1, 3),
    base: str = "mixed_star",
    seed: int = 0,
) -> Sample:
    """All set-ups of EXP1 and EXP2 of Angora et al. (2020) at once, dealt by one `seed`.

    These are the band `configurations`, some of them `without` clusters, the training `ranges` and the
    redshift `bins` of the configuration `base`, and growing sets of each configuration that hold `steps` of
    ten subsets. A configuration with a band that the Sample lacks is left out, and the log says so.
    """
    made = {name: tuple(bands) for name, bands in configurations.items()}
    lacking = {name: sorted(set(bands) - set(sample.bands)) for name, bands in made.items()}
    if base not in made or lacking[base]:
        raise InputError(
            f"base must be a configuration in bands of the Sample, {sample.bands}, got {base!r} of {made}"
        )
    for name, bands in lacking.items():
        if bands:
            logger.warning("configuration %s is left out: the Sample has no %s", name, ", ".join(bands))
            del made[name]
    left_out = {name: hosts for name, hosts in (without or {}).items() if name in made}
    sample = with_configurations(sample, made, without=left_out)
    label = f"label_{base}"
    sample = with_training_ranges(sample, blind=blind, ranges=ranges, label=label, seed=seed)
    sample = with_redshift_bins(sample, bins=bins, label=label, seed=seed)
    for name in made:
        sample = with_growing_sets(sample, label=f"label_{name}", steps=steps, seed=seed)
    return sample

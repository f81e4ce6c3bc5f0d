"""Parts of a Sample: objects dealt so that each part has its share of every class, or holds whole groups."""

import warnings

import numpy as np

from labkit.errors import InputError
from labkit.sample.labels import PARTS, with_columns
from labkit.sample.sample import Sample
from labkit.tables import need_columns, text

#: Number of the objects drawn for validation before the folds.
VALIDATION = -2


def dealing_order(codes: np.ndarray, strata: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows that take part, class by class and in it stratum by stratum, shuffled in each.

    Dealt from this order one by one, every part gets its share of each class and of each stratum in it,
    within one object. Codes and strata have the shape (n,).
    """
    shuffled = rng.permutation(len(codes))
    order = shuffled[np.lexsort((strata[shuffled], codes[shuffled]))]
    return order[codes[order] >= 0]


def every(share: float, n: int, *, start: float = 0.5) -> np.ndarray:
    """Mark a share of `n` places evenly along their order, as every tenth: (n,)."""
    return np.diff(np.floor(np.arange(n + 1) * share + start)) > 0


def with_split(
    sample: Sample,
    *,
    validation: float = 0.15,
    test: float = 0.15,
    group: str | None = None,
    seed: int = 1,
    into: str = "split",
) -> Sample:
    """A Sample whose objects are dealt to training, validation and test set; pixels stay unread.

    Each label has its share in every part, within an object or two. Objects without a label belong to none.

    Parameters
    ----------
    sample : Sample
        Labelled, at least in part.
    validation, test : float
        Shares of the labelled objects, from 0; the rest, at least a tenth, trains.
    group : str, optional
        Catalogue column whose objects of one value stay together: exposures of one sky, members of one
        cluster. Labels are then in proportion as far as whole groups allow.
    seed : int
        What is drawn follows from it.
    into : str
        Column that gets the parts "train", "validation" and "test"; an Experiment names another one than
        "split" by ``split_column``.

    Returns
    -------
    Sample
        The same pixels with that column; its provenance says how it was dealt.

    Raises
    ------
    InputError
        If shares are out of bounds, no object is labelled, the column holds parts already, or groups are
        missing, or too few for a part of the share asked for.
    """
    if not (validation >= 0 and test >= 0 and validation + test <= 0.9):
        raise InputError(
            f"validation and test must be from 0 and sum to 0.9 or less, got {validation}, {test}"
        )
    if into in sample.catalogue.colnames and (text(sample.catalogue[into]) != "").any():
        raise InputError(
            f"into must name a column without parts, {into!r} holds some; name another, as into='my_split' "
            "with split_column='my_split' for the training"
        )
    names, codes = np.unique(sample.labels, return_inverse=True)
    codes = np.where(names[codes] == "", -1, codes)
    if not (codes >= 0).any():
        raise InputError("sample must have labelled objects to be dealt, got none; join labels first")
    groups = None if group is None else complete_column(sample, group, codes, argument="group")
    rng = np.random.default_rng(seed)
    parts = np.where(codes >= 0, PARTS[0], "").astype("U10")
    left = 1.0
    for name, share in (("test", test), ("validation", validation)):
        rest = np.flatnonzero(parts == PARTS[0])
        if share and len(rest):
            own = None if groups is None else groups[rest]
            parts[rest[_draw(codes[rest], own, share / left, rng)]] = name
        left -= share
    how = {"column": into, "validation": validation, "test": test, "group": group, "seed": seed}
    return with_columns(sample, {into: parts}, provenance={"split": how})


def complete_column(sample: Sample, name: str, codes: np.ndarray, *, argument: str) -> np.ndarray:
    """A column as text, (n,), which must have a value for each object that takes part (codes from 0)."""
    need_columns(sample.catalogue, [name], "sample", hint=f"{argument} must name a column of the catalogue")
    values = text(sample.catalogue[name])
    if (lacking := (values == "") & (codes >= 0)).any():
        raise InputError(
            f"{argument} must be a column with a value for every object that takes part, got {name!r} with "
            f"{int(lacking.sum())} masked or empty, first {str(sample.object_ids[lacking][0])!r}; fill them "
            "in, or empty the label of these objects to leave them out"
        )
    return values


def _draw(codes: np.ndarray, groups: np.ndarray | None, share: float, rng: np.random.Generator) -> np.ndarray:
    """Rows of a share of the objects of each class, or of whole groups."""
    if groups is not None:
        number = np.unique(groups, return_inverse=True)[1]
        return np.flatnonzero(_draw_groups(np.unique(codes, return_inverse=True)[1], number, share, rng))
    order = dealing_order(codes, np.zeros(len(codes)), rng)
    return order[every(share, len(order), start=rng.random())]


def deal_folds(
    codes: np.ndarray,
    *,
    folds: int,
    rng: np.random.Generator,
    strata: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    validation_share: float = 0.0,
) -> np.ndarray:
    """Fold of each object, (n,): -1 where its class number is negative, `VALIDATION` where set apart.

    Objects are shuffled within each stratum of each class and dealt one by one, going on from stratum to
    stratum and class to class: the numbers of any class, of any stratum in a class, and of all objects differ
    by one at most between folds. Every 1 / validation_share-th in the same order is set apart first.

    With `groups` no group is split, and the proportions are as even as whole groups allow: scikit-learn's
    `StratifiedGroupKFold` deals what `_draw_groups` leaves.
    """
    codes = np.asarray(codes)
    strata = np.zeros(len(codes)) if strata is None else np.asarray(strata)
    for name, values in (("strata", strata), ("groups", groups)):
        if values is not None and np.shape(values) != codes.shape:
            raise InputError(f"{name} must have one value per object, {codes.shape}, got {np.shape(values)}")
    result = np.full(len(codes), -1, dtype=np.int64)
    if groups is not None:
        rows = np.flatnonzero(codes >= 0)
        pairs = np.stack([codes[rows].astype(str), strata[rows].astype(str)])
        stratum = np.unique(pairs, axis=1, return_inverse=True)[1].ravel()
        group = np.unique(np.asarray(groups)[rows], return_inverse=True)[1].ravel()
        result[rows] = _deal_groups(stratum, group, folds=folds, rng=rng, validation_share=validation_share)
        return result
    order = dealing_order(codes, strata, rng)
    if validation_share:
        apart = every(validation_share, len(order), start=rng.random())
        result[order[apart]], order = VALIDATION, order[~apart]
    result[order] = np.arange(len(order)) % folds
    return result


def _deal_groups(
    stratum: np.ndarray, group: np.ndarray, *, folds: int, rng: np.random.Generator, validation_share: float
) -> np.ndarray:
    from sklearn.model_selection import StratifiedGroupKFold  # only here: a bare GPU node may lack it

    result = np.full(len(group), VALIDATION, dtype=np.int64)
    apart = np.zeros(len(group), dtype=bool)
    if validation_share:
        apart = _draw_groups(stratum, group, validation_share, rng)
    rest = np.flatnonzero(~apart)
    if np.bincount(stratum[rest]).max(initial=0) < folds:
        raise InputError(
            f"some class, in some value of the column to stratify by, must have {folds} objects or more for "
            f"{folds} folds of whole groups; use fewer folds, or stratify by a coarser column or none"
        )
    dealer = StratifiedGroupKFold(folds, shuffle=True, random_state=int(rng.integers(2**31)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # small strata cannot be in every fold, and need not be
        for number, (_, tested) in enumerate(dealer.split(rest, stratum[rest], group[rest])):
            result[rest[tested]] = number
    return result


def _draw_groups(
    stratum: np.ndarray, group: np.ndarray, share: float, rng: np.random.Generator
) -> np.ndarray:
    """Mark objects, (n,), of groups in random order: each that brings all strata nearer to the share."""
    counts = np.zeros((group.max(initial=0) + 1, stratum.max(initial=0) + 1))
    np.add.at(counts, (group, stratum), 1)
    wanted = share * counts.sum(0)
    chosen, held = [], np.zeros_like(wanted)
    for one in rng.permutation(len(counts)):
        more = held + counts[one]
        if np.sum((more - wanted) ** 2 / wanted) < np.sum((held - wanted) ** 2 / wanted):
            held = more
            chosen.append(one)
    if not chosen:
        raise InputError(
            f"the share drawn must be enough for a whole group, got {share:.3g} of {len(group)} objects in "
            f"{len(counts)} groups; raise it, group by a finer column, or set it to 0"
        )
    return np.isin(group, chosen)

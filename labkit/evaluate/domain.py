"""Whether new images are like those that a network was trained among, and which objects are unlike any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.table import QTable, Table
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu, rankdata

from labkit.calibration import LEAST, calibrated
from labkit.errors import InputError
from labkit.evaluate.calibration import fit_parameters
from labkit.evaluate.operating import fitted_shares
from labkit.tables import need_columns, numbers, rows_of, text

#: Objects on each side that a comparison needs.
LEAST_OBJECTS = 20
_COMPONENTS = 10  # of the features; as many directions as some hundred objects can fill
_FAR = 5.0  # standard deviations beyond which a value counts as that far
_RIDGE = 0.01  # of the classifier, for each object
_PIECE = 5000  # objects whose distances are held at a time
_NEAREST = 5  # reference objects whose mean distance tells how novel an object is


@dataclass(frozen=True)
class DomainShift:
    """What `domain_shift` found.

    Parameters
    ----------
    kind : {"none", "class mix", "images"}
        No difference at the level of the test; one that another mix of the same classes explains; another.
    p_value, auc : float
        Of the classifier that tells new objects from reference ones, of all of them where the kind is "none",
        else of reference objects in the class mix of the new ones. An AUC of 0.5: it cannot.
    mix : dict of str to float
        Class mix of the new objects, as their probabilities tell it; empty without classes.
    respects : `~astropy.table.QTable`
        How each statistic of the images differs, the clearest first: ``statistic``, ``reference`` and ``new``
        (medians), ``auc`` (share of pairs in which the new object has more) and ``p_value``.
    novelty : `~astropy.table.QTable`
        ``object_id`` and ``p``, the share of reference objects that are as far from the others.
    level : float
        Of the test.
    """

    kind: str
    p_value: float
    auc: float
    mix: dict[str, float]
    respects: QTable
    novelty: QTable
    level: float

    def __str__(self) -> str:
        """What a reader should know, in a sentence."""
        test = f"AUC {self.auc:.2f}, p = {self.p_value:.3f}"
        if self.kind == "none":
            return f"images like the reference of the training ({test})"
        if self.kind == "class mix":
            mix = ", ".join(f"{share:.0%} {name}" for name, share in self.mix.items())
            return f"images like the reference of the training in another class mix, about {mix} ({test})"
        clear = self.respects[self.respects["p_value"] < self.level / len(self.respects)]
        more = [f"{'more' if one['auc'] > 0.5 else 'less'} {one['statistic']}" for one in clear[:3]]
        words = ", ".join(more) or "in what the network sees, in no simple statistic"
        return f"images unlike the reference of the training: {words} ({test})"


def domain_shift(
    reference: Table,
    new: Table,
    *,
    rng: np.random.Generator,
    level: float = 0.01,
    permutations: int = 999,
    most: int = 400,
) -> DomainShift:
    """Test whether new images come from where the reference images of a network's training come from.

    A classifier two-sample test (Lopez-Paz & Oquab 2017, arXiv:1610.06545): ridge regression on what the
    network makes of the images before its last layer, simple statistics of the images, and their squares, is
    to tell new objects from reference ones it has not seen (leave-one-out). Its AUC is compared with those
    after exchanging objects at random. Where it differs, reference objects in the class mix of the new ones
    (`estimate_prevalence`) are tested again: if they do not differ, the mix is another, and no more. Another
    mix of kinds within a class counts as other images.

    Parameters
    ----------
    reference, new : Table
        From `labkit.learn.image_features`: ``object_id``, ``feature_...``, the columns of
        ``meta["statistics"]``, and of classes ``p_<class>`` and, in the reference, ``true``.
    rng : Generator
        Exchanges and draws objects.
    level : float
        Of both tests, so that at most as many of the unshifted samples are taken for shifted ones.
    permutations, most : int
        Exchanges; objects of either side that are used.

    Returns
    -------
    DomainShift
        The kind of shift, in which respects, and the novelty of each new object.

    Raises
    ------
    InputError
        If there are fewer than 20 objects on a side, or columns differ.
    """
    names = [name for name in reference.colnames if name.startswith("feature_")]
    statistics = list(reference.meta["statistics"])
    need_columns(new, ["object_id", *names, *statistics], "new")
    if min(len(reference), len(new)) < LEAST_OBJECTS:
        raise InputError(
            f"reference and new must have {LEAST_OBJECTS} objects at least to be compared, got "
            f"{len(reference)} and {len(new)}"
        )
    old, given = (
        np.column_stack([numbers(t[one]) for one in (*names, *statistics)]) for t in (reference, new)
    )
    rows, others = (np.sort(rng.permutation(len(one))[:most]) for one in (old, given))
    width = len(names)
    p_value, auc = _test(old[rows], given[others], width, permutations, rng)
    kind, mix, matched = "none" if p_value >= level else "images", {}, rows
    classes = [name.removeprefix("p_") for name in reference.colnames if name.startswith("p_")]
    codes = rows_of(classes, reference["true"]) if classes else np.array([])
    if classes and set(range(len(classes))) <= set(codes.tolist()):
        p, seen = (np.column_stack([numbers(t[f"p_{name}"]) for name in classes]) for t in (reference, new))
        share = _mix(p, seen, codes)
        mix = dict(zip(classes, share.tolist(), strict=True))
        chosen = _matched(codes, share, most, rng)
        if kind == "images" and len(chosen) >= LEAST_OBJECTS:
            matched = chosen
            p_value, auc = _test(old[matched], given[others], width, permutations, rng)
            kind = "images" if p_value < level else "class mix"
    return DomainShift(
        kind=kind, p_value=p_value, auc=auc, mix=mix, level=level,
        respects=_respects(old[matched, width:], given[:, width:], statistics),
        novelty=QTable({"object_id": text(new["object_id"]), "p": _novelty(old[rows], given, width)}),
    )  # fmt: skip


def _scaled(values: NDArray, by: NDArray) -> NDArray[np.float64]:
    """Values in standard deviations of others, columns without any left out, held within some."""
    width = by.std(axis=0)
    there = width > 1e-9
    return np.clip((values[:, there] - by.mean(axis=0)[there]) / width[there], -_FAR, _FAR)


def _components(values: NDArray, by: NDArray, width: int) -> NDArray[np.float64]:
    """The main components of the features, the first `width` columns, and the statistics, of equal scale."""
    features, basis = (_scaled(one[:, :width], by[:, :width]) for one in (values, by))
    _, _, axes = np.linalg.svd(basis - basis.mean(axis=0), full_matrices=False)
    axes = axes[:_COMPONENTS]
    parts = (_scaled(features @ axes.T, basis @ axes.T), _scaled(values[:, width:], by[:, width:]))
    return np.concatenate(parts, axis=1)


def _test(
    old: NDArray, new: NDArray, width: int, permutations: int, rng: np.random.Generator
) -> tuple[float, float]:
    """The p-value of the two-sample test, and the AUC of its classifier."""
    both = np.concatenate([old, new])
    x = _components(both, both, width)
    x = np.concatenate([x, _scaled(x**2, x**2), np.ones((len(x), 1))], axis=1)
    hat = x @ np.linalg.solve(x.T @ x + _RIDGE * len(x) * np.eye(x.shape[1]), x.T)
    y = np.repeat([0.0, 1.0], [len(old), len(new)])
    labels = np.column_stack([y, *(rng.permutation(y) for _ in range(permutations))])
    own = np.diag(hat)[:, None]
    left_out = (hat @ labels - own * labels) / (1 - own)
    ranks = (rankdata(left_out, axis=0) * labels).sum(axis=0)
    aucs = (ranks - len(new) * (len(new) + 1) / 2) / (len(new) * len(old))
    return float(np.mean(aucs >= aucs[0])), float(aucs[0])


def _mix(p: NDArray, new: NDArray, codes: NDArray) -> NDArray[np.float64]:
    """Class mix of new objects, by probabilities that are calibrated on the reference, `p` and `codes`."""
    p, new = (np.clip(one, LEAST, 1 - LEAST) for one in (p, new))
    known = codes >= 0
    shares = np.bincount(codes[known]) / known.sum()
    parameters = fit_parameters("temperature", p[known], codes[known])[0]
    return fitted_shares(calibrated("temperature", parameters, new), shares)


def _matched(codes: NDArray, share: NDArray, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Reference objects, as many as there are, in a class mix."""
    there = np.bincount(codes[codes >= 0], minlength=len(share))
    whole = min(most, float(np.min(there / np.maximum(share, 1e-9))))
    number = np.floor(whole * share + 1e-9).astype(int)
    chosen = [rng.permutation(np.flatnonzero(codes == code))[:n] for code, n in enumerate(number)]
    return np.concatenate(chosen)


def _respects(old: NDArray, new: NDArray, names: list[str]) -> QTable:
    """Each statistic of the images on both sides, by Mann and Whitney's test."""
    rows: list[dict[str, Any]] = []
    for name, before, now in zip(names, old.T, new.T, strict=True):
        found = mannwhitneyu(now, before)
        auc = float(found.statistic) / (len(now) * len(before))
        medians = {"reference": float(np.median(before)), "new": float(np.median(now))}
        rows.append({"statistic": name, **medians, "auc": auc, "p_value": float(found.pvalue)})
    return QTable(rows=sorted(rows, key=lambda row: -abs(row["auc"] - 0.5)))


def _novelty(old: NDArray, new: NDArray, width: int) -> NDArray[np.float64]:
    """Conformal p-value of each new object: how many reference objects lie as far from their nearest."""
    base, seen = _components(old, old, width), _components(new, old, width)

    def distance(points: NDArray, skip: int) -> NDArray[np.float64]:
        squared = (points**2).sum(1)[:, None] + (base**2).sum(1) - 2 * points @ base.T
        near = np.partition(squared, _NEAREST + skip - 1, axis=1)[:, : _NEAREST + skip]
        return np.sqrt(np.maximum(np.sort(near, axis=1)[:, skip:], 0)).mean(axis=1)

    usual = np.sort(distance(base, 1))
    away = [distance(seen[n : n + _PIECE], 0) for n in range(0, len(seen), _PIECE)]
    far = len(usual) - np.searchsorted(usual, np.concatenate(away) - 1e-9)
    return (far + 1) / (len(usual) + 1)

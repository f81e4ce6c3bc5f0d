"""Claims such as "more bands do better", tested, and told in words that the numbers support."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from astropy.table import QTable
from numpy.typing import NDArray

from labkit.errors import InputError
from labkit.evaluate.compare import holm
from labkit.evaluate.differences import difference_table
from labkit.evaluate.intervals import OverSeeds, bootstrap_scores, over_seeds, percentile_interval
from labkit.evaluate.members.measures import Judged, judged
from labkit.evaluate.metrics import binary_scores
from labkit.predictions import Predictions
from labkit.taxonomy import MEMBER

__all__ = ["trend_sentences", "trend_table"]

#: Measures of the paper, by their names in `labkit.evaluate`; all of the members.
_METRICS = {
    "efficiency": "accuracy",
    "purity": "precision",
    "completeness": "recall",
    "f1": "f1",
    "auc": "auc",
}


def trend_table(
    sides: Mapping[str, Predictions],
    claims: Iterable[tuple[str, str]],
    *,
    metrics: Sequence[str] = ("f1",),
    split: str | None = "test",
    level: float = 0.05,
    threshold: float = 0.5,
    resamples: int = 2000,
    rng: np.random.Generator | int = 0,
) -> QTable:
    """Is the first better than the second, as claimed? Difference, interval, test and a word for each claim.

    Two sides that judged some of the same objects (configurations, ranges, methods, growing sets) are
    compared in pairs on those, whatever else each judged: McNemar's test for the average efficiency,
    DeLong's for AUC, the paired bootstrap otherwise (`labkit.evaluate.compare`). Sides without a common
    object (bright and faint, red and blue, bins of redshift) are resampled apart. All take the trainings as
    they are and tell what other objects would show; compare the difference with the scatter over trainings,
    too, and train several seeds. P-values are corrected for all rows of the table (Holm).

    Parameters
    ----------
    sides : mapping of str to Predictions
        Of one experiment each, any number of trainings; parts of one are `Predictions.select`'s.
    claims : iterable of (str, str)
        Names of the side said to be better, and of the other.
    metrics : sequence of str
        Out of "efficiency", "purity", "completeness", "f1" and "auc", of the members.
    split : str or None
        Part of the Sample; None takes all rows.
    level : float
        Corrected p-values below it tell the sides apart.
    threshold : float
        A higher probability counts as a member.
    resamples : int
        Of the bootstrap.
    rng : Generator or int
        Draws the objects.

    Returns
    -------
    `~astropy.table.QTable`
        A row a claim and measure: ``first``, ``second``, ``metric``, ``pairing`` ("paired", "unpaired"),
        ``objects``, ``members`` (common ones, or of both), ``first_value``, ``second_value`` (means over
        trainings), ``first_std``, ``second_std`` (over trainings, NaN for one), ``difference``, ``low``,
        ``high`` (95 %), ``test``, ``p_value``, ``p_holm`` and ``verdict`` on the first: "higher", "lower" or
        "not told apart".

    Raises
    ------
    InputError
        If there is no claim, a name or measure is unknown, trainings of a side judge different objects, or a
        comparison has fewer than two objects of a class.
    """
    pairs = list(claims)
    if unknown := sorted({name for pair in pairs for name in pair} - set(sides)):
        raise InputError(f"claims must name two of {tuple(sides)}, got {unknown}")
    if not pairs or any(first == second for first, second in pairs):
        raise InputError(f"claims must be pairs of different sides, one or more, got {pairs}")
    if strange := sorted(set(metrics) - set(_METRICS)):
        raise InputError(f"metrics must be among {tuple(_METRICS)}, got {strange}")
    options: dict[str, Any] = {
        "threshold": threshold,
        "resamples": resamples,
        "rng": np.random.default_rng(rng),
    }
    seen = {name: judged(sides[name], split=split) for name in dict.fromkeys(sum(pairs, ()))}
    rows: list[dict[str, Any]] = []
    for first, second in pairs:
        one, other, paired = _compared(first, second, seen)
        for metric in metrics:
            head = {"first": first, "second": second, "metric": metric}
            head |= _about(one, other, metric, paired, threshold)
            rows.append(head | (_paired if paired else _unpaired)(one, other, metric, **options))
    table = QTable(rows=rows)
    table["p_holm"] = holm(table["p_value"])
    table["verdict"] = [_verdict(row, level) for row in table]
    table.meta["level"] = level
    return table


def _compared(first: str, second: str, seen: Mapping[str, Judged]) -> tuple[Judged, Judged, bool]:
    """Both sides on their common objects, or on their own where there is none."""
    one, other = seen[first], seen[second]
    common = np.intersect1d(one.object_id, other.object_id)
    if len(common):
        one, other = (side.part(np.isin(side.object_id, common)) for side in (one, other))
        if not np.array_equal(one.member, other.member):
            raise InputError(
                f"truth of {first!r} and {second!r} must be the same, got another for some objects"
            )
    for name, side in ((first, one), (second, other)):
        members = int(side.member.sum())
        if min(members, len(side.member) - members) < 2:
            raise InputError(
                f"{first!r} and {second!r} must be compared on two members and two non-members at least, got "
                f"{members} and {len(side.member) - members} of {name!r}"
            )
    return one, other, bool(len(common))


def _about(one: Judged, other: Judged, metric: str, paired: bool, threshold: float) -> dict[str, Any]:
    """How many objects are compared, and the measured values."""
    sides = [one] if paired else [one, other]
    about: dict[str, Any] = {
        "pairing": "paired" if paired else "unpaired",
        "objects": sum(len(side.member) for side in sides),
        "members": sum(int(side.member.sum()) for side in sides),
    }
    for name, side in (("first", one), ("second", other)):
        spread = _spread(side, metric, threshold)
        about |= {f"{name}_value": spread.mean, f"{name}_std": spread.std}
    return about


def _spread(side: Judged, metric: str, threshold: float) -> OverSeeds:
    scores = [binary_scores(side.member, row, threshold=threshold) for row in side.scores]
    return over_seeds([getattr(one, _METRICS[metric]) for one in scores])


def _paired(one: Judged, other: Judged, metric: str, **options: Any) -> dict[str, Any]:
    """Difference on the same objects, tested by `labkit.evaluate.difference_table`."""
    both = Predictions.concatenate([*_as_runs(one, "first"), *_as_runs(other, "second")])
    pairs = [("first", "second")]
    row = difference_table(both, pairs, split=None, metrics=(_METRICS[metric],), **options)[0]
    return {name: row[name] for name in ("difference", "low", "high", "test", "p_value")}


def _as_runs(side: Judged, name: str) -> list[Predictions]:
    """Each training as a run that judged all objects."""
    true = np.where(side.member, MEMBER.classes[1], MEMBER.classes[0])
    return [
        Predictions.from_arrays(
            side.object_id,
            np.column_stack([1 - p, p]),
            classes=MEMBER.classes,
            true=true,
            experiment=name,
            seed=number,
            positive=MEMBER.positive,
        )
        for number, p in enumerate(side.scores)
    ]


def _unpaired(
    one: Judged, other: Judged, metric: str, *, threshold: float, resamples: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Difference between different objects, each side resampled by itself."""
    options: dict[str, Any] = {"threshold": threshold, "resamples": resamples, "rng": rng}
    options["ranked"] = metric == "auc"
    draws = [bootstrap_scores(side.member, side.scores, **options)[_METRICS[metric]] for side in (one, other)]
    gap: NDArray[np.float64] = draws[0] - draws[1]
    gap = gap[np.isfinite(gap)]
    fewer = int(min((gap <= 0).sum(), (gap >= 0).sum()))
    bounds = percentile_interval(gap)
    return {
        "difference": _spread(one, metric, threshold).mean - _spread(other, metric, threshold).mean,
        "low": bounds.low,
        "high": bounds.high,
        "test": "bootstrap",
        "p_value": min(1.0, 2 * (fewer + 1) / (len(gap) + 1)),
    }


def _verdict(row: QTable.Row, level: float) -> str:
    if not row["p_holm"] < level:
        return "not told apart"
    return "higher" if row["difference"] > 0 else "lower"


def trend_sentences(table: QTable, *, digits: int = 3) -> list[str]:
    """One sentence for each row of `trend_table`, with no more than the numbers support.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        From `trend_table`.
    digits : int
        Digits after the point.

    Returns
    -------
    list of str
        Such as "F1 of mixed_star is higher than that of mixed by 0.021 (0.010 to 0.032); paired on 2820
        objects, p = 0.004; trainings scatter by 0.003 and 0.005."
    """
    return [_sentence(row, digits) for row in table]


def _sentence(row: QTable.Row, digits: int) -> str:
    name = {"f1": "F1", "auc": "AUC"}.get(row["metric"], str(row["metric"]).capitalize())
    gap, low, high = (float(row[key]) for key in ("difference", "low", "high"))
    bounds = sorted((low, high) if row["verdict"] != "lower" else (-low, -high))
    inside = f"({bounds[0]:.{digits}f} to {bounds[1]:.{digits}f})"
    if row["verdict"] == "not told apart":
        said = f"{name} of {row['first']} and {row['second']} are not told apart: {gap:+.{digits}f} {inside}"
    else:
        said = f"{name} of {row['first']} is {row['verdict']} than that of {row['second']} by "
        said += f"{abs(gap):.{digits}f} {inside}"
    where = "paired on" if row["pairing"] == "paired" else "different objects,"
    p = f"p = {row['p_holm']:.2g}" if row["p_holm"] >= 0.001 else "p < 0.001"
    scatter = [float(row[f"{side}_std"]) for side in ("first", "second")]
    noise = "scatter by " + " and ".join(
        "an unknown amount" if np.isnan(one) else f"{one:.{digits}f}" for one in scatter
    )
    seeds = "one training a side" if np.isnan(scatter).all() else f"trainings {noise}"
    return f"{said}; {where} {row['objects']} objects, {p}; {seeds}."

"""The selection function: how probably a search finds a cluster, from clusters injected into images."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import PolynomialFeatures, SplineTransformer

from labkit.errors import InputError, boundary, need_choice
from labkit.evaluate.resampling import wilson
from labkit.paths import write_file
from labkit.tables import need_columns, numbers, text

logger = logging.getLogger(__name__)

#: What a selection function depends on, its units, and whether it is smooth in the logarithm.
ARGUMENTS: Mapping[str, tuple[Any, bool]] = {
    "flux": (u.erg / u.s / u.cm**2, True),
    "extent": (u.arcsec, True),
    "off_axis": (u.arcmin, False),
    "exposure": (u.s, True),
    "background": (u.ct / u.arcmin**2, True),
    "distance": (u.arcmin, True),
}
#: Knots of the splines; scikit-learn's C to choose from; how much less straight lines are penalised than what
#: bends them.
_KNOTS, _STRENGTHS, _STRAIGHT = 5, (0.03, 0.1, 0.3, 1.0), 10.0


@dataclass(frozen=True)
class SelectionFunction:
    """Probability that a search selects a cluster, smooth in what the cluster is and where it lies.

    A logistic regression on each argument, products of two and cubic splines, where what bends a straight
    line is penalised; fitted by `fit_selection` to simulated clusters that were injected into images.
    Arguments: ``flux`` (erg/s/cm2), ``extent`` (core radius, arcsec), ``off_axis`` (arcmin), ``exposure``
    (s), ``background`` (counts/arcmin2), ``distance`` to the next source (arcmin), as `labkit.finder.inject`
    gives them.

    Parameters
    ----------
    domain : dict of str to tuple of float
        Least and largest value of each argument that it was fitted to.
    coefficients : tuple of float
        Of the arguments, their products, and the splines.
    intercept : float
        Log-odds where all of them are 0.
    about : dict
        What counts as selected, in which images, how many clusters taught it, and how well it predicts
        clusters of copies that it was not fitted to: ``log_loss``, ``brier``, beside those of a constant.
    """

    domain: dict[str, tuple[float, float]]
    coefficients: tuple[float, ...]
    intercept: float
    about: dict[str, Any]

    def __call__(self, *, outside: Literal["raise", "nan"] = "raise", **arguments: ArrayLike) -> NDArray:
        """Probability of selection of each cluster, of the shape that the arguments broadcast to.

        All arguments of the domain are needed. Beyond it nothing is known: an InputError, or with
        ``outside="nan"`` NaN, and the log says for how many.
        """
        need_choice("outside", outside, ("raise", "nan"))
        if set(arguments) != set(self.domain):
            raise InputError(f"arguments must be {', '.join(self.domain)}, got {', '.join(arguments)}")
        plain = [
            numbers(np.ravel(arguments[name]), ARGUMENTS[name][0]).reshape(np.shape(arguments[name]))
            for name in self.domain
        ]
        values = np.stack(np.broadcast_arrays(*plain), axis=-1)
        low, high = np.array(list(self.domain.values())).T
        beyond = ~((values >= low) & (values <= high))
        if outside == "raise" and beyond.any():
            column = int(np.argmax(beyond.reshape(-1, len(low)).any(axis=0)))
            first = values[..., column][beyond[..., column]][0]
            raise InputError(
                f"{list(self.domain)[column]} must lie in {low[column]:.4g} to {high[column]:.4g}, where "
                f"clusters were injected, got {first:.4g}; inject others, or pass outside='nan'"
            )
        known = ~beyond.any(axis=-1)
        if not known.all():
            logger.warning("%d of %d clusters lie outside the domain: NaN", (~known).sum(), known.size)
        result = np.full(known.shape, np.nan)
        if known.any():
            design = _design(values[known], self.domain)
            result[known] = expit(design @ np.array(self.coefficients) + self.intercept)
        return result

    def save(self, path: str | Path) -> Path:
        """Write one small JSON file, whole or not at all."""
        return write_file(path, json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, path: str | Path) -> "SelectionFunction":
        """Read what `save` wrote."""
        with boundary(f"{str(path)!r} must be a saved selection function", "save one again"):
            found = json.loads(Path(path).read_text("utf-8"))
            domain = {name: (float(low), float(high)) for name, (low, high) in found["domain"].items()}
            if not set(domain) <= set(ARGUMENTS):
                raise InputError(f"{str(path)!r} must be of {list(ARGUMENTS)}, got {list(domain)}")
            coefficients = tuple(map(float, found["coefficients"]))
            return cls(domain, coefficients, float(found["intercept"]), dict(found["about"]))


def _design(values: NDArray[np.float64], domain: Mapping[str, tuple[float, float]]) -> NDArray[np.float64]:
    """Straight lines in each argument that varies, products of two, and splines, (cluster, term)."""
    columns = []
    for column, (name, (low, high)) in zip(values.T, domain.items(), strict=True):
        if low < high:
            scale = np.log if ARGUMENTS[name][1] else np.asarray
            columns.append(np.interp(scale(column), scale([low, high]), [0, 1]))
    if not columns:
        return np.zeros((len(values), 0))
    scaled = np.stack(columns, axis=1)
    knots = np.repeat(np.linspace(0, 1, _KNOTS)[:, None], scaled.shape[1], axis=1)
    splines = SplineTransformer(knots=knots, include_bias=False).fit_transform(scaled)
    products = PolynomialFeatures(2, include_bias=False).fit_transform(2 * scaled - 1)
    products[:, : scaled.shape[1]] *= _STRAIGHT
    return np.concatenate([products, splines], axis=1)


def is_selected(injections: Table, selected: str, threshold: float | None = None) -> NDArray[np.bool_]:
    """Whether each injected cluster is selected: a bool column, or ``probability`` from a threshold on."""
    need_columns(injections, [selected], "injections", hint="selected must name detected, candidate or c1, "
                 "or probability where networks scored them")  # fmt: skip
    if (threshold is None) != (injections[selected].dtype.kind == "b"):
        raise InputError(
            f"threshold must be given for a column of probabilities alone, got {threshold} for {selected!r}"
        )
    values = np.nan_to_num(numbers(injections[selected]))
    return values > 0 if threshold is None else values >= threshold


def fit_selection(
    injections: Table, *, selected: str = "c1", threshold: float | None = None, folds: int = 5
) -> SelectionFunction:
    """Fit a selection function to injected clusters.

    Parameters
    ----------
    injections : Table
        As `labkit.finder.inject` gives them, of one observation or of several (`astropy.table.vstack`).
    selected : str
        Column that says which were: ``detected``, ``candidate``, ``c1``, or ``probability``.
    threshold : float, optional
        Least probability, with `selected` "probability".
    folds : int
        Parts of whole copies, each of which the others predict, to choose the strength of the penalty.

    Returns
    -------
    SelectionFunction
        Fitted to all, with the measures of the parts in ``about``.

    Raises
    ------
    InputError
        If a column is missing, there are fewer copies than folds, or all or none are selected.
    """
    predicted = cross_validate(injections, selected=selected, threshold=threshold, folds=folds)
    there, p = np.asarray(predicted["selected"]), np.asarray(predicted["p"])
    values, domain = _values(injections)
    found = _regression(predicted.meta["penalty"]).fit(_design(values, domain), there)
    constant = np.full(len(p), there.mean())
    about = {
        "selected": selected if threshold is None else f"{selected} of at least {threshold:g}",
        "injected": injections.meta.get("injected", "simulated clusters"),
        "clusters": len(there),
        **predicted.meta,
        "log_loss": float(log_loss(there, p)),
        "brier": float(brier_score_loss(there, p)),
        "log_loss_constant": float(log_loss(there, constant)),
        "brier_constant": float(brier_score_loss(there, constant)),
    }
    return SelectionFunction(domain, tuple(found.coef_[0].tolist()), float(found.intercept_[0]), about)


def cross_validate(
    injections: Table, *, selected: str = "c1", threshold: float | None = None, folds: int = 5
) -> QTable:
    """Probability ``p`` of each injected cluster by those of other copies, and whether it was ``selected``.

    ``meta`` has the penalty, scikit-learn's C, of the least log loss among four, and the number of folds.
    """
    values, domain = _values(injections)
    there = is_selected(injections, selected, threshold)
    if there.all() or not there.any():
        raise InputError(
            f"injections must hold selected and other clusters, got {there.sum()} of {len(there)}"
        )
    need_columns(injections, ["copy"], "injections")
    copies = np.asarray(injections["copy"])
    if not 2 <= folds <= len(np.unique(copies)):
        raise InputError(
            f"folds must lie in 2 to the number of copies, {len(np.unique(copies))}, got {folds}"
        )
    design, best = _design(values, domain), (np.inf, 0.0, np.zeros(0))
    for strength in _STRENGTHS:
        p = np.zeros(len(there))
        for rest, part in GroupKFold(folds).split(design, there, copies):
            p[part] = _regression(strength).fit(design[rest], there[rest]).predict_proba(design[part])[:, 1]
        best = min(best, (float(log_loss(there, p)), strength, p), key=lambda one: one[0])
    return QTable({"p": best[2], "selected": there}, meta={"penalty": best[1], "folds": folds})


def _regression(strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, max_iter=2000)


def _values(injections: Table) -> tuple[NDArray[np.float64], dict[str, tuple[float, float]]]:
    """The arguments of each cluster, (cluster, argument), and their domain."""
    need_columns(injections, ARGUMENTS, "injections", hint="make them by labkit.finder.inject")
    columns = {name: numbers(injections[name], unit) for name, (unit, _) in ARGUMENTS.items()}
    for name, (_, log) in ARGUMENTS.items():
        if not (np.isfinite(columns[name]).all() and (not log or (columns[name] > 0).all())):
            raise InputError(f"injections must have {'positive ' * log}numbers in {name}, got others")
    domain = {name: (float(one.min()), float(one.max())) for name, one in columns.items()}
    return np.stack(list(columns.values()), axis=1), domain


def counted_completeness(
    injections: Table,
    *,
    selected: str = "c1",
    threshold: float | None = None,
    flux: Sequence[float] | None = None,
    extent: Sequence[float] | None = None,
) -> QTable:
    """Count which share of injected clusters was selected.

    Parameters
    ----------
    injections : Table
        As `labkit.finder.inject` gives them.
    selected, threshold
        As for `fit_selection`.
    flux, extent : sequence of float, optional
        Edges of bins, erg/s/cm2 and arcsec; by default each value that occurs, as in a grid.

    Returns
    -------
    QTable
        One row per extent and flux that clusters have: ``extent``, ``flux`` (geometric means), ``clusters``,
        ``completeness`` with its 95 % Wilson interval ``_low`` and ``_high``.

    Raises
    ------
    InputError
        If a column is missing, or edges do not grow.
    """
    there, rows = is_selected(injections, selected, threshold), []
    need_columns(injections, ("flux", "extent"), "injections")
    values = {name: numbers(injections[name], ARGUMENTS[name][0]) for name in ("extent", "flux")}
    places = []
    for (name, column), edges in zip(values.items(), (extent, flux), strict=True):
        if edges is not None and not (len(edges) > 1 and (np.diff(edges) > 0).all()):
            raise InputError(f"{name} must be edges of bins that grow, at least two, got {list(edges)}")
        own = np.unique(column, return_inverse=True)[1] if edges is None else np.digitize(column, edges) - 1
        places.append(np.where(own < (np.inf if edges is None else len(edges) - 1), own, -1))
    for pair in np.unique(np.stack(places, axis=1), axis=0):
        inside = (places[0] == pair[0]) & (places[1] == pair[1])
        if pair.min() >= 0:
            k, n = int(there[inside].sum()), int(inside.sum())
            means = [_mean(column[inside]) for column in values.values()]
            rows.append((*means, n, k / n, *map(float, wilson(k, n))))
    names = ("extent", "flux", "clusters", "completeness", "completeness_low", "completeness_high")
    units = {name: ARGUMENTS[name][0] for name in values}
    return QTable(rows=rows or None, names=names, units=units, dtype=["f8", "f8", "i8", "f8", "f8", "f8"])


def _mean(values: NDArray[np.float64]) -> float:
    """Geometric mean, which for equal values is exactly theirs."""
    return float(np.clip(np.exp(np.log(values).mean()), values.min(), values.max()))


def expected_completeness(
    function: SelectionFunction, injections: Table, *, flux: ArrayLike, extent: ArrayLike
) -> QTable:
    """Mean of a selection function over the places of injected clusters, and the sky area that it leaves.

    Parameters
    ----------
    function : SelectionFunction
        The function.
    injections : Table
        Clusters placed evenly in area, whose places stand for the field; their own fluxes do not matter.
    flux, extent : array_like
        Fluxes (erg/s/cm2) and core radii (arcsec), all combinations.

    Returns
    -------
    QTable
        ``extent``, ``flux``, ``completeness``, and ``area`` (deg2), the completeness times ``meta["area"]``
        of the injections: the sky on which such clusters are selected.

    Raises
    ------
    InputError
        If a flux or extent lies outside the domain, or the injections lack a column or their area.
    """
    area = injections.meta.get("area")
    if not isinstance(area, float):
        raise InputError(
            "injections must hold their area in meta, as from labkit.finder.inject; give it there"
        )
    fluxes, extents = np.meshgrid(np.atleast_1d(flux), np.atleast_1d(extent))
    given: dict[str, Any] = {name: injections[name] for name in [*ARGUMENTS][2:]}
    given |= {"flux": fluxes.ravel()[:, None], "extent": extents.ravel()[:, None]}
    mean = function(**given).mean(axis=1)
    columns = {"extent": extents.ravel() * u.arcsec, "flux": fluxes.ravel() * ARGUMENTS["flux"][0]}
    return QTable(columns | {"completeness": mean, "area": mean * area * u.deg**2})


def false_candidates(found: Table, *, selected: str = "c1") -> QTable:
    """What a selection holds on fields as they are on the sky: the false ones with the clusters.

    Parameters
    ----------
    found : Table
        Candidates of simulated fields and what they are, from `labkit.simulate.read_recipe` or
        `labkit.finder.search_fields`.
    selected : str
        Column of the candidates to judge, such as ``c1``; "" for all.

    Returns
    -------
    QTable
        One row per class that an expert would give (``seen_as``), most first: ``candidates``, ``per_field``
        (weighted, so that the enrichment of simulated fields is undone) and ``share`` of all that are
        selected, with the 95 % interval ``_low`` and ``_high`` for the effective number of candidates. The
        purity is the sum of the shares of clusters, which ``meta`` holds with its interval.

    Raises
    ------
    InputError
        If a column or the number of fields is missing, or nothing is selected.
    """
    need_columns(found, ["seen_as", "weight", *([selected] if selected else [])], "found")
    weight, kind = numbers(found["weight"]), text(found["seen_as"])
    weight = weight * (numbers(found[selected]) if selected else 1.0)
    if not weight.sum() > 0 or "fields" not in found.meta:
        raise InputError(
            "found must hold selected candidates and, in meta, the number of fields; search more"
        )
    effective = weight.sum() ** 2 / (weight**2).sum()

    def share(rows: NDArray[np.bool_]) -> tuple[float, ...]:
        part = float(weight[rows].sum() / weight.sum())
        return part, *map(float, wilson(part * effective, effective))

    names = sorted(set(kind[weight > 0].tolist()), key=lambda name: -weight[kind == name].sum())
    rows = [
        (name, int((weight[kind == name] > 0).sum()), weight[kind == name].sum() / found.meta["fields"],
         *share(kind == name))
        for name in names
    ]  # fmt: skip
    columns = ("seen_as", "candidates", "per_field", "share", "share_low", "share_high")
    value, low, high = share(np.char.endswith(kind, "cluster"))
    return QTable(rows=rows, names=columns, meta={"purity": value, "purity_low": low, "purity_high": high})

"""Members of clusters that no model has seen, from a catalogue: folds keep whole clusters together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from astropy.table import QTable, Table

from labkit.errors import InputError
from labkit.evaluate.folds import deal_folds
from labkit.evaluate.methods import photometric_predictions
from labkit.evaluate.resampling import Resampling
from labkit.evaluate.tables import measure
from labkit.photometry import colours, magnitude_at, redshift_offset
from labkit.predictions import Predictions
from labkit.tables import magnitudes, numbers, text
from labkit.taxonomy import MEMBER

_MEASURES = ("purity", "completeness", "f1", "auc", "brier")
_PUBLISHED = "published classes"


@dataclass(frozen=True)
class Variant:
    """One method with what it is given.

    Parameters
    ----------
    given : str
        Group of features, such as "colours", by which figures of others are set beside.
    title : str
        What a table calls it.
    features : sequence of str
        Columns.
    options : mapping
        Further options of `photometric_predictions`: ``method``, ``covariates``, ``prior``, ``options``.
    """

    given: str
    title: str
    features: Sequence[str]
    options: Mapping[str, Any] = field(default_factory=dict)


def catalogue_features(
    catalogue: Table,
    *,
    reference: str,
    bands: Sequence[str] | None = None,
    magnitude: str = "mag_{band}",
    colour: str | None = None,
    member: str = "label",
    cluster: str = "cluster",
    cluster_redshift: str = "cluster_redshift",
    photometric_redshift: str = "",
    radius: str = "",
    published: str = "",
) -> Table:
    """What photometric methods see of the galaxies of a catalogue, whatever its columns are called.

    Parameters
    ----------
    catalogue : Table
        One row for each galaxy with a spectroscopic verdict.
    reference : str
        Band of the magnitude, against which the colours are taken.
    bands : sequence of str, optional
        By wavelength; by default all that the columns `magnitude` name.
    magnitude, colour : str
        Names of the columns with ``{band}`` for the band: of the magnitude, and of those that colours are
        taken of (by default the same).
    member, cluster, cluster_redshift : str
        Columns of the verdict (bool, or "member" and "non-member"; "" takes no part), of the host's name and
        of its redshift.
    photometric_redshift, radius, published : str
        Columns of the photometric redshift, of R/R200 and of a membership that somebody published (bool);
        "": the catalogue has none.

    Returns
    -------
    Table
        ``object_id`` (the row's number where the catalogue has none), ``label``, ``cluster``; the colours,
        named in ``meta["colours"]``; ``magnitude``,
        ``cluster_redshift``, ``cluster_redshift2`` (squared), ``absolute_magnitude`` (`magnitude_at`); as
        far as they are there ``photometric_redshift``, ``offset`` (`redshift_offset`), ``distance`` (its
        amount), ``radius`` and ``published``. Galaxies without `reference` magnitude or verdict are left out;
        ``meta["left_out"]`` counts them.
    """
    extra = {"photometric_redshift": photometric_redshift, "radius": radius, "published": published}
    extra = {name: column for name, column in extra.items() if column}
    main = magnitude.format(band=reference)
    needed = [main, member, cluster, cluster_redshift, *extra.values()]
    if missing := [name for name in needed if name not in catalogue.colnames]:
        raise InputError(
            f"catalogue must have the columns {needed}, got none for {missing}; name the right ones"
        )
    label = _labels(catalogue[member])
    keep = np.isfinite(magnitudes(catalogue[main])) & (label != "")
    if not keep.any():
        raise InputError(f"catalogue must hold a galaxy with {main} and a verdict, got none of {len(keep)}")
    rows, template = catalogue[keep], colour or magnitude
    table = colours(rows, bands=bands or _bands(catalogue, template), reference=reference, column=template)
    table.meta = {"colours": list(table.colnames), "left_out": int((~keep).sum())}
    numbered = [f"{row:06d}" for row in np.flatnonzero(keep)]
    table["object_id"] = text(rows["object_id"]) if "object_id" in rows.colnames else numbered
    table["label"], table["cluster"] = label[keep], text(rows[cluster])
    table["magnitude"] = magnitudes(rows[main])
    z = numbers(rows[cluster_redshift])
    table["cluster_redshift"], table["cluster_redshift2"] = z, z**2
    table["absolute_magnitude"] = magnitude_at(table["magnitude"], z)
    for name, column in extra.items():
        table[name] = magnitudes(rows[column])
    if photometric_redshift:
        table["offset"] = redshift_offset(table["photometric_redshift"], z)
        table["distance"] = np.abs(table["offset"])
    return table


def _labels(column: Any) -> np.ndarray:
    """Verdicts as labels; a masked one is unknown."""
    mask, values = np.ma.getmaskarray(column), np.ma.getdata(column)
    labels = np.where(values, "member", "non-member") if values.dtype == bool else text(column)
    return np.where(mask, "", labels)


def _bands(catalogue: Table, template: str) -> list[str]:
    """What stands for the band in the columns' names; a band has no "_", which an error's column has."""
    pattern = re.compile(re.escape(template).replace(re.escape("{band}"), "([^_]+)"))
    return [found[1] for name in catalogue.colnames if (found := pattern.fullmatch(name))]


def feature_sets(table: Table, *, broad: Sequence[str] | None = None) -> list[Variant]:
    """Random forest and Bayesian model, with colours, and with the photometric redshift where there is one.

    Parameters
    ----------
    table : Table
        From `catalogue_features`.
    broad : sequence of str, optional
        Colours of the Bayesian model, by default all. Narrow bands cost it more than they tell.

    Returns
    -------
    list of Variant
        Groups "colours" and, with ``offset`` and ``radius``, "photometric redshift".
    """
    names, shift = table.meta["colours"], ["cluster_redshift", "cluster_redshift2", "absolute_magnitude"]
    bayesian = {"method": "bayesian", "covariates": shift, "prior": [shift[2], shift[0]]}
    sets = [
        Variant("colours", "random forest", [*names, "magnitude", "cluster_redshift"]),
        Variant("colours", "Bayesian", list(broad or names), bayesian),
    ]
    if {"offset", "radius"} <= set(table.colnames):
        more = ["magnitude", "absolute_magnitude", "cluster_redshift"]
        more += ["photometric_redshift", "offset", "radius"]
        near = {"method": "bayesian", "covariates": ["cluster_redshift"], "prior": ["radius"]}
        sets += [
            Variant("photometric redshift", "random forest", [*names, *more]),
            Variant("photometric redshift", "Bayesian", ["offset"], near),
        ]
    return sets


def variant_predictions(table: Table, variant: Variant, *, trees: int = 500, **options: Any) -> Predictions:
    """Out-of-fold probabilities of one variant.

    Parameters
    ----------
    table : Table
        From `catalogue_features`.
    variant : Variant
        From `feature_sets`, or another.
    trees : int
        Of a forest.
    **options
        Further options of `photometric_predictions`: ``folds``, ``groups``, ``seeds``, ``experiment``.

    Returns
    -------
    Predictions
        Of the scheme "member", split "test".
    """
    given = {"method": "random forest"} | dict(variant.options)
    if given["method"] in ("random forest", "extra trees"):
        given["options"] = {"n_estimators": trees} | dict(given.get("options", {}))
    return photometric_predictions(table, variant.features, **given, **options)


def unseen_clusters(
    table: Table,
    variants: Sequence[Variant],
    *,
    folds: int = 10,
    seeds: Sequence[int] = (0, 1, 2),
    trees: int = 500,
    threshold: float = 0.5,
) -> QTable:
    """Quality of each variant on clusters that it was not trained on.

    Parameters
    ----------
    table : Table
        From `catalogue_features`.
    variants : sequence of Variant
        From `feature_sets`, or others.
    folds : int
        Number of folds; at most as many as there are clusters.
    seeds : sequence of int
        Each deals the clusters into folds anew and trains anew.
    trees : int
        Of each forest.
    threshold : float
        A higher probability counts as a member.

    Returns
    -------
    `~astropy.table.QTable`
        One row for each variant: ``given``, ``method``, ``clusters``, ``galaxies``, ``members``, ``purity``,
        ``completeness``, ``f1``, ``auc`` and ``brier``, means over the seeds, each with ``_std``, their
        scatter. A last row "published classes" where the table has such a column: a decision, so that AUC
        and Brier score are NaN.
    """
    hosts = text(table["cluster"])
    most = min(folds, len(np.unique(hosts)))
    about = {"clusters": len(np.unique(hosts)), "galaxies": len(table)}
    about |= {"members": int(np.sum(table["label"] == "member"))}
    found: dict[tuple[str, str], Predictions] = {}
    for one in variants:
        dealt = [deal_folds(table["label"], folds=most, groups=hosts, seed=seed) for seed in seeds]
        found[one.given, one.title] = Predictions.concatenate(
            variant_predictions(table, one, folds=numbers, groups=hosts, seeds=(seed,), trees=trees)
            for numbers, seed in zip(dealt, seeds, strict=True)
        )
    if "published" in table.colnames:
        found[_PUBLISHED, "as published"] = _as_published(table)
    every = measure(
        found, by=("given", "method"), measures=_MEASURES, threshold=threshold, resampling=Resampling(0)
    )
    result = QTable({name: every[name] for name in ("given", "method")})
    for name, number in about.items():
        result[name] = np.full(len(every), number)
    for name in _MEASURES:
        for column in (name, f"{name}_std"):
            result[column] = every[column]
            if name in ("auc", "brier"):  # a published class is no probability
                result[column][every["given"] == _PUBLISHED] = np.nan
    return result


def _as_published(table: Table) -> Predictions:
    """A published membership as the probability 0 or 1."""
    p = numbers(table["published"])
    return Predictions.from_arrays(
        text(table["object_id"]),
        np.column_stack([1 - p, p]),
        classes=MEMBER.classes,
        true=text(table["label"]),
        experiment=_PUBLISHED,
        split="test",
        positive=MEMBER.positive,
    )

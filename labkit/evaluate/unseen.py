"""Members of clusters that no model has seen, from a catalogue: folds keep whole clusters together."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import QTable, Table, vstack
from numpy.typing import ArrayLike

from labkit.errors import InputError
from labkit.evaluate.folds import deal_folds, folds_of
from labkit.evaluate.methods import photometric_predictions
from labkit.evaluate.resampling import Resampling
from labkit.evaluate.tables import measure
from labkit.photometry import colours, magnitude_at, redshift_offset
from labkit.predictions import Predictions
from labkit.tables import magnitudes, numbers, text
from labkit.taxonomy import MEMBER

_MEASURES = ("purity", "completeness", "f1", "auc", "brier")
_PUBLISHED = "published classes"
_SURVEYS = Path(__file__).with_name("surveys.toml")


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


def survey_columns(survey: str) -> dict[str, Any]:
    """What a survey's catalogue calls its columns.

    Parameters
    ----------
    survey : str
        Such as "S-PLUS".

    Returns
    -------
    dict
        Options of `catalogue_features`.

    Raises
    ------
    InputError
        If it is not in ``surveys.toml``.
    """
    known = tomllib.loads(_SURVEYS.read_text(encoding="utf-8"))
    if survey not in known:
        raise InputError(f"survey must be one of {tuple(known)}, got {survey!r}; name the columns yourself")
    return {name: value for name, value in known[survey].items() if name != "source"}


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
    broad: Sequence[str] | None = None,
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
    broad : sequence of str, optional
        Colours that a Bayesian model is given, such as "g-r"; by default all. Narrow bands cost it more than
        they tell.

    Returns
    -------
    Table
        ``object_id`` (the row's number where the catalogue has none), ``label``, ``cluster``; the colours,
        named in ``meta["colours"]``, `broad` in ``meta["broad"]``; ``magnitude``,
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
    table.meta["broad"] = list(table.meta["colours"] if broad is None else broad)
    if unknown := sorted(set(table.meta["broad"]) - set(table.meta["colours"])):
        raise InputError(f"broad must be of the colours {table.meta['colours']}, got {unknown}")
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


def feature_sets(table: Table) -> list[Variant]:
    """Random forest and Bayesian model, with colours, and with the photometric redshift where there is one.

    Parameters
    ----------
    table : Table
        From `catalogue_features`.

    Returns
    -------
    list of Variant
        Groups "colours" and, with ``offset`` and ``radius``, "photometric redshift".
    """
    names, shift = table.meta["colours"], ["cluster_redshift", "cluster_redshift2", "absolute_magnitude"]
    bayesian = {"method": "bayesian", "covariates": shift, "prior": [shift[2], shift[0]]}
    sets = [
        Variant("colours", "random forest", [*names, "magnitude", "cluster_redshift"]),
        Variant("colours", "Bayesian", table.meta["broad"], bayesian),
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


def colour_methods(
    table: Table,
    *,
    folds: Predictions | ArrayLike,
    groups: ArrayLike | None = None,
    seeds: Sequence[int] = (0,),
    trees: int = 500,
) -> dict[str, Predictions]:
    """Random forest and Bayesian model given the colours: the methods that EXP3 sets beside the network.

    Parameters
    ----------
    table : Table
        From `catalogue_features`.
    folds : Predictions or array_like of int, shape (n,)
        Out-of-fold predictions, whose folds are taken for the same objects while others take no part; or the
        fold of each row, from `deal_folds`.
    groups : array_like, shape (n,), optional
        As for `photometric_predictions`.
    seeds : sequence of int
        One forest each.
    trees : int
        Of a forest.

    Returns
    -------
    dict of str to Predictions
        "random forest" and "Bayesian", of the same objects.

    Raises
    ------
    InputError
        As for `folds_of` and `photometric_predictions`.
    """
    hosts = None if groups is None else np.asarray(groups)
    if isinstance(folds, Predictions):
        folds = folds_of(folds, table["object_id"])
        keep = folds >= 0
        table, folds, hosts = table[keep], folds[keep], None if hosts is None else hosts[keep]
    options: dict[str, Any] = {"folds": folds, "groups": hosts, "trees": trees}
    forest, bayesian = feature_sets(table)[:2]  # the colours come first
    return {
        forest.title: variant_predictions(table, forest, seeds=seeds, **options),
        bayesian.title: variant_predictions(table, bayesian, **options),
    }


def unseen_clusters(
    table: Table | Mapping[str, Table],
    variants: Sequence[Variant] | None = None,
    *,
    folds: int = 10,
    seeds: Sequence[int] = (0, 1, 2),
    trees: int = 500,
    threshold: float = 0.5,
) -> QTable:
    """Quality of each variant on clusters that it was not trained on.

    Parameters
    ----------
    table : Table or mapping of str to Table
        From `catalogue_features`; several by the names of their catalogues.
    variants : sequence of Variant, optional
        By default the `feature_sets` of each table.
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
        One row for each variant: ``catalogue`` (of several tables), ``given``, ``method``, ``clusters``,
        ``galaxies``, ``members``, ``purity``, ``completeness``, ``f1``, ``auc`` and ``brier``, means over the
        seeds, each with ``_std``, their scatter. A last row "published classes" where the table has such a
        column: a decision, so that AUC and Brier score are NaN.
    """
    if isinstance(table, Mapping):
        parts = []
        for name, one in table.items():
            found = unseen_clusters(one, variants, folds=folds, seeds=seeds, trees=trees, threshold=threshold)
            found.add_column(np.full(len(found), name), name="catalogue", index=0)
            parts.append(found)
        return vstack(parts)
    hosts = text(table["cluster"])
    most = min(folds, len(np.unique(hosts)))
    about = {"clusters": len(np.unique(hosts)), "galaxies": len(table)}
    about |= {"members": int(np.sum(table["label"] == "member"))}
    predictions: dict[tuple[str, str], Predictions] = {}
    for variant in feature_sets(table) if variants is None else variants:
        dealt = [deal_folds(table["label"], folds=most, groups=hosts, seed=seed) for seed in seeds]
        predictions[variant.given, variant.title] = Predictions.concatenate(
            variant_predictions(table, variant, folds=numbers, groups=hosts, seeds=(seed,), trees=trees)
            for numbers, seed in zip(dealt, seeds, strict=True)
        )
    if "published" in table.colnames:
        predictions[_PUBLISHED, "as published"] = _as_published(table)
    every = measure(
        predictions, by=("given", "method"), measures=_MEASURES, threshold=threshold, resampling=Resampling(0)
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

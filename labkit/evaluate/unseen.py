"""Members of clusters that no model has seen, from a catalogue: folds keep whole clusters together."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table, hstack, vstack
from numpy.typing import ArrayLike

from labkit.errors import InputError
from labkit.evaluate.folds import folds_of, photometric_folds
from labkit.evaluate.measure import measure
from labkit.evaluate.methods import member_predictions, photometric_members, photometric_predictions
from labkit.evaluate.resampling import Resampling
from labkit.images import stamp_photometry
from labkit.photometry import colours, magnitude_at, redshift_offset
from labkit.predictions import Predictions
from labkit.sample import Sample
from labkit.tables import magnitudes, need_columns, numbers, text

_MEASURES = ("purity", "completeness", "f1", "auc", "brier")
_PUBLISHED = "published classes"
_SURVEYS = Path(__file__).with_name("surveys.toml")


@dataclass(frozen=True)
class Variant:
    """One method with what it is given, under a title; `given` names the group of features.

    `options` are further ones of `photometric_predictions`: ``method``, ``covariates``, ``prior``,
    ``options``.
    """

    given: str
    title: str
    features: Sequence[str]
    options: Mapping[str, Any] = field(default_factory=dict)


def survey_columns(survey: str) -> dict[str, Any]:
    """What the catalogue of a survey such as "S-PLUS" calls its columns: options of `catalogue_features`."""
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
    unlabelled: bool = False,
) -> Table:
    """What photometric methods see of the galaxies of a catalogue, whatever its columns are called.

    One row for each galaxy with a spectroscopic verdict (`member`: bool, or "member" and "non-member"; ""
    takes no part, unless `unlabelled` ones are wanted). `magnitude` and `colour` are names of columns with
    ``{band}`` for the band: of the magnitude, and of those that colours are taken of, by default the same;
    `bands` are by default all that the columns name. `published` is a membership that somebody published
    (bool); "" says that the catalogue has no such column. `broad` are the colours that a Bayesian model is
    given, by default all; narrow bands cost it more than they tell.

    Columns ``object_id`` (the row's number where the catalogue has none), ``label``, ``cluster``; the colours
    against `reference`, named in ``meta["colours"]``, `broad` in ``meta["broad"]``; ``magnitude``,
    ``cluster_redshift``, ``cluster_redshift2`` (squared), ``absolute_magnitude`` (`magnitude_at`); as far as
    they are there ``photometric_redshift``, ``offset`` (`redshift_offset`), ``distance`` (its amount),
    ``radius`` (R/R200) and ``published``. Galaxies without `reference` magnitude or verdict are left out;
    ``meta["left_out"]`` counts them.
    """
    extra = {"photometric_redshift": photometric_redshift, "radius": radius, "published": published}
    extra = {name: column for name, column in extra.items() if column}
    main = magnitude.format(band=reference)
    needed = [main, member, cluster, cluster_redshift, *extra.values()]
    need_columns(catalogue, needed, "catalogue", hint="name the right ones")
    label = _labels(catalogue[member])
    keep = np.isfinite(magnitudes(catalogue[main])) & ((label != "") | unlabelled)
    if not (keep & (label != "")).any():
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
    """The photometric methods, with colours, and with the photometric redshift and radius if there are such.

    Random forest and Bayesian model first, as in Angora et al. (2020), then boosting and logistic regression.
    """
    names, shift = table.meta["colours"], ["cluster_redshift", "cluster_redshift2", "absolute_magnitude"]
    bayesian = {"method": "bayesian", "covariates": shift, "prior": [shift[2], shift[0]]}
    features = [*names, "magnitude", "cluster_redshift"]
    others = ("gradient boosting", "logistic regression")
    sets = [
        Variant("colours", "random forest", features),
        Variant("colours", "Bayesian", table.meta["broad"], bayesian),
        *(Variant("colours", name, features, {"method": name}) for name in others),
    ]
    if {"offset", "radius"} <= set(table.colnames):
        more = [*names, "magnitude", "absolute_magnitude", "cluster_redshift"]
        more += ["photometric_redshift", "offset", "radius"]
        near = {"method": "bayesian", "covariates": ["cluster_redshift"], "prior": ["radius"]}
        given = "photometric redshift"
        sets += [Variant(given, "random forest", more), Variant(given, "Bayesian", ["offset"], near)]
        sets += [Variant(given, name, [*more, "distance"], {"method": name}) for name in others]
    return sets


def variant_predictions(table: Table, variant: Variant, *, trees: int = 500, **options: Any) -> Predictions:
    """Out-of-fold probabilities of one variant: `photometric_predictions` with its further options."""
    return photometric_predictions(table, variant.features, **_options(variant, trees), **options)


def _options(variant: Variant, trees: int) -> dict[str, Any]:
    given = {"method": "random forest"} | dict(variant.options)
    if given["method"] in ("random forest", "extra trees"):
        given["options"] = {"n_estimators": trees} | dict(given.get("options", {}))
    return given


def catalogue_members(
    table: Table, variant: Variant, *, folds: int = 10, seed: int = 0, trees: int = 500
) -> Predictions:
    """Probability of membership of all galaxies of `catalogue_features`, by one variant of the methods.

    Galaxies with a verdict are judged out of fold (split "test"), whole clusters at a time where there are
    two or more; those without by a model that was trained on all with one (split "run").
    """
    known, hosts = np.asarray(table["label"] != ""), text(table["cluster"])
    groups = hosts[known] if len(np.unique(hosts[known])) > 1 else None
    labels = text(table["label"])[known]
    available = np.unique(labels, return_counts=True)[1].min() if groups is None else len(np.unique(groups))
    dealt = photometric_folds(labels, folds=min(folds, int(available)), groups=groups, seed=seed)
    name: dict[str, Any] = {"experiment": variant.title, "trees": trees}
    parts = [variant_predictions(table[known], variant, folds=dealt, groups=groups, seeds=(seed,), **name)]
    if not known.all():
        given = _options(variant, trees) | {"groups": groups, "seed": seed, "experiment": variant.title}
        parts.append(photometric_members(table[known], table[~known], variant.features, **given))
    return Predictions.concatenate(parts)


def colour_methods(
    table: Table,
    *,
    folds: Predictions | ArrayLike,
    groups: ArrayLike | None = None,
    seeds: Sequence[int] = (0,),
    trees: int = 500,
) -> dict[str, Predictions]:
    """Random forest and Bayesian model given the colours: the methods that EXP3 sets beside the network.

    `folds` are out-of-fold predictions, whose folds are taken for the same objects while others take no part;
    or the fold of each row, from `photometric_folds`. One forest for each seed.
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


def stamp_methods(
    sample: Sample,
    *,
    folds: Predictions,
    bands: Sequence[str],
    reference: str,
    diameter: u.Quantity = 1 * u.arcsec,
    seeds: Sequence[int] = (0,),
    trees: int = 500,
) -> dict[str, Predictions]:
    """What the middle of the cut-outs tells without a network: the least that a network of them must beat.

    Of a Sample normalised by "fixed-asinh", on the objects and folds of a network's out-of-fold predictions.
    "logistic regression, levels" is given each band's mean grey level in the aperture, "random forest,
    stamps" the colours against `reference` and its magnitude there (`labkit.images.stamp_photometry`).
    Neither knows the cluster's redshift.
    """
    measured = stamp_photometry(sample.select(bands=bands), diameter=diameter)
    measured["label"] = sample.catalogue["label"]
    hues = colours(measured, bands=bands, reference=reference)
    table = hstack([measured, hues])
    options: dict[str, Any] = {"folds": folds_of(folds, table["object_id"])}
    levels = Variant("levels", "logistic", [f"level_{b}" for b in bands], {"method": "logistic regression"})
    forest = Variant("colours", "forest", [*hues.colnames, f"mag_{reference}"])
    return {
        "logistic regression, levels": variant_predictions(table, levels, **options),
        "random forest, stamps": variant_predictions(table, forest, seeds=seeds, trees=trees, **options),
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
    """Quality of each variant (by default of the `feature_sets`) on clusters that it was not trained on.

    Each seed deals the clusters into folds anew, at most as many as there are clusters, and trains anew. One
    row for each variant: ``catalogue`` (of several tables), ``given``, ``method``, ``clusters``,
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
        dealt = [photometric_folds(table["label"], folds=most, groups=hosts, seed=seed) for seed in seeds]
        predictions[variant.given, variant.title] = Predictions.concatenate(
            variant_predictions(table, variant, folds=numbers, groups=hosts, seeds=(seed,), trees=trees)
            for numbers, seed in zip(dealt, seeds, strict=True)
        )
    if "published" in table.colnames:
        p, run = numbers(table["published"]), {"experiment": _PUBLISHED, "split": "test"}
        predictions[_PUBLISHED, "as published"] = member_predictions(table, p, **run)
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

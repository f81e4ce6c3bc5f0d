"""Candidates without a network: cuts on what the finder measured, classifiers of numbers, shared objects."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from astropy.table import Table, hstack
from numpy.typing import ArrayLike

from labkit.errors import InputError, need_choice
from labkit.evaluate.measure import measure
from labkit.evaluate.methods import METHODS
from labkit.images.optical import OPTICAL, optical_numbers
from labkit.predictions import Predictions
from labkit.sample import Sample
from labkit.tables import need_columns, numbers, text
from labkit.taxonomy import BINARY, get_scheme

#: Small trees, of what boosting starts from: a survey has a thousand objects to train on.
_SMALL: Mapping[str, Any] = {"gradient boosting": {"max_iter": 100, "max_leaf_nodes": 8}}
#: What the finder measures of a candidate, as a survey's catalogue calls it.
FOUND = ("fitted_extent", "extension_likelihood", "detection_likelihood", "fitted_counts")
#: Limits of cuts, the one that is moved last: C1, and one for the list of XAmin 3.5, which let more points in
#: (Kosiba et al. 2020, section 2.2 and Appendix B), with the extension likelihood of C2 (Pacaud et al. 2006).
CUTS: Mapping[str, Mapping[str, float]] = {
    "C1 cut": {"fitted_extent": 5.0, "detection_likelihood": 32.0, "extension_likelihood": 33.0},
    "looser cut": {"fitted_extent": 5.0, "detection_likelihood": 32.0, "extension_likelihood": 15.0},
}


def cut_predictions(table: Table, cut: str | Mapping[str, float], *, experiment: str = "") -> Predictions:
    """A cut on catalogue columns as a classifier of clusters: one of `CUTS`, or limits of your own.

    It says "cluster" where each column exceeds its limit. Its score, v / (v + limit) of the *last* column
    where the others exceed theirs and 0 elsewhere, is above one half there and nowhere else, so that its ROC
    curve is that of the cut moved along the last column.
    """
    if isinstance(cut, str):
        need_choice("cut", cut, CUTS)
    name, limits = (cut, CUTS[cut]) if isinstance(cut, str) else ("cut", cut)
    *others, along = limits
    need_columns(table, limits, "table")
    values = np.maximum(numbers(table[along]), 0)
    score = values / (values + limits[along])
    passed = np.all([numbers(table[name]) > limits[name] for name in others], axis=0)  # NaN does not
    return _predictions(table, np.nan_to_num(np.where(passed, score, 0)), experiment=experiment or name)


def cut_sentence(table: Table, cut: str = "C1 cut") -> str:
    """What one of `CUTS` keeps of all labelled clusters, how pure that is, and its AUC, in words."""
    if not {*CUTS[cut]} <= {*table.colnames}:
        return "These candidates were not measured by labkit's finder, so no cut can be tried."
    row = measure(cut_predictions(table, cut), split=None)[0]
    return (
        f"The {cut} keeps {row['completeness']:.0%} of the {row['positives']} clusters among "
        f"{row['objects']} candidates, and {row['purity']:.0%} of what it keeps are clusters. "
        f"Moved along the extension likelihood, it has an AUC of {row['auc']:.2f} "
        f"({row['auc_low']:.2f} to {row['auc_high']:.2f})."
    )


def candidate_predictions(
    table: Table,
    features: Sequence[str],
    *,
    scheme: str = "binary",
    method: str = "gradient boosting",
    seeds: Sequence[int] = (0,),
    experiment: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Predictions:
    """Class probabilities of each candidate by a classifier of catalogue columns, what a network must beat.

    Trained, as networks are, on the rows whose ``split`` is "train" by their ``label``; classes weigh alike,
    as in balanced batches. `method` is one of `METHODS` but the colour model; NaN in `features` is missing.
    One run per seed; every row is judged.
    """
    need_choice("method", method, [name for name in METHODS if name != "bayesian"])
    need_columns(table, ["object_id", "label", "split", *features], "table")
    classes, x = get_scheme(scheme), np.column_stack([numbers(table[name]) for name in features])
    codes, maker, given = classes.encode(text(table["label"])), *METHODS[method]
    train = (codes >= 0) & (text(table["split"]) == "train")
    if lacking := [name for code, name in enumerate(classes.classes) if code not in codes[train]]:
        raise InputError(f"the training split must hold every class, got none of {lacking}")
    chosen, parts = {**given, **_SMALL.get(method, {}), "class_weight": "balanced", **(options or {})}, []
    for seed in seeds:
        model = maker(random_state=seed, **chosen).fit(x[train], codes[train])
        run: dict[str, Any] = {"scheme": scheme, "experiment": experiment or method, "seed": seed}
        parts.append(_predictions(table, model.predict_proba(x), **run))
    return Predictions.concatenate(parts)


def baselines(sample: Sample) -> dict[str, Predictions]:
    """What a network must beat, by name: the cuts of `CUTS`; trees that know the finder; and the plate, too.

    `sample` is raw. Empty where the finder did not measure its candidates, or it has no optical band.
    """
    table = sample.catalogue
    if not {*FOUND} <= {*table.colnames} or "optical" not in sample.bands:
        return {}
    known = hstack([table, optical_numbers(sample)[list(OPTICAL)]])
    features = {"trees (finder)": FOUND, "trees (finder, plate)": (*FOUND, *OPTICAL)}
    cuts = {name: cut_predictions(table, name) for name in CUTS}
    return cuts | {
        name: candidate_predictions(known, some, experiment=name) for name, some in features.items()
    }


def _predictions(table: Table, p: ArrayLike, *, scheme: str = BINARY.name, **run: Any) -> Predictions:
    """Probabilities of the classes, or of the second of two, as one run."""
    p, classes = np.asarray(p), get_scheme(scheme)
    p = np.column_stack([1 - p, p]) if p.ndim == 1 else p
    true = classes.decode(classes.encode(text(table["label"])))
    about: dict[str, Any] = {
        "classes": classes.classes,
        "positive": classes.positive,
        "split": text(table["split"]),
    }
    return Predictions.from_arrays(text(table["object_id"]), p, true=true, **about, **run)


def overlap_table(groups: Mapping[str, ArrayLike]) -> Table:
    """How many objects groups share: the fields of a Venn diagram (Kosiba et al. 2020, Fig. 7).

    `groups` are ids. For each group, and each combination of groups that holds objects of it and of no
    other, a row: ``group``, ``part`` ("experts + Hunt"), ``objects``.
    """
    ids = {name: set(text(one).tolist()) for name, one in groups.items()}
    rows = []
    for pattern in list(product((True, False), repeat=len(ids)))[:-1]:
        inside = [name for name, there in zip(ids, pattern, strict=True) if there]
        shared = set.intersection(*(ids[name] for name in inside))
        number = len(shared.difference(*(ids[name] for name in ids if name not in inside)))
        rows += [(name, " + ".join(inside), number) for name in inside if number]
    return Table(rows=rows, names=("group", "part", "objects"), dtype=(str, str, int))

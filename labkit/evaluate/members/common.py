"""Several methods on the objects that all of them judged."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from astropy.table import Table

from labkit.errors import InputError
from labkit.predictions import Predictions

__all__ = ["common_scores"]


def common_scores(methods: Mapping[str, Predictions]) -> Table:
    """Probability of membership by each method, for the objects that all of them judged.

    Parameters
    ----------
    methods : mapping of str to Predictions
        Any number of trainings each; their probabilities are averaged.

    Returns
    -------
    Table
        ``object_id``, ``member`` (bool) and one column a method, in the order of object_id.

    Raises
    ------
    InputError
        If there are fewer than two methods, no common object, or the truth differs.
    """
    if len(methods) < 2:
        raise InputError(f"methods must be two or more, got {list(methods)}")
    means = {name: _mean_scores(predictions.known) for name, predictions in methods.items()}
    common = sorted(set.intersection(*(set(scores) for scores in means.values())))
    if not common:
        raise InputError(f"methods must share objects of known truth, got none in common for {list(methods)}")
    first = means[next(iter(means))]
    for name, scores in means.items():
        if wrong := [one for one in common if scores[one][0] != first[one][0]]:
            raise InputError(
                f"truth must be the same for every method, got another by {name!r} for {wrong[:5]}"
            )
    table = Table({"object_id": common, "member": [first[one][0] for one in common]})
    for name, scores in means.items():
        table[name] = [scores[one][1] for one in common]
    return table


def _mean_scores(known: Predictions) -> dict[str, tuple[bool, float]]:
    """Truth and mean probability of each object."""
    ids, first, row = np.unique(
        np.asarray(known.table["object_id"], dtype=str), return_index=True, return_inverse=True
    )
    mean = np.bincount(row, known.score) / np.bincount(row)
    truth = np.asarray(known.table["true"] == known.positive)[first]
    pairs = zip(truth.tolist(), mean.tolist(), strict=True)
    return dict(zip(ids.tolist(), pairs, strict=True))

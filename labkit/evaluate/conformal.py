"""Sets of classes that hold the true one as often as promised, class by class."""

import numpy as np
from astropy.table import QTable

from labkit.calibration import models_of
from labkit.errors import InputError
from labkit.evaluate.trainings import known_objects
from labkit.predictions import Predictions


def conformal_sets(
    held: Predictions, predictions: Predictions, *, coverage: float = 0.9, split: str | None = "test"
) -> QTable:
    """The classes that each object may be of: the true one is among them as often as promised.

    Split conformal prediction for each class apart (Vovk 2013, Machine Learning 92, 349; Sadinle et al. 2019,
    JASA 114, 223): a class is in the set unless its probability is lower than those of nearly all held-out
    objects of that class. The promise needs no calibration and holds for any class mix, as long as objects of
    a class are like the held-out ones.

    Parameters
    ----------
    held : Predictions
        Held-out objects of known class; the mean over runs counts.
    predictions : Predictions
        Of the objects to judge, by the same models.
    coverage : float
        Promised share of the objects of each class whose set holds it.
    split : str or None
        Of the held-out objects.

    Returns
    -------
    `~astropy.table.QTable`
        ``object_id``, a bool column ``in_<class>`` for each class, and ``size`` of the set: 1 where the
        object is decided, 0 where it is unlike any class. ``meta`` has the coverage and, for each class, the
        least probability and the number of held-out objects.

    Raises
    ------
    InputError
        If a class has too few held-out objects for the coverage (9 for 0.9, 19 for 0.95), or classes or
        models differ.
    """
    if not 0 < coverage < 1:
        raise InputError(f"coverage must lie between 0 and 1, got {coverage}")
    if held.meta != predictions.meta or models_of(held) != models_of(predictions):
        raise InputError(
            f"held and predictions must be of the same classes and models, got {held.meta} by "
            f"{models_of(held)} and {predictions.meta} by {models_of(predictions)}"
        )
    known, new = known_objects(held, split).mean_of_runs(), predictions.mean_of_runs()
    table = QTable({"object_id": new.table["object_id"]})
    limits, objects = {}, {}
    for code, name in enumerate(held.classes):
        own = np.sort(known.probabilities[known.true_codes == code, code])
        rank = int(np.floor(round((len(own) + 1) * (1 - coverage), 9)))  # so many lie at or below the limit
        if rank < 1:
            least = int(np.ceil(round(1 / (1 - coverage), 9))) - 1
            raise InputError(
                f"held must have {least} objects of each class for a coverage of {coverage}, got "
                f"{len(own)} of {name!r}; add some, or promise less"
            )
        limits[name], objects[name] = float(own[rank - 1]), len(own)
        table[f"in_{name}"] = new.probabilities[:, code] >= limits[name]
    table["size"] = np.sum([table[f"in_{name}"] for name in held.classes], axis=0)
    table.meta |= {"coverage": coverage, "least_probability": limits, "held_out": objects}
    return table

"""Error inspection: right and wrong decisions with their pictures, verdicts for the next training."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from astropy.table import Table

from labkit.predictions import Predictions
from labkit.runfolder import HEADLESS
from labkit.sample import Sample
from labkit.views.inspector.pictures import Pictures
from labkit.views.inspector.state import ErrorState, gather
from labkit.views.inspector.static import error_page, error_rates, error_sheet, rates_figure
from labkit.views.inspector.verdicts import Journal
from labkit.views.inspector.widget import Inspector
from labkit.views.tables import Html


def inspect_errors(
    sample: Sample, predictions: Predictions, *, experiment: str | None = None, positive: str | None = None,
    threshold: float = 0.5, votes: Table | None = None, activation: Callable[..., np.ndarray] | None = None,
    verdicts: str | Path | None = None, user: str | None = None, page_size: int = 9,
    headless: bool | None = None,
) -> Inspector | Html:  # fmt: skip
    """Look through right and wrong decisions, and say what is true; in a headless run, its static twin.

    Parameters
    ----------
    sample : Sample
        Holds the predicted objects; only the pixels of a page are read.
    predictions : Predictions
        Of one experiment or several, with any number of runs; probabilities are means over the runs.
    experiment, positive : str, optional
        Which one to start with, the first by default; the class that counts as a detection, against all
        others.
    threshold : float
        Probability above which an object counts as a detection.
    votes : Table, optional
        Volunteers' votes, with the column ``object_id``.
    activation : callable, optional
        Shows where the network looks, such as ``functools.partial(labkit.explain.class_activation, model)``.
    verdicts, user : path and str, optional
        CSV to keep verdicts in, without which nothing can be judged; who is looking, by default the login
        name.
    page_size : int
        Objects per page.
    headless : bool, optional
        Which of the two; by default whether the kernel runs a notebook headlessly.

    Returns
    -------
    Inspector or Html
        Either shows itself at the end of a notebook's cell.

    Raises
    ------
    InputError
        If the Sample lacks predicted objects, a name is unknown, or the CSV cannot be written.
    """
    objects = gather(sample, predictions, experiment=experiment, votes=votes)
    state = ErrorState(objects, sample.catalogue, votes=votes, positive=positive, threshold=threshold)
    pictures = Pictures(sample, activation=activation)
    journal = None if verdicts is None else Journal(verdicts, user=user)
    if headless if headless is not None else bool(os.environ.get(HEADLESS)):
        return error_page(state, pictures, journal=journal)
    return Inspector(state, pictures, journal, predictions=predictions, page_size=page_size)

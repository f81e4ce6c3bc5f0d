"""Error inspection: right and wrong decisions with their pictures, verdicts for the next training."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from astropy.table import Table

from labkit.predictions import Predictions
from labkit.runfolder import HEADLESS
from labkit.sample import Sample
from labkit.views.inspector.breakdown import error_rates, rates_figure
from labkit.views.inspector.objects import Objects, gather
from labkit.views.inspector.pictures import Pictures
from labkit.views.inspector.state import GROUPS, ErrorState, Selection, Summary
from labkit.views.inspector.static import error_page, error_sheet
from labkit.views.inspector.styles import Style, styles_for
from labkit.views.inspector.verdicts import Journal, Verdict
from labkit.views.inspector.widget import Inspector
from labkit.views.tables import Html

__all__ = [
    "GROUPS",
    "ErrorState",
    "Inspector",
    "Journal",
    "Objects",
    "Pictures",
    "Selection",
    "Style",
    "Summary",
    "Verdict",
    "error_page",
    "error_rates",
    "error_sheet",
    "gather",
    "inspect_errors",
    "rates_figure",
    "styles_for",
]


def inspect_errors(
    sample: Sample,
    predictions: Predictions,
    *,
    experiment: str | None = None,
    positive: str | None = None,
    threshold: float = 0.5,
    votes: Table | None = None,
    activation: Callable[..., np.ndarray] | None = None,
    verdicts: str | Path | None = None,
    user: str | None = None,
    labels: Sequence[str] | None = None,
    styles: Sequence[Style] | None = None,
    page_size: int = 9,
    headless: bool | None = None,
) -> Inspector | Html:
    """The inspector in a notebook, its static twin in a headless run.

    Parameters
    ----------
    sample, predictions, experiment, positive, threshold, votes, activation, verdicts, user, labels, styles
        As for `Inspector`.
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
        As for `Inspector`.
    """
    if headless if headless is not None else bool(os.environ.get(HEADLESS)):
        objects = gather(sample, predictions, experiment=experiment, votes=votes)
        state = ErrorState(objects, sample.catalogue, votes=votes, positive=positive, threshold=threshold)
        journal = None if verdicts is None else Journal(verdicts, user=user)
        return error_page(state, Pictures(sample, styles=styles, activation=activation), journal=journal)
    return Inspector(
        sample, predictions, experiment=experiment, positive=positive, threshold=threshold, votes=votes,
        activation=activation, verdicts=verdicts, user=user, labels=labels, styles=styles,
        page_size=page_size,
    )  # fmt: skip

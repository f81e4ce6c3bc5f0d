"""Right and wrong decisions on cluster members as colour cut-outs (Angora et al. 2020, Figs. 10 and 11)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from astropy.table import Row
from bokeh.plotting import figure

from labkit.errors import InputError, MissingDataError
from labkit.predictions import Predictions
from labkit.sample import Sample
from labkit.views.composites import BandLimits
from labkit.views.gallery import EMPTY_PICTURE, gallery
from labkit.views.inspector.objects import gather
from labkit.views.inspector.state import GROUPS, ErrorState, Selection
from labkit.views.sample_colours import SampleColours
from labkit.views.scaling import png_uri

__all__ = ["caption_of", "member_gallery"]

#: Frames of the pictures: members found, wrongly taken, missed (the paper's green, red, blue, for all eyes).
FRAMES = {"TP": "#009E73", "FP": "#D55E00", "FN": "#0072B2", "TN": "#999999"}
NEAR_KM_S = 9000.0


def caption_of(row: Row, group: str) -> str:
    """What stands above a cut-out, as in Figs. 10 and 11 of Angora et al. (2020).

    Parameters
    ----------
    row : Row
        Of a catalogue with ``redshift`` and ``velocity``.
    group : str
        "TP" gives the redshift, "FN" the velocity in the cluster's frame, others the velocity where it is
        within 9000 km/s and else the redshift.

    Returns
    -------
    str
        Such as "z 0.4391" or "−2,310 km/s"; empty without a redshift.
    """
    redshift, velocity = (float(getattr(row[name], "value", row[name])) for name in ("redshift", "velocity"))
    near = group == "FN" or (group != "TP" and abs(velocity) <= NEAR_KM_S)
    if near and np.isfinite(velocity):
        return f"{velocity:+,.0f} km/s".replace("-", "−")
    return f"z {redshift:.4f}" if np.isfinite(redshift) else ""


def member_gallery(
    sample: Sample,
    predictions: Predictions,
    *,
    clusters: Sequence[str] | None = None,
    groups: Sequence[str] = ("TP", "FP", "FN"),
    experiment: str | None = None,
    threshold: float = 0.5,
    columns: int = 8,
    sort: str = "confidence",
    where: str = "",
    bands: Sequence[str] | None = None,
    limits: Mapping[str, BandLimits] | None = None,
    size_px: int = 96,
    title: str = "",
) -> figure:
    """Colour cut-outs of right and wrong decisions, a row for each group of each cluster.

    Parameters
    ----------
    sample : Sample
        Raw cut-outs or those of "fixed-asinh"; only the pixels of those shown are read, and some for the
        limits. Its catalogue has ``redshift`` and ``velocity``, and ``cluster`` if `clusters` are given.
    predictions : Predictions
        Of objects of the Sample; probabilities are means over the runs.
    clusters : sequence of str, optional
        A block of rows each; all objects together by default.
    groups : sequence of str
        Rows of a block, of "TP", "FP", "FN" and "TN".
    experiment : str, optional
        Which one of the predictions; the first by default.
    threshold : float
        Probability above which an object is taken for a member.
    columns : int
        Cut-outs a row at most.
    sort : str
        "confidence", the surest decisions first, or the name of a column, from high to low.
    where : str
        Condition on the catalogue, such as ``mag_F814 <= 25``.
    bands : sequence of str, optional
        Bands of the composites, in the order of wavelength; the Sample's by default.
    limits : mapping, optional
        See `~labkit.views.sample_colours.SampleColours`.
    size_px : int
        Width and height of a picture on the screen.
    title : str
        Title of the figure.

    Returns
    -------
    bokeh.plotting.figure
        The figure; frames are green for TP, orange for FP, blue for FN, grey for TN.

    Raises
    ------
    MissingDataError
        If the catalogue lacks a column.
    InputError
        If a name is unknown, or there is no object to show.
    """
    _check(sample, clusters, groups, columns)
    state = ErrorState(gather(sample, predictions, experiment=experiment), sample.catalogue,
                       threshold=threshold)  # fmt: skip
    rows: dict[str, list[tuple[int, str]]] = {}
    for cluster in clusters if clusters is not None else [""]:
        for group in groups:
            text = " and ".join(part for part in (f"cluster = {cluster}" if cluster else "", where) if part)
            found = state.page(Selection(group, sort=sort, text=text), 0, size=columns)
            rows[f"{cluster} {group}".strip()] = [(int(index), group) for index in found]
    widest = max(map(len, rows.values()))
    if not widest:
        raise InputError(f"there must be objects to show, got none in {list(rows)} at {threshold}")
    shown = [one for found in rows.values() for one in [*found, *[None] * (widest - len(found))]]
    return _sheet(shown, state, _pictures(sample, state, shown, bands, limits), columns=widest,
                  row_titles=list(rows), size_px=size_px, title=title)  # fmt: skip


def _check(sample: Sample, clusters: Sequence[str] | None, groups: Sequence[str], columns: int) -> None:
    needed = ["redshift", "velocity", *(["cluster"] if clusters is not None else [])]
    if missing := [name for name in needed if name not in sample.catalogue.colnames]:
        raise MissingDataError(
            f"the catalogue must have the columns {needed}, {missing} missing; make the Sample with "
            "labkit.sources.members"
        )
    if not groups or set(groups) - set(FRAMES):
        raise InputError(f"groups must be of {tuple(FRAMES)}, got {tuple(groups)}")
    if columns < 1:
        raise InputError(f"columns must be at least 1, got {columns}")
    if clusters is not None:
        there = np.unique(np.asarray(sample.catalogue["cluster"], dtype=str)).tolist()
        if not len(clusters) or set(clusters) - set(there):
            raise InputError(f"clusters must be of {there}, got {list(clusters)}")


def _pictures(
    sample: Sample,
    state: ErrorState,
    shown: Sequence[tuple[int, str] | None],
    bands: Sequence[str] | None,
    limits: Mapping[str, BandLimits] | None,
) -> list[str]:
    """Data URIs, transparent where nothing is shown; the pixels are read at once."""
    chosen = sample.select(bands=bands)
    colours = SampleColours(chosen, limits=limits)
    index = [one[0] for one in shown if one is not None]
    images = iter(chosen.select(state.objects.row[index]).images)
    return [EMPTY_PICTURE if one is None else png_uri(colours.composite(next(images))) for one in shown]


def _sheet(
    shown: Sequence[tuple[int, str] | None], state: ErrorState, pictures: list[str], **options: object
) -> figure:
    catalogue, objects = state.catalogue, state.objects

    def each(words: object) -> list[str]:
        return ["" if one is None else words(*one) for one in shown]  # type: ignore[operator]

    details = {
        "object": each(lambda index, _: str(objects.object_id[index])),
        "decision": each(lambda _, group: GROUPS[group][:-1]),
        "probability": each(lambda index, _: f"{state.score[index]:.3f}"),
        "redshift": each(lambda index, _: caption_of(catalogue[int(objects.row[index])], "TP")),
        "velocity": each(lambda index, _: caption_of(catalogue[int(objects.row[index])], "FN")),
    }
    titles = each(lambda index, group: caption_of(catalogue[int(objects.row[index])], group))
    frames = each(lambda _, group: FRAMES[group])
    return gallery(pictures, titles, details=details, frames=frames, **options)  # type: ignore[arg-type]

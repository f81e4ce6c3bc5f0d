"""Cut-outs of members: right and wrong decisions, and single objects band by band (Angora et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.table import QTable, Row, Table
from bokeh.models import GridPlot
from bokeh.plotting import figure
from numpy.typing import NDArray

from labkit.errors import InputError, MissingDataError
from labkit.predictions import Predictions
from labkit.sample import Sample
from labkit.sources import read_mosaics
from labkit.sources.members import ListedField
from labkit.tables import numbers, text
from labkit.views.composites import BandLimits, SampleColours
from labkit.views.gallery import EMPTY_PICTURE, gallery
from labkit.views.inspector.objects import gather
from labkit.views.inspector.state import GROUPS, ErrorState, Selection
from labkit.views.scaling import png_uri
from labkit.views.sky import mosaic_field
from labkit.views.style import PALETTE, grid

#: Frames of the pictures: members found, wrongly taken, missed (the paper's green, red, blue, for all eyes).
FRAMES = {"TP": PALETTE[2], "FP": PALETTE[1], "FN": PALETTE[0], "TN": PALETTE[7]}
_NEAR_KM_S = 9000.0


def caption_of(row: Row, group: str) -> str:
    """What stands above a cut-out in Figs. 10 and 11, such as "z 0.4391" or "−2,310 km/s".

    "TP" gives the redshift, "FN" the velocity in the cluster's frame, others the velocity where it is within
    9000 km/s and else the redshift; empty without a redshift.
    """
    redshift, velocity = (float(getattr(row[name], "value", row[name])) for name in ("redshift", "velocity"))
    near = group == "FN" or (group != "TP" and abs(velocity) <= _NEAR_KM_S)
    if near and np.isfinite(velocity):
        return f"{velocity:+,.0f} km/s".replace("-", "−")
    return f"z {redshift:.4f}" if np.isfinite(redshift) else ""


def member_gallery(
    sample: Sample, predictions: Predictions, *, clusters: Sequence[str] | None = None,
    groups: Sequence[str] = ("TP", "FP", "FN"), experiment: str | None = None, threshold: float = 0.5,
    columns: int = 8, sort: str = "confidence", where: str = "", bands: Sequence[str] | None = None,
    limits: Mapping[str, BandLimits] | None = None, size_px: int = 96, title: str = "",
) -> figure:  # fmt: skip
    """Colour cut-outs of right and wrong decisions, a row for each group of each cluster (Figs. 10 and 11).

    The Sample is raw or of "fixed-asinh"; only the pixels shown are read, and some for the limits. Its
    catalogue has ``redshift`` and ``velocity``, and ``cluster`` if `clusters` are given. Probabilities are
    means over the runs of `experiment`, the first by default. `sort` is "confidence", the surest decisions
    first, or a column, from high to low; `where` a condition such as ``mag_F814 <= 25``; `bands` those of the
    composites by wavelength; `limits` as for `SampleColours`. Frames are green for TP, orange for FP, blue
    for FN, grey for TN.
    """
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
        there = np.unique(text(sample.catalogue["cluster"])).tolist()
        if not len(clusters) or set(clusters) - set(there):
            raise InputError(f"clusters must be of {there}, got {list(clusters)}")
    objects = gather(sample, predictions, experiment=experiment)
    state = ErrorState(objects, sample.catalogue, threshold=threshold)
    rows: dict[str, list[tuple[int, str]]] = {}
    for cluster in clusters if clusters is not None else [""]:
        for group in groups:
            words = " and ".join(part for part in (f"cluster = {cluster}" if cluster else "", where) if part)
            found = state.page(Selection(group, sort=sort, text=words), 0, size=columns)
            rows[f"{cluster} {group}".strip()] = [(int(index), group) for index in found]
    widest = max(map(len, rows.values()))
    if not widest:
        raise InputError(f"there must be objects to show, got none in {list(rows)} at {threshold}")
    chosen = sample.select(bands=bands)
    colours_of = SampleColours(chosen, limits=limits)
    images = iter(chosen.select(objects.row[[index for found in rows.values() for index, _ in found]]).images)
    pictures: list[str] = []
    cells: list[tuple[str, ...]] = []  # title, frame, then details
    for found in rows.values():
        for index, group in found:
            row = sample.catalogue[int(objects.row[index])]
            pictures.append(png_uri(colours_of.composite(next(images))))
            cells.append(
                (caption_of(row, group), FRAMES[group], str(objects.object_id[index]), GROUPS[group][:-1],
                 f"{state.score[index]:.3f}", caption_of(row, "TP"), caption_of(row, "FN"))
            )  # fmt: skip
        blank = widest - len(found)
        pictures += [EMPTY_PICTURE] * blank
        cells += [("",) * 7] * blank
    titles, frames, *values = map(list, zip(*cells, strict=True))
    names = ("object", "decision", "probability", "redshift", "velocity")
    return gallery(pictures, titles, details=dict(zip(names, values, strict=True)), frames=frames,
                   columns=widest, row_titles=list(rows), size_px=size_px, title=title)  # fmt: skip


def band_sheet(
    sample: Sample, object_ids: Sequence[str], *, bands: Sequence[str] | None = None,
    limits: Mapping[str, BandLimits] | None = None, size_px: int = 96, title: str = "",
) -> figure:  # fmt: skip
    """One object per row: its colours, then each band, all pictures of a band on one scale (Fig. 2).

    The Sample is raw or of "fixed-asinh"; only the pixels of the objects are read, and some for the limits.
    Rows are named by its columns ``cluster`` and ``redshift`` where it has them.
    """
    if not len(object_ids):
        raise InputError("object_ids must name one object at least, got none")
    chosen = sample.select(bands=bands)
    colours_of = SampleColours(chosen, limits=limits)
    shown = chosen.select(list(map(str, object_ids)))
    pictures = [
        png_uri(picture)
        for pixels in shown.images
        for picture in (colours_of.composite(pixels), *map(colours_of.grey, chosen.bands, pixels))
    ]
    names = text(shown.catalogue["cluster"]) if "cluster" in shown.catalogue.colnames else shown.object_ids
    rows = [str(name) for name in names]
    if "redshift" in shown.catalogue.colnames:
        redshift = numbers(shown.catalogue["redshift"])
        rows = [f"{n}, z {z:.3f}" if np.isfinite(z) else n for n, z in zip(rows, redshift, strict=True)]
    columns = ["colour", *chosen.bands]
    return gallery(pictures, size_px=size_px, title=title, columns=len(columns), column_titles=columns,
                   row_titles=rows)  # fmt: skip


def bright_members(
    sample: Sample, *, label: str = "label", magnitude: str = "mag_F814", share: float = 1 / 6, most: int = 5
) -> list[str]:
    """Ids of one rather bright member of each of the first clusters, `most` at most, for `band_sheet`.

    It is brighter than all but `share` of the cluster's members; without magnitudes, one of them.
    """
    members = QTable(sample.catalogue)[text(sample.catalogue[label]) == "member"]
    if magnitude in members.colnames:
        members.sort(magnitude)
    ids, hosts = text(members["object_id"]), text(members["cluster"])
    clusters = [name for name in dict.fromkeys(text(sample.catalogue["cluster"]).tolist()) if name in hosts]
    return [str(ids[hosts == name][int(share * (hosts == name).sum())]) for name in clusters[:most]]


def position_sheet(sample: Sample, views: NDArray, *, columns: int = 8, size_px: int = 100) -> figure:
    """One object of a "fixed-asinh" Sample in several positions, in its grey levels' colours (Fig. A.1).

    `views` are from `labkit.learn.augmented_views`, in the Sample's bands.
    """
    colours_of = SampleColours(sample)
    return gallery([png_uri(colours_of.composite(one)) for one in views], columns=columns, size_px=size_px)


def field_pictures(
    fields: Sequence[ListedField], *, bands: Sequence[str] | None = None, sources: Table | None = None,
    columns: int = 3, **options: Any,
) -> GridPlot:  # fmt: skip
    """Colour pictures of fields from their mosaics, side by side (Figs. 1 and 8).

    `fields` are from `labkit.sources.members.read_fields`; of `sources`, those of the field's ``cluster`` are
    marked. Other options are those of `mosaic_field`.
    """
    panels = []
    for one in fields:
        theirs = None if sources is None else sources[text(sources["cluster"]) == one.cluster]
        about = {"redshift": one.redshift, "title": f"{one.cluster}, z = {one.redshift:g}"}
        about |= {"sources": theirs} if theirs is not None and len(theirs) else {}
        panels.append(mosaic_field(read_mosaics(one.folder, bands=bands), **about, **options))
    return grid(panels, columns=columns)

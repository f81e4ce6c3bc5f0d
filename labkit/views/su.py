"""Figures of Su et al. (2020): cooling times, clusters by their cores, and where a network looks."""

from collections.abc import Mapping

import numpy as np
from astropy.table import Table
from bokeh.layouts import column
from bokeh.models import Column, GridPlot, Span
from bokeh.plotting import figure
from numpy.typing import ArrayLike
from scipy.stats import norm

from labkit.cooling import COOLING_TIME_LIMITS
from labkit.errors import InputError
from labkit.evaluate import confusion_matrix
from labkit.predictions import Estimates, Predictions
from labkit.sample import Sample
from labkit.tables import numbers, text
from labkit.taxonomy import get_scheme
from labkit.views.confusion import confusion
from labkit.views.distributions import histogram, scatter
from labkit.views.gallery import gallery, grey_levels, heat_colours, png_uri, smoothed
from labkit.views.marks import Line, draw_line, need_rows
from labkit.views.plots import curves, points
from labkit.views.style import INK, PALETTE, grid, legend_above

_CLASSES = get_scheme("cool-core").classes
#: Of the networks that are compared: the one that was trained first, then those that know nothing.
_NETWORKS = (PALETTE[0], PALETTE[1], PALETTE[7])


def cooling_times(catalogue: Table, *, title: str = "") -> GridPlot:
    """Central cooling times with the limits of the classes, and against M500 (Su et al. 2020, Fig. 1).

    `catalogue` has ``t_cool`` (Gyr), ``m500`` and ``label``.
    """
    need_rows(catalogue, ["object_id", "t_cool", "m500", "label"], "catalogue")
    shown, words = Table(catalogue["object_id", "label"]), "central cooling time (Gyr)"
    shown["t_cool"], shown["log_m500"] = numbers(catalogue["t_cool"]), np.log10(numbers(catalogue["m500"]))
    shown.sort("t_cool")  # classes in their order
    low, high = np.log10(COOLING_TIME_LIMITS)
    places = (np.log10(shown["t_cool"][[0, -1]]) - low) / (high - low) * 8  # the limits part bins
    edges = 10 ** (low + (high - low) / 8 * np.arange(np.floor(places[0]), np.ceil(places[1]) + 1))
    counts = histogram(shown["t_cool"], label=words, by=shown["label"], bins=edges, log=True, of="clusters",
                       title=title)  # fmt: skip
    masses = scatter(shown, "t_cool", "log_m500", log=("t_cool",), counts=True, x_label=words,
                     y_label="log10 M500 (solar masses)", height=340)  # fmt: skip
    for plot in (counts, masses):
        for limit in COOLING_TIME_LIMITS:
            plot.add_layout(Span(location=limit, dimension="height", line_color=INK, line_dash="dashed"))
    return grid([[counts, masses]])


def class_examples(sample: Sample, *, columns: int = 6, title: str = "") -> figure:
    """Images of clusters of each class, a row per class, ordered by central cooling time.

    Lightly smoothed and each between its own limits. Evenly spaced in the order of the cooling time, so the
    first and the last of a class are there.
    """
    need_rows(sample.catalogue, ["label", "t_cool"], "sample")
    names, times = text(sample.catalogue["label"]), numbers(sample.catalogue["t_cool"])
    rows = []
    for name in _CLASSES:
        own = np.flatnonzero(names == name)
        own = own[np.argsort(times[own])]
        if len(own) < columns:
            raise InputError(f"columns must be at most {len(own)}, the number of {name}, got {columns}")
        rows += own[np.linspace(0, len(own) - 1, columns).round().astype(int)].tolist()
    images = smoothed(sample.select(rows).band("xray"), sigma_px=0.6)
    pictures = [png_uri(grey_levels(image, stretch="log"), size_px=130) for image in images]
    return gallery(pictures, [f"{times[row]:.2g} Gyr" for row in rows], columns=columns, size_px=130,
                   row_titles=_CLASSES, title=title)  # fmt: skip


def confusions(predictions: Predictions) -> GridPlot:
    """Confusion matrix of each experiment, all its trainings together."""
    plots = []
    known, k = predictions.known, len(predictions.classes)
    for name in dict.fromkeys(text(known.table["experiment"]).tolist()):
        part = known.select(experiment=name)
        counts = confusion_matrix(part.true_codes, part.probabilities.argmax(1), n_classes=k)
        plots.append(confusion(counts, part.classes, title=name, cell_px=80))
    return grid(plots, columns=3)


def number_checks(sets: Mapping[str, Estimates], *, title: str = "") -> GridPlot:
    """Predicted against true numbers of the last set, and how far off every set is in units of its widths.

    A row per target: points with their widths about the dashed line of equality; then (predicted - true) /
    width of each set beside the normal distribution that right widths give, its ends gathered in the last
    bins.
    """
    rows = []
    known = {name: one.known for name, one in sets.items()}
    last = list(known.values())[-1]
    for target in dict.fromkeys(text(last.table["target"]).tolist()):
        parts = {name: one.select(text(one.table["target"]) == target) for name, one in known.items()}
        part = list(parts.values())[-1]
        shown = Table({"true": part.true, "predicted": part.predicted, "predicted_std": part.width})
        unit = str(part.table["unit"][0])
        words = f"{target} ({unit})" if unit else target
        ends = (float(part.true.min()), float(part.true.max()))
        left = points(shown, "true", "predicted", size=5, lines={"predicted": Line(1, 0, np.nan)}, span=ends,
                      title=title, x_label=f"true {words}", y_label=f"predicted {words}",
                      width=430, height=340)  # fmt: skip
        pulls = np.concatenate([one.pull for one in parts.values()])
        names = np.repeat(list(parts), [len(one) for one in parts.values()])
        right = histogram(np.clip(pulls, -4.4, 4.4), by=names, bins=np.linspace(-4.5, 4.5, 19).tolist(),
                          label=f"{target}: (predicted - true) / width")  # fmt: skip
        x = np.linspace(-4.5, 4.5, 181)
        draw_line(right, x, 0.5 * len(part) * norm.pdf(x), colour=INK, name="normal", label="normal",
                  dash="dashed")  # fmt: skip
        rows.append([left, right])
    return grid(rows)


def attention(
    maps: Mapping[str, ArrayLike], classes: ArrayLike, profiles: Table, drops: Table, *, title: str = ""
) -> Column:
    """Mean maps of each class by each network, their profiles, and what rings are worth.

    Su et al. (2020), Fig. 9, with what it lacks: networks that know nothing, and an answer without maps.
    Activation `maps` (n, y, x) of each network are on one scale in kpc, `classes` those of the n objects;
    `profiles` and `drops` are mean maps and drops of the probability in rings, from
    `labkit.explain.ring_table`. Pictures stand in a row per network, each between 0 and its own maximum;
    below, in a column per class, its profiles (1 is the mean of the map) and its drops, bands of 95 %.
    """
    names = text(classes)
    kinds = [name for name in _CLASSES if (names == name).any()]
    pictures, titles = [], []
    for network, given in maps.items():
        if len(values := np.asarray(given, dtype=float)) != len(names):
            raise InputError(f"maps must be one for each of the {len(names)} classes, got {len(values)}")
        for kind in kinds:
            mean = values[names == kind].mean(0)
            pictures.append(png_uri(heat_colours(mean / (mean.max() or 1)), size_px=170))
            titles.append(f"{network} ({(names == kind).sum()})")
    sheet = gallery(pictures, titles, columns=len(kinds), size_px=170, column_titles=kinds, title=title)
    palette = dict(zip(maps, _NETWORKS, strict=False))
    panels = [
        [
            legend_above(
                curves(table[text(table["class"]) == kind], "radius", "value", by="network", palette=palette,
                       x_label="radius (kpc)", y_label=words, title=f"{kind}: {words}", width=325,
                       height=330),
                columns=2,
            )
            for kind in kinds
        ]
        for table, words in ((profiles, "activation over its mean"), (drops, "drop of p without the ring"))
    ]  # fmt: skip
    return column(sheet, grid(panels))

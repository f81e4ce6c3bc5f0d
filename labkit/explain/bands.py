"""Which band a filter answers to, and from which brightness on: measured numbers instead of an impression.

Kosiba et al. (2020, section 5.4) read from Fig. 12 that some filters "search primarily for X-ray emission and
others for optical emission", and that "there are filters which get activated only by stronger emission". Here
each filter is asked how much its map changes when one band is taken away, or brought to another brightness.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
import torch
from astropy.table import Table, vstack
from torch import Tensor

from labkit.errors import InputError, need_choice
from labkit.evaluate.resampling import draw_weights
from labkit.explain.layers import Computing, Images, Prepared, prepare
from labkit.learn.model import Model
from labkit.tables import text

_RESAMPLES = 1000  # of every bootstrap over the objects
_ONE_BAND = 0.5  # |index| from which on a filter is of one band: that moves it three times as much
_DEAD = 1e-3  # of the change of a layer's filter that changes most; below it a filter answers to nothing
_TYPICAL = 3  # filters that stand for a layer
_LEVELS = 10  # of brightness at which a layer's sensitivity is measured, evenly up to 1


def band_index(
    model: Model,
    images: Images,
    *,
    layers: Sequence[str],
    rng: np.random.Generator,
    bands: tuple[str, str] | None = None,
    replace: str = "sky",
    **computing: Unpack[Computing],
) -> Table:
    """Where each filter stands between two bands, with a bootstrap interval over the objects.

    With D_b the root mean square, over all pixels and objects, of the change of a filter's map when band b is
    replaced, the index is ``(D_1 - D_2) / (D_1 + D_2)``: +1 for a filter that only the first band moves, -1
    for one that only the second moves. From 0.5 on a filter is of one band; it is dead if
    sqrt(D_1^2 + D_2^2) is less than a thousandth of the layer's largest.

    Parameters
    ----------
    model : Model
        Any network with two bands or more.
    images : Sample, or array of uint8, shape (n, band, y, x)
        Normalised images; some tens of objects are enough.
    layers : sequence of str
        Layers to measure, from `labkit.explain.layers`.
    rng : Generator
        Draws the resamples, and the objects of ``replace="shuffle"``.
    bands : tuple of str, optional
        The two bands; by default the model's first and second (X-ray, optical).
    replace : str
        ``"sky"``: the band becomes empty sky; counts its background, too. ``"shuffle"``: the band of another
        object takes its place; counts only what differs between objects.
    **computing
        See `labkit.explain`.

    Returns
    -------
    Table
        One row per filter: ``layer``, ``filter``, ``index``, ``index_low``, ``index_high`` (95 %; NaN for
        dead filters), ``kind`` (a band's name, ``"both"`` or ``"dead"``), ``firm`` (the whole interval lies
        in that kind) and ``change_<band>`` (D_b, in the layer's own units).

    Raises
    ------
    InputError
        If a layer, a band or `replace` is unknown, or there is no object (two for shuffling).
    """
    need_choice("replace", replace, ("sky", "shuffle"))
    if isinstance(layers, str) or not len(layers):
        raise InputError(f"layers must be one name or more in a list, got {layers!r}")
    ready = prepare(model, images, **computing)
    pair = _two_bands(model, bands)
    for name in layers:
        ready.opened.maps(name)
    squares = _squared_changes(ready, list(layers), pair, _others(len(ready), replace, rng))
    weights = object_shares(len(ready), rng)
    found = vstack([_rows(name, squares[name], pair, weights) for name in layers])
    found.meta = {"bands": list(pair), "objects": len(ready), "replace": replace}
    return found


def _two_bands(model: Model, bands: tuple[str, str] | None) -> tuple[str, str]:
    known = model.experiment.named_bands
    pair = known[:2] if bands is None else tuple(bands)
    if len(pair) != 2 or len(set(pair)) != 2 or set(pair) - set(known):
        raise InputError(
            f"bands must be two of the model's, {known}, got {pair}; choose a network on two bands"
        )
    return pair[0], pair[1]


def _others(n: int, replace: str, rng: np.random.Generator) -> np.ndarray | None:
    """Another object for each: a random cycle, so that none stands for itself."""
    if replace == "sky":
        return None
    if n < 2:
        raise InputError(f"images must be two objects or more for replace='shuffle', got {n}")
    cycle, others = rng.permutation(n), np.empty(n, dtype=np.int64)
    others[cycle] = np.roll(cycle, 1)
    return others


def _squared_changes(
    ready: Prepared, layers: list[str], pair: tuple[str, str], others: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Mean square change of each object's maps without each band: layer -> (object, filter, 2)."""
    named = ready.model.experiment.named_bands
    columns = [named.index(band) for band in pair]
    found = {name: np.empty((len(ready), ready.opened.outputs[name][0], 2)) for name in layers}
    donors = ready.reordered(others).batches() if others is not None else None
    for rows, batch in ready.batches():
        other = torch.zeros_like(batch) if donors is None else next(donors)[1]
        versions = [batch]
        for column in columns:
            changed = batch.clone()
            changed[:, column] = other[:, column]
            versions.append(changed)

        def measure(name: str, output: Tensor, rows: slice = rows) -> None:
            whole, *without = output.float().chunk(3)
            each = [(whole - part).square().mean((2, 3)) for part in without]
            found[name][rows] = torch.stack(each, -1).cpu().numpy()

        ready.run(torch.cat(versions), layers, measure)
    return found


def _rows(layer: str, squares: np.ndarray, pair: tuple[str, str], weights: np.ndarray) -> Table:
    n_filters = squares.shape[1]
    change = np.sqrt(squares.mean(0))  # (filter, band)
    drawn = np.sqrt(np.einsum("rn,nfb->rfb", weights, squares))
    both = np.hypot(*change.T)
    alive = both > _DEAD * both.max()
    bounds = interval(_index(drawn))
    kinds = np.array([*pair, "both", "dead"])
    kind = np.where(alive, _kind(_index(change)), 3)
    blank = np.where(alive, 0.0, np.nan)
    rows = Table({"layer": np.full(n_filters, layer), "filter": np.arange(n_filters)})
    for name, values in (("index", _index(change)), ("index_low", bounds[0]), ("index_high", bounds[1])):
        rows[name] = values + blank
    rows["kind"] = kinds[kind]
    rows["firm"] = (_kind(bounds) == kind).all(0) | ~alive
    for column, band in enumerate(pair):
        rows[f"change_{band}"] = change[:, column]
    return rows


def _index(change: np.ndarray) -> np.ndarray:
    """(D_1 - D_2) / (D_1 + D_2) along the last axis; 0 where nothing changes."""
    total = change.sum(-1)
    return (change[..., 0] - change[..., 1]) / np.where(total > 0, total, 1)


def _kind(index: np.ndarray) -> np.ndarray:
    """0: first band, 1: second band, 2: both."""
    return np.where(index >= _ONE_BAND, 0, np.where(index <= -_ONE_BAND, 1, 2))


def index_summary(index: Table) -> Table:
    """How many filters of each layer in `index` (from `band_index`) answer to which band.

    One row per layer: ``layer``, ``filters``, a number for each band, ``both``, ``dead``, and ``median`` of
    the index of those that are not dead.
    """
    names = dict.fromkeys(text(index["layer"]).tolist())
    kinds = [*index.meta["bands"], "both", "dead"]
    rows = []
    for name in names:
        part = index[text(index["layer"]) == name]
        kind_of = text(part["kind"])
        row: dict[str, Any] = {"layer": name, "filters": len(part)}
        row |= {kind: int(np.sum(kind_of == kind)) for kind in kinds}
        alive = np.asarray(part["index"])[kind_of != "dead"]
        rows.append(row | {"median": float(np.median(alive)) if len(alive) else np.nan})
    return Table(rows=rows)


def typical_filters(index: Table, layer: str) -> list[int]:
    """Up to three filters of a layer, from most of the first band to most of the second, evenly by rank.

    Only the half that the bands move most takes part: faint filters look striking when each map is scaled.
    """
    part = index[text(index["layer"]) == layer]
    if not len(part):
        known = list(dict.fromkeys(text(index["layer"]).tolist()))
        raise InputError(f"layer must be among the measured {known}, got {layer!r}")
    alive = part[text(part["kind"]) != "dead"]
    if not len(alive):
        return []
    moved = np.hypot(*(np.asarray(alive[f"change_{band}"]) for band in index.meta["bands"]))
    strong = alive[moved >= np.median(moved)]
    order = np.argsort(-np.asarray(strong["index"]), kind="stable")
    places = np.linspace(0, len(order) - 1, min(_TYPICAL, len(order))).round().astype(int)
    return [int(strong["filter"][row]) for row in order[places]]


@dataclass(frozen=True)
class Sensitivity:
    """Answers of a layer's filters to one band at rising brightness."""

    layer: str
    band: str  # whose brightness was changed
    brightness: np.ndarray  # (level,), peak of the band above the sky, 1 the highest grey level
    response: np.ndarray  # (filter, level), rms change of the map from that with an empty band
    threshold: np.ndarray  # (filter,), brightness of half the answer at 1, 0.5 if in proportion; or NaN
    low: np.ndarray  # (filter,), 95 % interval over the objects
    high: np.ndarray
    objects: int

    @property
    def table(self) -> Table:
        """One row per filter: ``layer``, ``filter``, ``threshold``, ``low``, ``high``, ``response`` at 1."""
        n = len(self.threshold)
        named = {"threshold": self.threshold, "low": self.low, "high": self.high}
        head = {"layer": np.full(n, self.layer), "filter": np.arange(n)}
        return Table(head | named | {"response": self.response[:, -1]})


def sensitivity(
    model: Model,
    images: Images,
    *,
    layer: str,
    rng: np.random.Generator,
    band: str | None = None,
    **computing: Unpack[Computing],
) -> Sensitivity:
    """Answer of each filter of a layer against the peak brightness of a band.

    Each object's image in the band is scaled so that its brightest pixel has the given brightness; the other
    bands stay as they are. Objects whose band is empty are left out.

    Parameters
    ----------
    model : Model
        Any network.
    images : Sample, or array of uint8, shape (n, band, y, x)
        Normalised images.
    layer : str
        Name of a layer, from `labkit.explain.layers`.
    rng : Generator
        Draws the resamples.
    band : str, optional
        By default the model's first (X-ray).
    **computing
        See `labkit.explain`.

    Returns
    -------
    Sensitivity
        ``brightness`` (level), ``response`` (filter, level), ``threshold``, ``low``, ``high`` (filter; 95 %
        interval over the objects, NaN for filters that do not answer), and a ``table`` of them.

    Raises
    ------
    InputError
        If the layer or band is unknown, or every object's band is empty.
    """
    ready = prepare(model, images, **computing)
    ready.opened.maps(layer)
    bands = model.experiment.named_bands
    band = bands[0] if band is None else band
    need_choice("band", band, bands)
    brightness = np.arange(1, _LEVELS + 1) / _LEVELS
    squares = _squared_answers(ready, layer, bands.index(band), brightness)
    if not len(squares):
        raise InputError(f"images must have emission in the band {band!r}, got none in all {len(ready)}")
    response = np.sqrt(squares.mean(0))  # (filter, level)
    answers = response[:, -1] > _DEAD * response[:, -1].max()
    drawn = np.sqrt(np.einsum("rn,nfl->rfl", object_shares(len(squares), rng), squares))
    bounds = interval(_half(drawn, brightness))
    blank = np.where(answers, 0.0, np.nan)
    threshold = _half(response, brightness) + blank
    low, high = bounds + blank
    return Sensitivity(layer, band, brightness, response, threshold, low, high, len(squares))


def _squared_answers(ready: Prepared, layer: str, column: int, brightness: np.ndarray) -> np.ndarray:
    """Mean square change from the map without the band, shape (object with emission, filter, level)."""
    found: list[np.ndarray] = []
    scales = [0.0, *brightness]
    for _, batch in ready.batches():
        peak = batch[:, column].amax((1, 2))
        lit, peak = batch[peak > 0], peak[peak > 0]
        if not len(lit):
            continue
        versions = []
        for scale in scales:
            scaled = lit.clone()
            scaled[:, column] *= (scale / peak)[:, None, None]
            versions.append(scaled)
        maps: list[Tensor] = []

        def keep(name: str, output: Tensor, maps: list[Tensor] = maps) -> None:
            maps.append(output.float().clone())

        for version in versions:
            ready.run(version, [layer], keep)
        squares = [(part - maps[0]).square().mean((2, 3)) for part in maps[1:]]
        found.append(torch.stack(squares, -1).double().cpu().numpy())
    return np.concatenate(found) if found else np.empty((0, 0, len(brightness)))


def _half(response: np.ndarray, brightness: np.ndarray) -> np.ndarray:
    """Brightness where half the last answer is first crossed, on lines between levels: (..., filter)."""
    y = np.concatenate([np.zeros_like(response[..., :1]), response], axis=-1)
    x = np.concatenate([[0.0], brightness])
    half = 0.5 * y[..., -1:]
    after = np.argmax(y >= half, axis=-1).clip(min=1)[..., None]
    y1, y0 = (np.take_along_axis(y, after - step, axis=-1)[..., 0] for step in (0, 1))
    rise = np.where(y1 > y0, y1 - y0, 1.0)
    return x[after[..., 0] - 1] + (x[after[..., 0]] - x[after[..., 0] - 1]) * (half[..., 0] - y0) / rise


def object_shares(n: int, rng: np.random.Generator) -> np.ndarray:
    """Share of each of n objects in each resample with replacement, (resample, n); rows sum to one."""
    if n < 1:
        raise InputError("images must be at least 1, got none")
    return draw_weights([np.ones(n, dtype=bool)], resamples=_RESAMPLES, rng=rng) / n


def interval(draws: np.ndarray) -> np.ndarray:
    """95 % percentile interval along the first axis of bootstrap draws, shape (2, ...)."""
    return np.quantile(draws, (0.5 - 0.95 / 2, 0.5 + 0.95 / 2), axis=0)
